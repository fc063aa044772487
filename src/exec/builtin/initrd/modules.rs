//! Which modules an initramfs needs, in the order in which they are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};

use super::modinfo::{self, ModInfo, normal};
use crate::exec::builtin::{BuiltinError, part};
use crate::exec::failure::StepFailure;
use crate::format::tar::{TarEntryKind, TarReader};
use crate::plan::Statement;

/// Most bytes of one of the lists beside the modules.
const LIST_LIMIT: u64 = 16 << 20;

/// A module to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    /// Its name, in the kernel's spelling.
    pub(super) name: String,
    /// Whether booting cannot go on without it: not so for what only a `softdep` asks for.
    pub(super) required: bool,
}

/// Where everything in `modules.tar` is.
pub(super) struct Modules<'a> {
    file: &'a File,
    /// Module to (path, offset, size).
    places: BTreeMap<String, (String, u64, u64)>,
    /// Modules that are part of the kernel, with what they are also called.
    builtin: BTreeSet<String>,
    /// Alias to modules, of the directories where algorithms are; read when first needed.
    algorithms: Option<BTreeMap<String, Vec<String>>>,
}

impl<'a> Modules<'a> {
    pub(super) fn open(file: &'a File) -> Result<Modules<'a>, BuiltinError> {
        let mut modules = Modules { file, places: BTreeMap::new(), builtin: BTreeSet::new(), algorithms: None };
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 18, file));
        while let Some(entry) = reader.next_entry()? {
            if entry.kind != TarEntryKind::File {
                continue;
            }
            let path = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
            let name = path.rsplit('/').next().unwrap_or_default();
            if let Some(module) = module_name(name) {
                modules.places.insert(module, (path, reader.offset(), entry.size));
            } else if matches!(name, "modules.builtin" | "modules.builtin.modinfo") {
                let mut bytes = Vec::new();
                let limited = (&mut reader).take(LIST_LIMIT).read_to_end(&mut bytes);
                limited.map_err(|error| BuiltinError::from(StepFailure::input(format!("{path}: {error}"))))?;
                modules.know_builtin(name, &bytes);
            }
        }
        Ok(modules)
    }

    fn know_builtin(&mut self, list: &str, bytes: &[u8]) {
        if list == "modules.builtin" {
            let text = String::from_utf8_lossy(bytes);
            self.builtin.extend(text.lines().filter_map(|line| module_name(line.rsplit('/').next()?)));
        } else {
            for (name, info) in modinfo::parse_builtin(bytes) {
                self.builtin.extend(info.aliases);
                self.builtin.insert(name);
            }
        }
    }

    /// The modules for `wanted`: each after everything it depends on, each once.
    pub(super) fn order(&mut self, wanted: &[String]) -> Result<Vec<Load>, BuiltinError> {
        let mut order = Order::default();
        for name in wanted.iter().map(|name| normal(name)) {
            self.visit(&name, &mut order, true)?;
        }
        let required = order.required;
        let load = |name: String| Load { required: required.contains(&name), name };
        Ok(order.loads.into_iter().map(load).collect())
    }

    fn visit(&mut self, name: &str, order: &mut Order, required: bool) -> Result<(), BuiltinError> {
        let known = order.seen.contains(name) && (!required || order.required.contains(name));
        if known || self.builtin.contains(name) {
            return Ok(());
        }
        if !self.places.contains_key(name) {
            return match order.path.last() {
                _ if !required => Ok(()),
                Some(user) => Err(BuiltinError::from(StepFailure::input(format!(
                    "kernel module {user} needs {name}, which is missing"
                )))),
                None => Err(BuiltinError::from(StepFailure::recipe(
                    Statement::Module(name.to_owned()),
                    format!("kernel module {name} does not exist and is not built in"),
                ))),
            };
        }
        if order.path.iter().any(|above| above == name) {
            return Ok(());
        }
        order.seen.insert(name.to_owned());
        if required {
            order.required.insert(name.to_owned());
        }
        let info = self.info(name)?;
        order.path.push(name.to_owned());
        for soft in &info.before {
            self.visit_soft(soft, order)?;
        }
        for hard in &info.depends {
            self.visit(hard, order, required)?;
        }
        if !order.loads.iter().any(|load| load == name) {
            order.loads.push(name.to_owned());
        }
        for soft in &info.after {
            self.visit_soft(soft, order)?;
        }
        order.path.pop();
        Ok(())
    }

    /// A `softdep` names a module or an algorithm; what nobody provides is left out, as modprobe does.
    fn visit_soft(&mut self, name: &str, order: &mut Order) -> Result<(), BuiltinError> {
        if self.builtin.contains(name) || self.places.contains_key(name) {
            return self.visit(name, order, false);
        }
        for provider in self.algorithms()?.get(name).cloned().unwrap_or_default() {
            self.visit(&provider, order, false)?;
        }
        Ok(())
    }

    fn algorithms(&mut self) -> Result<&BTreeMap<String, Vec<String>>, BuiltinError> {
        if self.algorithms.is_none() {
            let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let near = |path: &str| path.contains("/crypto/") || path.contains("/kernel/lib/");
            let names: Vec<String> =
                self.places.iter().filter(|(_, (path, ..))| near(path)).map(|(name, _)| name.clone()).collect();
            for name in names {
                for alias in self.info(&name)?.aliases {
                    found.entry(alias).or_default().push(name.clone());
                }
            }
            self.algorithms = Some(found);
        }
        Ok(self.algorithms.get_or_insert_default())
    }

    fn info(&self, name: &str) -> Result<ModInfo, BuiltinError> {
        modinfo::parse(&self.bytes(name)?).ok_or_else(|| {
            BuiltinError::from(StepFailure::input(format!(
                "kernel module {name} is not a 64-bit ELF file with .modinfo"
            )))
        })
    }

    /// A module's bytes, decompressed.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, BuiltinError> {
        let (path, offset, size) = self
            .places
            .get(name)
            .ok_or_else(|| BuiltinError::from(StepFailure::input(format!("kernel module {name} does not exist"))))?;
        modinfo::decompress(path, part(self.file, *offset, *size)).map_err(|reason| StepFailure::input(reason).into())
    }
}

