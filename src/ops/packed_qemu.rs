//! The locked QEMU as one file of the result directory: an archive that starts on any Linux of its architecture.
//!
//! Input: the tree of a QEMU in the store. Output: a blob with the same tree as a tar archive, a script that starts QEMU
//! with the tree's own loader, libraries, firmware and modules, and a copy of that loader beside QEMU: one that is relocatable
//! looks for its files around the program that Linux has started, which then is the loader. Equal trees give equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Read, Write};

use super::artifacts::{PackedQemu, PackedQemus, machine_directory};
use super::error::OpsError;
use super::load::Ready;
use super::qemu_tree;
use crate::base::Arch;
use crate::deliver::launch::{DELIVERED_QEMU, DeliveredQemu, QEMU_LOADER, QemuPlaces, starter};
use crate::exec::Realized;
use crate::format::tar::{TarEntry, TarError, TarPath, TarWriter};
use crate::lock::LockedFile;
use crate::plan::id::TREE;
use crate::recipe::machine::Machine;
use crate::store::{Output, Store, StoredTree, TreeItem};

/// The time of every file: some programs warn of 1970.
const TIME: i64 = 315_532_800;
/// What a program in machine code begins with (elf(5)).
const ELF: &[u8; 4] = b"\x7fELF";
/// Where packages and QEMU's own `make install` put firmware.
const FIRMWARE: [&str; 4] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu", "usr/local/share/qemu"];
/// What the path of a directory with modules ends with.
const MODULES: &str = "/qemu";

/// Packs the QEMU of every machine. Where all have the same one, they share the file.
pub(super) fn pack(ready: &Ready<'_>, realized: &Realized) -> Result<PackedQemus, OpsError> {
    let mut files: BTreeMap<&str, LockedFile> = BTreeMap::new();
    // Packages may have the QEMUs of several architectures, and the script starts one of them.
    let mut packed: BTreeMap<(usize, Arch), LockedFile> = BTreeMap::new();
    for machine in ready.loaded.recipe.machines.values() {
        let (step, arch) = (ready.plan.qemu[&machine.name], machine.arch());
        let file = match packed.get(&(step, arch)) {
            Some(file) => *file,
            None => blob(&ready.store, realized.output(step, TREE), machine)?,
        };
        packed.insert((step, arch), file);
        files.insert(&machine.name, file);
    }
    let is_one = files.values().map(|file| file.sha256).collect::<BTreeSet<_>>().len() == 1;
    let one = |(machine, file): (&str, LockedFile)| {
        let directory = machine_directory(ready, machine);
        let is_above = is_one && !directory.as_os_str().is_empty();
        let name = if is_above { DELIVERED_QEMU.into() } else { directory.join(DELIVERED_QEMU) };
        let above = if is_above { "../" } else { "" };
        let delivered = DeliveredQemu { file: format!("{above}{DELIVERED_QEMU}"), sha256: file.sha256 };
        (machine.to_owned(), PackedQemu { name: name.display().to_string(), file, delivered })
    };
    Ok(files.into_iter().map(one).collect())
}

/// One tree as a blob.
fn blob(store: &Store, output: Option<&Output>, machine: &Machine) -> Result<LockedFile, OpsError> {
    qemu_tree::tree_with_qemu(store, output, machine)?;
    let Some(Output::Tree { root, .. }) = output else { return Err(OpsError::NoQemu(machine.name.clone())) };
    let tree = store.stored_tree(root)?;
    let mut out = BufWriter::with_capacity(1 << 20, store.writer()?);
    write(&tree, machine.arch().facts().qemu.program, &mut out)?;
    let writer = out.into_inner().map_err(|error| failed(TarError::Io(error.into_error())))?;
    let (sha256, size) = writer.finish()?;
    Ok(LockedFile { size, sha256 })
}

