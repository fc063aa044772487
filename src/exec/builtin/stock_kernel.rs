//! Takes Debian's kernel packages apart: the kernel, its configuration, and its modules as a canonical tar.
//!
//! Up to Linux 6.12 one package has everything, the kernel and its configuration below `/boot`. Since 6.19
//! `linux-binary-*`, `linux-modules-*` and `linux-base-*` share it out, all below `/usr/lib/modules/RELEASE`.
//! `modules.dep` and its like are in none of them; the locked `depmod` makes them in a later step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::copy;

use super::{BuiltinContext, BuiltinError, part};
use crate::base::Timestamp;
use crate::debian::deb::{self, Data, DebEntryKind};
use crate::exec::failure::StepFailure;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarWriter};
use crate::plan::kernel::CONFIG;
use crate::world::fs;

/// Where modules live since the merge of `/lib` into `/usr/lib`, and where older packages put them.
const PLACES: [&str; 2] = ["usr/lib/modules/", "lib/modules/"];

/// The packages, and what comes out of them beside the modules.
const PACKAGES: [&str; 2] = ["kernel", ".deb"];
const BOOT: [(&str, &str, &str); 2] = [("boot/vmlinuz-", "vmlinuz", "vmlinuz"), ("boot/config-", "config", CONFIG)];

/// Inputs `kernel.deb`, `kernel-1.deb` and so on, and `epoch` (RFC 3339) when files must not be younger than that.
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let epoch = epoch(context)?;
    let spool_path = context.scratch.join("modules");
    let mut found =
        Found { entries: BTreeMap::new(), spool: fs::create_new(&spool_path)?, spooled: 0, boot: BTreeMap::new() };
    let [first, last] = PACKAGES;
    for (name, path) in context.inputs.iter().filter(|(name, _)| name.starts_with(first) && name.ends_with(last)) {
        let broken = |source| BuiltinError::Package { package: name.clone(), source };
        let (_, mut data) = deb::open(std::io::BufReader::new(fs::open(path)?)).map_err(broken)?;
        while let Some(entry) = data.next().map_err(broken)? {
            found.take(context, &mut data, entry, epoch)?;
        }
    }
    let release = found.release()?;
    for (boot, beside, output) in BOOT {
        if found.boot.get(output) != Some(&release) {
            let places = format!("neither /{boot}{release} nor /usr/lib/modules/{release}/{beside}");
            return Err(BuiltinError::from(StepFailure::input(format!("the kernel's packages have {places}"))));
        }
    }
    found.write_tar(context, &fs::open(&spool_path)?)
}

fn epoch(context: &BuiltinContext<'_>) -> Result<Option<Timestamp>, BuiltinError> {
    let Some(path) = context.inputs.get("epoch") else { return Ok(None) };
    let bytes = fs::read(path, 64)?;
    let instant = std::str::from_utf8(&bytes).ok().and_then(|text| Timestamp::parse_rfc3339(text.trim_end()));
    instant
        .map(Some)
        .ok_or_else(|| BuiltinError::from(StepFailure::bug("the input `epoch` is not a timestamp".to_owned())))
}

/// What was seen of the package so far; contents of modules wait in a file, since packages have their own order.
struct Found {
    entries: BTreeMap<TarPath, (TarEntry, u64)>,
    spool: File,
    spooled: u64,
    /// Output name to the release in the file's name.
    boot: BTreeMap<&'static str, String>,
}

