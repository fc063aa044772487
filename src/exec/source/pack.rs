//! Archives of a source, whole or in part: what a step unpacks. Every file is compared with its digest on the way.

use std::io::{self, Read, Write};
use std::path::Path;

use super::{SourceEntry, SourceKind, SourceTree, SourceTreeError};
use crate::base::{Digest, Hasher};
use crate::format::tar::{TarEntry, TarError, TarWriter};
use crate::store::StoreError;
use crate::world::contents::Reading;
use crate::world::dir::{self, Dir};
use crate::world::fs;
use crate::world::plain::Plain;

/// When everything in an archive was written: on the second day of 1970, so that it is older than whatever is made of it,
/// and no program takes it for a time that is not known.
pub(super) const TIME: i64 = 86400;

impl SourceTree {
    /// Writes an archive of the entries that `wanted` wants; `stop` is asked now and then whether to give up.
    pub(in crate::exec) fn pack(
        &self,
        out: &mut dyn Write,
        wanted: &dyn Fn(&SourceEntry) -> bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), SourceTreeError> {
        let root = Dir::open(&self.root)?;
        let mut writer = TarWriter::new(io::BufWriter::with_capacity(1 << 20, out));
        for entry in self.entries.iter().filter(|entry| wanted(entry)) {
            if stop() {
                return Err(StoreError::Interrupted.into());
            }
            match entry.kind {
                SourceKind::Link => link(&root, entry, &mut writer)?,
                SourceKind::File => file(&root, (entry, 0o644), &mut writer)?,
                SourceKind::Executable => file(&root, (entry, 0o755), &mut writer)?,
                SourceKind::EmptyDirectory => directory(&root, entry, &mut writer)?,
            }
        }
        writer.finish()?.flush().map_err(TarError::from)?;
        Ok(())
    }
}

fn link(root: &Dir, entry: &SourceEntry, writer: &mut TarWriter<impl Write>) -> Result<(), SourceTreeError> {
    use std::os::unix::ffi::OsStrExt;
    let path = place(entry);
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let target = root.directory(parent)?.link(name)?;
    if Digest::of(target.as_bytes()) != entry.digest {
        return Err(changed(root, path));
    }
    Ok(writer.append_empty(&TarEntry::symlink(entry.path.clone(), target.as_bytes(), TIME))?)
}

fn directory(root: &Dir, entry: &SourceEntry, writer: &mut TarWriter<impl Write>) -> Result<(), SourceTreeError> {
    let path = place(entry);
    if root.directory(path)?.names(0)?.is_none() {
        return Err(changed(root, path));
    }
    Ok(writer.append_empty(&TarEntry::directory(entry.path.clone(), 0o755, TIME))?)
}

fn file(
    root: &Dir,
    (entry, mode): (&SourceEntry, u32),
    writer: &mut TarWriter<impl Write>,
) -> Result<(), SourceTreeError> {
    let path = place(entry);
    let held = root.look(path)?.ok_or_else(|| changed(root, path))?;
    let plain = Plain { file: held.open()?, size: held.stat().st_size as u64 };
    if plain.size != entry.size {
        return Err(changed(root, path));
    }
    let reading = fs::context("read", &root.path().join(path), Reading::start(&plain))?;
    let mut content = Hashing { reading, hasher: Hasher::new(io::sink()) };
    match writer.append(&TarEntry::file(entry.path.clone(), mode, TIME, entry.size), &mut content) {
        Err(_) if content.reading.changed() => return Err(changed(root, path)),
        appended => appended?,
    }
    if content.hasher.finish().1 == entry.digest { Ok(()) } else { Err(changed(root, path)) }
}

fn place(entry: &SourceEntry) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(entry.path.as_bytes()))
}

fn changed(root: &Dir, path: &Path) -> SourceTreeError {
    SourceTreeError::Changed(dir::shown(&root.path().join(path)))
}

/// Hashes what is read.
struct Hashing<'a> {
    reading: Reading<'a>,
    hasher: Hasher<io::Sink>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reading.read(buffer)?;
        self.hasher.write_all(&buffer[..count])?;
        Ok(count)
    }
}