/// Writes the archive of a tree.
fn write(tree: &StoredTree, program: &str, out: &mut dyn Write) -> Result<(), OpsError> {
    let mut parts = BTreeMap::new();
    for (name, item) in tree.items() {
        parts.insert(TarPath::new(name).map_err(failed)?, Part::of(name, item));
    }
    let is_elf = is_elf(tree, program);
    let loader = loader(tree).filter(|_| is_elf);
    let places = if is_elf { places(tree, loader) } else { QemuPlaces::default() };
    let text = starter(program, &places);
    if let Some(loader) = loader {
        parts.insert(TarPath::new(QEMU_LOADER).map_err(failed)?, Part::File { name: loader, mode: 0o755 });
    }
    parts.insert(TarPath::new(program).map_err(failed)?, Part::Text(text));
    let mut archive = TarWriter::new(out);
    for (path, part) in parts {
        match part {
            Part::File { name, mode } => {
                let (file, size) = tree.open(name)?;
                append(&mut archive, &TarEntry::file(path, mode, TIME, size), &mut { file })?;
            }
            Part::Directory => append(&mut archive, &TarEntry::directory(path, 0o755, TIME), &mut std::io::empty())?,
            Part::Link(target) => append(&mut archive, &TarEntry::symlink(path, target, TIME), &mut std::io::empty())?,
            Part::Text(text) => {
                append(&mut archive, &TarEntry::file(path, 0o755, TIME, text.len() as u64), &mut text.as_bytes())?;
            }
        }
    }
    archive.finish().map(drop).map_err(failed)
}

fn append(archive: &mut TarWriter<&mut dyn Write>, entry: &TarEntry, content: &mut dyn Read) -> Result<(), OpsError> {
    archive.append(entry, content).map_err(failed)
}

fn failed(error: TarError) -> OpsError {
    OpsError::parse(DELIVERED_QEMU, error)
}

/// What becomes an entry of the archive.
enum Part<'a> {
    File { name: &'a str, mode: u32 },
    Directory,
    Link(String),
    Text(String),
}

impl<'a> Part<'a> {
    fn of(name: &'a str, item: TreeItem<'_>) -> Part<'a> {
        match item {
            TreeItem::Directory => Part::Directory,
            TreeItem::File { executable } => Part::File { name, mode: if executable { 0o755 } else { 0o644 } },
            TreeItem::Link(target) => Part::Link(below_root(name, target)),
        }
    }
}

/// The target of a link that keeps leading into the tree, wherever the tree is unpacked.
fn below_root(name: &str, target: &str) -> String {
    match target.strip_prefix('/') {
        Some(path) => format!("{}{}", "../".repeat(name.matches('/').count()), path.trim_start_matches('/')),
        None => target.to_owned(),
    }
}