impl Found {
    fn take(
        &mut self,
        context: &BuiltinContext<'_>,
        data: &mut Data<'_>,
        entry: deb::DebEntry,
        epoch: Option<Timestamp>,
    ) -> Result<(), BuiltinError> {
        if let (Some((output, release)), DebEntryKind::File(_)) = (boot_file(&entry.path), &entry.kind) {
            if self.boot.insert(output, release.to_owned()).is_some() {
                return Err(BuiltinError::from(StepFailure::input(format!(
                    "the kernel's packages have more than one file for {output}"
                ))));
            }
            let path = context.out.join(output);
            fs::context("write", &path, copy(data, &mut fs::create_new(&path)?))?;
            return Ok(());
        }
        let Some(below) = below_modules(&entry.path) else { return Ok(()) };
        // Links to headers that are not there, `build` and `source`; and what only says where debug symbols are.
        if matches!(below.split_once('/'), Some((_, "build" | "source" | "System.map"))) {
            return Ok(());
        }
        let path = TarPath::new(format!("usr/lib/modules/{below}"))?;
        let mtime = epoch.map_or(entry.mtime, |epoch| entry.mtime.min(epoch.0));
        let (kind, size) = match entry.kind {
            DebEntryKind::File(size) => (TarEntryKind::File, size),
            DebEntryKind::Directory => (TarEntryKind::Directory, 0),
            DebEntryKind::Link(target) => (TarEntryKind::Symlink(target.into_bytes()), 0),
            DebEntryKind::Hard(_) => {
                return Err(BuiltinError::from(StepFailure::input(format!(
                    "{path} is a hard link, which is not supported in kernel packages"
                ))));
            }
        };
        if kind != TarEntryKind::Directory && self.entries.contains_key(&path) {
            return Err(BuiltinError::from(StepFailure::input(format!(
                "more than one of the kernel's packages has {path}"
            ))));
        }
        let at = self.spooled;
        if size > 0 {
            let spool = context.scratch.join("modules");
            self.spooled += fs::context("write", &spool, copy(data, &mut self.spool))?;
        }
        let model = TarEntry {
            kind,
            size,
            uid: entry.uid,
            gid: entry.gid,
            ..TarEntry::file(path.clone(), entry.mode, mtime, size)
        };
        self.entries.insert(path, (model, at));
        Ok(())
    }

    /// The one directory below `modules`.
    fn release(&self) -> Result<String, BuiltinError> {
        let mut releases: Vec<&[u8]> = self.entries.keys().filter_map(|path| path.parts().nth(3)).collect();
        releases.dedup();
        match releases.as_slice() {
            [one] => Ok(String::from_utf8_lossy(one).into_owned()),
            [] => Err(BuiltinError::from(StepFailure::input("the kernel's packages have no modules".to_owned()))),
            _ => Err(BuiltinError::from(StepFailure::input(
                "the kernel's packages have modules of more than one kernel".to_owned(),
            ))),
        }
    }

    fn write_tar(&self, context: &BuiltinContext<'_>, spool: &File) -> Result<(), BuiltinError> {
        let newest = self.entries.values().map(|(entry, _)| entry.mtime).max().unwrap_or_default();
        let mut entries = self.entries.clone();
        for path in ["usr", "usr/lib", "usr/lib/modules"] {
            let path = TarPath::new(path)?;
            entries.entry(path.clone()).or_insert_with(|| (TarEntry::directory(path, 0o755, newest), 0));
        }
        let path = context.out.join("modules.tar");
        let mut tar = TarWriter::new(std::io::BufWriter::new(fs::create_new(&path)?));
        for (entry, at) in entries.values() {
            tar.append(entry, part(spool, *at, entry.size))?;
        }
        tar.finish()?;
        Ok(())
    }
}

/// What lies below the directory of modules.
fn below_modules(path: &str) -> Option<&str> {
    PLACES.iter().find_map(|place| path.strip_prefix(place))
}

/// The output that a file is, with the kernel's release: `boot/vmlinuz-6.12.57`, `usr/lib/modules/7.3.4/vmlinuz`.
fn boot_file(path: &str) -> Option<(&'static str, &str)> {
    BOOT.iter().find_map(|&(boot, beside, output)| {
        let release = path.strip_prefix(boot).or_else(|| below_modules(path)?.strip_suffix(beside)?.strip_suffix('/'));
        release.filter(|release| !release.contains('/')).map(|release| (output, release))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_where_debian_put_them_and_puts_them_now() {
        let release = "7.3.4+deb13-cloud-amd64";
        for path in [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")] {
            assert_eq!(boot_file(&path), Some(("vmlinuz", release)), "{path}");
        }
        for path in [format!("boot/config-{release}"), format!("lib/modules/{release}/config")] {
            assert_eq!(boot_file(&path), Some(("kernel.config", release)), "{path}");
        }
        for path in ["boot/System.map-7.3.4", "usr/lib/modules/7.3.4/kernel/config", "usr/lib/modules/config"] {
            assert_eq!(boot_file(path), None, "{path}");
        }
    }
}
