//! Modules that a build left, as an archive or as a directory: what `make modules_install` installs.
//!
//! Contents are copied and nothing else of the archive: modes, owners and times are kiln's. Indexes are left out, because the locked
//! depmod makes them anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{BuiltinContext, BuiltinError, input, wrong};
use crate::exec::builtin::part;
use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::format::linux::is_release;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};
use crate::plan::ready::{MODULES, MODULES_TAR, ReadyFile, ReadyKernel};
use crate::recipe::directory::{Directory, Modes};
use crate::world::dir::Dir;
use crate::world::fs;

/// Entries of an archive; a distribution's kernel has some 5,000.
const MAX_ENTRIES: usize = 200_000;
/// Where modules are installed, before and since the merge of `/lib` into `/usr/lib`.
const PLACES: [&str; 2] = ["lib/modules", "usr/lib/modules"];
/// Links into the tree that the kernel was compiled in.
const TREE_LINKS: [&[u8]; 2] = [b"build", b"source"];
/// What depmod makes of the rest (kmod `tools/depmod.c`).
const INDEXES: [&[u8]; 12] = [
    b"modules.alias",
    b"modules.alias.bin",
    b"modules.builtin.alias.bin",
    b"modules.builtin.bin",
    b"modules.dep",
    b"modules.dep.bin",
    b"modules.devname",
    b"modules.softdep",
    b"modules.symbols",
    b"modules.symbols.bin",
    b"modules.weakdep",
    b"modules.depmod.log",
];
/// How archives begin that are compressed, with the program's name.
const COMPRESSED: [(&[u8], &str); 4] =
    [(&[0x1f, 0x8b], "gzip"), (b"\xfd7zXZ", "xz"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"BZh", "bzip2")];

/// Input `modules`, output `modules.tar`. `release` is what the kernel calls itself.
pub(super) fn run(context: &BuiltinContext<'_>, spec: &ReadyKernel, release: Option<&str>) -> Result<(), BuiltinError> {
    let path = input(context, MODULES)?;
    let archive = match fs::open_unless_directory(path)? {
        Some(file) => file,
        None => packed(context, path)?,
    };
    plain(&archive, path)?;
    let mut found = Found::default();
    read(&archive, &mut found)?;
    let Some(name) = found.release else {
        return Err(odd("no directory `lib/modules/RELEASE` is in the modules that the build left").into());
    };
    if let Some(release) = release.filter(|release| *release != name) {
        return Err(odd(format!("these modules are for Linux {name}, and the kernel is {release}")).into());
    }
    let out = context.out.join(MODULES_TAR);
    write(&found.files, &archive, (spec.epoch.0, BufWriter::with_capacity(1 << 18, fs::create_new(&out)?)))
}

fn odd(message: impl std::fmt::Display) -> StepFailure {
    wrong(ReadyFile::Modules, message)
}

/// A directory as an archive in the step's own scratch space.
fn packed(context: &BuiltinContext<'_>, path: &Path) -> Result<File, BuiltinError> {
    let scratch = context.scratch.join("modules.tar");
    let directory = Directory::of(&Dir::open(path)?, Modes::Executable).map_err(odd)?;
    directory.pack(&mut fs::create_new(&scratch)?).map_err(odd)?;
    Ok(fs::open(&scratch)?)
}

/// Says what a compressed archive is, which would otherwise be one with a wrong checksum.
fn plain(archive: &File, path: &Path) -> Result<(), BuiltinError> {
    let mut head = [0; 8];
    let read = fs::context("read", path, archive.read_at(&mut head, 0))?;
    match COMPRESSED.iter().find(|(magic, _)| head[..read].starts_with(magic)) {
        Some((_, program)) => {
            let failure = odd(format!("the archive of modules is compressed by {program}"));
            Err(failure.help("let the build leave a plain tar archive, or a directory").into())
        }
        None => Ok(()),
    }
}

/// Files and directories below `usr/lib/modules`, with the places of their contents.
#[derive(Default)]
struct Found {
    release: Option<String>,
    files: BTreeMap<TarPath, (TarEntryKind, u64, u64)>,
}

