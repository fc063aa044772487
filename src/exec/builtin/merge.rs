//! Several canonical tars to one: later ones lie on top of earlier ones.
//!
//! First all headers are read, then contents are copied in the order of the paths: memory holds names, never contents.
//! A name points to an inode, as on a file system, so that a file that is replaced leaves its other names alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use super::{BuiltinContext, BuiltinError, part};
use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::format::ext4::write::SourceFile;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};
use crate::world::fs;

/// Symbolic links that a path may lead through: Linux's own bound (`MAXSYMLINKS`).
const LINK_LIMIT: usize = 40;

/// Inputs `*.tar` in the order of their names; output `merged.tar`.
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let (tree, files) = read(context)?;
    let out = BufWriter::with_capacity(1 << 18, fs::create_new(&context.out.join("merged.tar"))?);
    tree.write(&files, out)
}

/// The tree of the inputs `*.tar`, and these, in the order of their names.
pub(super) fn read(context: &BuiltinContext<'_>) -> Result<(Tree, Vec<File>), BuiltinError> {
    let mut files = Vec::new();
    let mut tree = Tree::default();
    for (name, path) in context.inputs.iter().filter(|(name, _)| name.ends_with(".tar")) {
        let source = files.len();
        let inside = |error| StepFailure::from(error).within(name);
        tree.read(source, &fs::open(path)?).map_err(inside)?;
        files.push(fs::open(path)?);
    }
    Ok((tree, files))
}

/// What lies at each path.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) inodes: Vec<SourceFile>,
    pub(super) names: BTreeMap<TarPath, usize>,
}

impl Tree {
    fn read(&mut self, source: usize, file: &File) -> Result<(), BuiltinError> {
        let mut reader = TarReader::of_headers(file);
        while let Some(entry) = reader.next_entry()? {
            if interrupt::stopped() {
                return Err(StepFailure::input("interrupted").into());
            }
            self.add(entry, source, reader.offset())?;
            reader.pass_content()?;
        }
        Ok(())
    }

    fn add(&mut self, mut entry: TarEntry, source: usize, offset: u64) -> Result<(), BuiltinError> {
        let path = self.resolve(&entry.path)?;
        self.ensure_parents(&path, entry.mtime)?;
        if let TarEntryKind::Hardlink(target) = &entry.kind {
            let target = self.resolve(target)?;
            let inode =
                self.names.get(&target).copied().filter(|inode| self.inodes[*inode].entry.kind == TarEntryKind::File);
            let inode = inode.ok_or_else(|| broken(&path, "is a hard link to something that is not a file"))?;
            self.check_replace(&path, false)?;
            self.names.insert(path, inode);
            return Ok(());
        }
        if entry.is_directory() && self.leads_to_directory(&path)? {
            return Ok(());
        }
        self.check_replace(&path, entry.is_directory())?;
        entry.path = path.clone();
        self.inodes.push(SourceFile { entry, source, offset });
        self.names.insert(path, self.inodes.len() - 1);
        Ok(())
    }

    fn at(&self, path: &TarPath) -> Option<&TarEntry> {
        self.names.get(path).map(|inode| &self.inodes[*inode].entry)
    }

    /// The path with every symbolic link on the way to its last part followed, as the guest would: `lib/modules` is
    /// `usr/lib/modules` where `lib` is a link to `usr/lib` (Debian's merged `/usr`).
    fn resolve(&self, path: &TarPath) -> Result<TarPath, BuiltinError> {
        let Some(parent) = path.parent() else { return Ok(path.clone()) };
        Ok(self.follow(&parent)?.join(path.name())?)
    }

    fn follow(&self, path: &TarPath) -> Result<TarPath, BuiltinError> {
        let mut rest: Vec<Vec<u8>> = path.parts().map(<[u8]>::to_vec).collect();
        rest.reverse();
        let mut at = TarPath::root();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().unwrap_or_else(TarPath::root);
                    continue;
                }
                _ => {}
            }
            let next = at.join(&part)?;
            let Some(TarEntryKind::Symlink(target)) = self.at(&next).map(|entry| &entry.kind) else {
                at = next;
                continue;
            };
            links += 1;
            if links > LINK_LIMIT {
                return Err(broken(path, "leads through too many symbolic links"));
            }
            if target.starts_with(b"/") {
                at = TarPath::root();
            }
            rest.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
        }
        Ok(at)
    }

    /// Directories that no input has are made like those of a fresh `mkdir`.
    fn ensure_parents(&mut self, path: &TarPath, mtime: i64) -> Result<(), BuiltinError> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(directory) = above {
            match self.at(&directory) {
                Some(entry) if entry.is_directory() => break,
                Some(_) => return Err(broken(path, "lies below something that is not a directory")),
                None => {}
            }
            above = directory.parent();
            missing.push(directory);
        }
        for directory in missing.into_iter().rev() {
            let entry = TarEntry::directory(directory.clone(), 0o755, mtime);
            self.inodes.push(SourceFile { entry, source: 0, offset: 0 });
            self.names.insert(directory, self.inodes.len() - 1);
        }
        Ok(())
    }

    /// Whether a symbolic link to a directory is there, which then stays.
    fn leads_to_directory(&self, path: &TarPath) -> Result<bool, BuiltinError> {
        match self.at(path).map(|entry| &entry.kind) {
            Some(TarEntryKind::Symlink(_)) => Ok(self.at(&self.follow(path)?).is_some_and(TarEntry::is_directory)),
            _ => Ok(false),
        }
    }

    fn check_replace(&self, path: &TarPath, directory: bool) -> Result<(), BuiltinError> {
        match self.at(path) {
            Some(before) if before.is_directory() != directory => {
                Err(broken(path, "is a directory in one archive and something else in another"))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, files: &[File], out: impl std::io::Write) -> Result<(), BuiltinError> {
        let mut tar = TarWriter::new(out);
        let mut first: Vec<Option<&TarPath>> = vec![None; self.inodes.len()];
        for (path, index) in &self.names {
            if interrupt::stopped() {
                return Err(broken(path, "was not processed before the build was interrupted"));
            }
            let inode = &self.inodes[*index];
            let mut entry = TarEntry { path: path.clone(), ..inode.entry.clone() };
            if let Some(target) = first[*index] {
                (entry.kind, entry.size) = (TarEntryKind::Hardlink(target.clone()), 0);
                tar.append_empty(&entry)?;
                continue;
            }
            first[*index] = Some(path);
            match files.get(inode.source) {
                Some(file) if entry.size > 0 => tar.append(&entry, part(file, inode.offset, entry.size))?,
                _ => tar.append_empty(&entry)?,
            }
        }
        tar.finish()?;
        Ok(())
    }
}

fn broken(path: &TarPath, what: &str) -> BuiltinError {
    BuiltinError::from(StepFailure::input(format!("{path} {what}")))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