fn base_name(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Whether QEMU is a program in machine code. A script in its place finds by itself what it needs.
fn is_elf(tree: &StoredTree, program: &str) -> bool {
    let mut start = [0; ELF.len()];
    let opened = tree.open(&format!("usr/bin/{program}"));
    opened.is_ok_and(|(mut file, _)| file.read_exact(&mut start).is_ok() && start == *ELF)
}

/// The program that loads libraries. A QEMU that is linked statically comes without one.
fn loader(tree: &StoredTree) -> Option<&str> {
    let is_loader = |name: &str| {
        let base = base_name(name).1;
        base.starts_with("ld-linux") && base.contains(".so")
    };
    let executable = |item: &TreeItem<'_>| matches!(item, TreeItem::File { executable: true });
    tree.items().find(|(name, item)| executable(item) && is_loader(name)).map(|(name, _)| name)
}

/// Where the tree has what its QEMU looks for. The names become words of a shell script, so that odd ones are left out.
fn places(tree: &StoredTree, loader: Option<&str>) -> QemuPlaces {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
    let files = tree.items().filter(|(_, item)| *item != TreeItem::Directory).map(|(name, _)| base_name(name));
    let files: Vec<(&str, &str)> = files.filter(|(home, _)| is_plain(home)).collect();
    let is_library = |(_, base): &&(&str, &str)| loader.is_some() && base.starts_with("lib") && base.contains(".so");
    let is_module = |(home, base): &&(&str, &str)| home.ends_with(MODULES) && base.ends_with(".so");
    let has = |directory: &&&str| tree.items().any(|(name, item)| name == **directory && item == TreeItem::Directory);
    QemuPlaces {
        libraries: files.iter().filter(is_library).map(|(home, _)| (*home).to_owned()).collect(),
        firmware: FIRMWARE.iter().filter(has).map(|directory| (*directory).to_owned()).collect(),
        modules: files.iter().find(is_module).map(|(home, _)| (*home).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tar::TarReader;
    use crate::world::fs;

    fn stored(store: &Store, loader: bool) -> Output {
        let place = store.scratch("tree").unwrap();
        let mut files = vec![("usr/bin/qemu-system-x86_64", "\x7fELF..."), ("usr/lib/$(id)/libevil.so", "x")];
        files.extend(loader.then_some(("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "loader")));
        files.extend([("usr/lib/x86_64-linux-gnu/libc.so.6", "c"), ("usr/share/qemu/bios.bin", "bios")]);
        files.push(("usr/lib/x86_64-linux-gnu/qemu/accel-tcg.so", "module"));
        for (name, text) in files {
            fs::create_dir_all(place.join(name).parent().unwrap()).unwrap();
            fs::write_with_mode(&place.join(name), text.as_bytes(), if text.len() > 4 { 0o755 } else { 0o644 })
                .unwrap();
        }
        std::os::unix::fs::symlink("/usr/lib/x86_64-linux-gnu", place.join("usr/lib64")).unwrap();
        store.import_tree(&place).unwrap()
    }

    fn entries(store: &Store, output: &Output) -> BTreeMap<String, (TarEntry, String)> {
        let Output::Tree { root, .. } = output else { panic!("a tree") };
        let mut bytes = Vec::new();
        write(&store.stored_tree(root).unwrap(), "qemu-system-x86_64", &mut bytes).unwrap();
        let mut again = Vec::new();
        write(&store.stored_tree(root).unwrap(), "qemu-system-x86_64", &mut again).unwrap();
        assert!(bytes == again, "equal trees give equal bytes");
        let mut reader = TarReader::new(&bytes[..]);
        let mut found = BTreeMap::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            found.insert(entry.path.to_string(), (entry, text));
        }
        found
    }

    #[test]
    fn the_archive_has_the_tree_its_loader_beside_qemu_and_a_script() {
        let scratch = std::env::temp_dir().join(format!("kiln-packed-qemu-{}", std::process::id()));
        let store = Store::open(&scratch).unwrap();
        let found = entries(&store, &stored(&store, true));
        assert_eq!(found["/usr/bin/kiln-loader"].1, "loader");
        assert_eq!(found["/usr/share/qemu/bios.bin"].1, "bios");
        let (script, text) = &found["/qemu-system-x86_64"];
        assert_eq!(script.mode, 0o755);
        assert!(text.contains("usr/bin/qemu-system-x86_64\" -L \"$here/usr/share/qemu\" \"$@\""), "{text}");
        assert!(text.contains("QEMU_MODULE_DIR=\"$here/usr/lib/x86_64-linux-gnu/qemu\"\n"), "{text}");
        assert!(text.contains("--library-path \"$here/usr/lib/x86_64-linux-gnu\"") && !text.contains("id"), "{text}");
        let link = &found["/usr/lib64"].0.kind;
        assert_eq!(*link, crate::format::tar::TarEntryKind::Symlink(b"../usr/lib/x86_64-linux-gnu".to_vec()));
        let found = entries(&store, &stored(&store, false));
        assert!(!found.contains_key("/usr/bin/kiln-loader"));
        assert!(found["/qemu-system-x86_64"].1.contains("exec \"$here/usr/bin/qemu-system-x86_64\""));
        drop(store);
        fs::remove_tree(&scratch).unwrap();
    }
}