/// A walk through the dependencies.
#[derive(Default)]
struct Order {
    loads: Vec<String>,
    seen: BTreeSet<String>,
    required: BTreeSet<String>,
    /// From a wanted module down to the one at hand.
    path: Vec<String>,
}

/// `virtio-rng.ko.xz` is the module `virtio_rng`.
fn module_name(file: &str) -> Option<String> {
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|ending| file.strip_suffix(ending))?;
    Some(normal(stem))
}

#[cfg(test)]
mod tests {
    use super::super::modinfo::tests::module;
    use super::*;
    use crate::format::tar::{TarEntry, TarPath, TarWriter};

    /// The order for `wanted` among modules of a kernel: `name` when needed, `name?` when a softdep asks for it.
    fn order(test: &str, files: &[(&str, &[&str])], wanted: &[&str]) -> Result<Vec<String>, String> {
        let at = std::env::temp_dir().join(format!("kiln-modules-{test}-{}.tar", std::process::id()));
        let mut sorted: BTreeMap<TarPath, Vec<u8>> = BTreeMap::new();
        for (path, fields) in files {
            let bytes = if path.ends_with(".ko") { module(fields) } else { fields.concat().into_bytes() };
            sorted.insert(TarPath::new(path).unwrap(), bytes);
        }
        let mut tar = TarWriter::new(crate::world::fs::create(&at).unwrap());
        for (path, bytes) in sorted {
            tar.append(&TarEntry::file(path, 0o644, 0, bytes.len() as u64), bytes.as_slice()).unwrap();
        }
        tar.finish().unwrap();
        let file = crate::world::fs::open(&at).unwrap();
        crate::world::fs::remove_file(&at).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let loads = Modules::open(&file).unwrap().order(&wanted).map_err(|error| error.to_string())?;
        Ok(loads.into_iter().map(|load| format!("{}{}", load.name, if load.required { "" } else { "?" })).collect())
    }

    const EXT4: [(&str, &[&str]); 6] = [
        ("k/fs/ext4.ko", &["depends=jbd2,crc16", "softdep=pre: crc32c nowhere"]),
        ("k/fs/jbd2.ko", &["softdep=pre: crc16"]),
        ("k/kernel/lib/crc16.ko", &[]),
        ("k/crypto/crc32c-generic.ko", &["alias=crc32c"]),
        ("k/drivers/virtio-blk.ko", &["depends=virtio"]),
        ("k/modules.builtin", &["kernel/drivers/virtio/virtio.ko\n", "kernel/drivers/virtio/virtio_pci.ko\n"]),
    ];

    #[test]
    fn dependencies_come_first_and_once() {
        let found = order("first", &EXT4, &["virtio-pci", "virtio_blk", "ext4", "jbd2"]).unwrap();
        assert_eq!(found, ["virtio_blk", "crc32c_generic?", "crc16", "jbd2", "ext4"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(order("unknown", &EXT4, &["xfs"]).unwrap_err().contains("no module xfs"));
        let lacking = [("k/a.ko", ["depends=b"].as_slice())];
        assert!(order("lacking", &lacking, &["a"]).unwrap_err().contains("module a needs b"));
    }

    #[test]
    fn circles_end() {
        let circle = [("k/a.ko", ["depends=b"].as_slice()), ("k/b.ko", &["depends=a"])];
        assert_eq!(order("circle", &circle, &["a"]).unwrap(), ["b", "a"]);
        let soft = [("k/a.ko", ["softdep=pre: b"].as_slice()), ("k/b.ko", &["depends=a"])];
        assert_eq!(order("soft", &soft, &["a"]).unwrap(), ["b?", "a"]);
    }
}