fn read(archive: &File, found: &mut Found) -> Result<(), BuiltinError> {
    let mut reader = TarReader::of_headers(archive);
    let mut entries = 0;
    let broken = |error| odd(format!("the archive of modules is not one that kiln takes: {error}"));
    while let Some(entry) = reader.next_entry().map_err(broken)? {
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(odd(format!("too many entries in the modules (limit {MAX_ENTRIES})")).into());
        }
        if interrupt::stopped() {
            return Err(StepFailure::input("interrupted").into());
        }
        found.take(&entry, reader.offset())?;
        reader.pass_content().map_err(broken)?;
    }
    Ok(())
}

impl Found {
    fn take(&mut self, entry: &TarEntry, offset: u64) -> Result<(), StepFailure> {
        let parts: Vec<&[u8]> = entry.path.parts().collect();
        let above = |place: &str| place.as_bytes().split(|byte| *byte == b'/').zip(&parts).all(|(a, b)| a == *b);
        let place = PLACES.iter().find(|place| above(place)).map(|place| place.split('/').count());
        let below = match place {
            Some(length) if parts.len() > length => &parts[length..],
            // The directories on the way.
            Some(_) if entry.is_directory() => return Ok(()),
            None if parts.is_empty() && entry.is_directory() => return Ok(()),
            _ => return Err(odd(format!("`{}` is not below `lib/modules/RELEASE`", entry.path))),
        };
        let release = below[0];
        if !is_release(release) || (below.len() == 1 && !entry.is_directory()) {
            return Err(odd(format!("`{}` is not a directory that is called like a release of Linux", entry.path)));
        }
        let release = String::from_utf8_lossy(release).into_owned();
        match &self.release {
            Some(known) if *known != release => {
                return Err(odd(format!("modules of two kernels, {known} and {release}, are in one output")));
            }
            _ => self.release = Some(release),
        }
        let is_top = |names: &[&[u8]]| below.len() == 2 && names.contains(&below[1]);
        let size = match &entry.kind {
            TarEntryKind::Symlink(_) if is_top(&TREE_LINKS) => return Ok(()),
            TarEntryKind::File if is_top(&INDEXES) => return Ok(()),
            TarEntryKind::File => entry.size,
            TarEntryKind::Directory => 0,
            TarEntryKind::Symlink(_) | TarEntryKind::Hardlink(_) => {
                return Err(odd(format!("`{}` is a link, and modules are files", entry.path)));
            }
            _ => return Err(odd(format!("`{}` is neither a file nor a directory", entry.path))),
        };
        let path = [b"usr/lib/modules/".as_slice(), &below.join(&b'/')].concat();
        let path = TarPath::new(path).map_err(odd)?;
        match self.files.insert(path, (entry.kind.clone(), size, offset)) {
            Some((TarEntryKind::Directory, ..)) if entry.is_directory() => Ok(()),
            None => Ok(()),
            Some(_) => Err(odd(format!("`{}` is in the modules more than once", entry.path))),
        }
    }
}

/// A canonical archive: directories that are missing are added, and a file in the place of one is an error.
fn write(
    files: &BTreeMap<TarPath, (TarEntryKind, u64, u64)>,
    archive: &File,
    (epoch, out): (i64, impl std::io::Write),
) -> Result<(), BuiltinError> {
    let mut all = files.clone();
    for path in files.keys() {
        let mut above = path.parent();
        while let Some(directory) = above.filter(|path| *path != TarPath::root()) {
            match all.get(&directory) {
                Some((TarEntryKind::Directory, ..)) => break,
                Some(_) => return Err(odd(format!("`{path}` lies below something that is not a directory")).into()),
                None => {}
            }
            above = directory.parent();
            all.insert(directory, (TarEntryKind::Directory, 0, 0));
        }
    }
    let mut tar = TarWriter::new(out);
    for (path, (kind, size, offset)) in all {
        if interrupt::stopped() {
            return Err(StepFailure::input("interrupted").into());
        }
        match kind {
            TarEntryKind::Directory => tar.append_empty(&TarEntry::directory(path, 0o755, epoch))?,
            _ => {
                let content = part(archive, offset, size).take(size);
                tar.append(&TarEntry::file(path, 0o644, epoch, size), content)?;
            }
        }
    }
    tar.finish()?;
    Ok(())
}
