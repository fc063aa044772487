//! [`crate::plan::Builtin::Split`]: the tree of a disk, cut where its partitions are mounted.
//!
//! Input: one canonical archive. Output: one for each file system, with paths relative to where that is mounted. A mount
//! point stays, as an empty directory, in the file system above; its owner and mode become those of the partition's root,
//! which mke2fs takes from nowhere. Names of one file in two file systems become two files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};

use super::{BuiltinContext, BuiltinError, input, part};
use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};
use crate::plan::{Statement, disk};
use crate::world::fs;

/// Input `root.tar`; outputs as [`disk`] names them.
pub(super) fn run(context: &BuiltinContext<'_>, mounts: &[String]) -> Result<(), BuiltinError> {
    let path = input(context, disk::TREE)?;
    let paths: Result<Vec<TarPath>, _> =
        mounts.iter().map(|mount| TarPath::new(mount.trim_start_matches('/'))).collect();
    let mut split = Split {
        source: fs::open(path)?,
        mounts: paths?,
        files: BTreeMap::new(),
        roots: vec![None; mounts.len()],
        first: BTreeMap::new(),
    };
    let mut writers = vec![writer(context, disk::TREE)?];
    for at in 0..mounts.len() {
        writers.push(writer(context, &disk::part_tree(at))?);
    }
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 18, fs::open(path)?));
    while let Some(entry) = reader.next_entry()? {
        if interrupt::stopped() {
            return Err(StepFailure::input("interrupted").into());
        }
        split.entry(entry, reader.offset(), &mut writers)?;
    }
    for writer in writers {
        writer.finish()?;
    }
    for (at, (mount, root)) in mounts.iter().zip(&split.roots).enumerate() {
        let commands = commands(mount, root.as_ref())?;
        fs::write_atomically(&context.out.join(disk::part_commands(at)), commands.as_bytes())?;
    }
    Ok(())
}

type Archive = TarWriter<BufWriter<File>>;

fn writer(context: &BuiltinContext<'_>, name: &str) -> Result<Archive, BuiltinError> {
    Ok(TarWriter::new(BufWriter::with_capacity(1 << 18, fs::create_new(&context.out.join(name))?)))
}

/// What debugfs does to the root of a partition.
fn commands(mount: &str, root: Option<&TarEntry>) -> Result<String, BuiltinError> {
    let refused = |message: String| {
        let failure = StepFailure::recipe(Statement::Partition(mount.to_owned()), message);
        BuiltinError::from(failure.help(format!("add `directory \"{mount}\" {{ }}` to the image")))
    };
    let root = root.ok_or_else(|| refused(format!("there is no directory `{mount}` in the image to mount it at")))?;
    if !root.is_directory() {
        let message = format!("`{mount}` is not a directory in the image, so nothing can be mounted there");
        return Err(StepFailure::recipe(Statement::Partition(mount.to_owned()), message).into());
    }
    let TarEntry { mode, uid, gid, .. } = root;
    Ok(format!("sif / mode 0{:o}\nsif / uid {uid}\nsif / gid {gid}\n", 0o40000 | mode))
}

struct Split {
    source: File,
    mounts: Vec<TarPath>,
    /// Every plain file by its first name, and where its content is.
    files: BTreeMap<TarPath, (TarEntry, u64)>,
    /// What the whole tree has at each mount point.
    roots: Vec<Option<TarEntry>>,
    /// By archive and by the first name of a file: its first name there.
    first: BTreeMap<(usize, TarPath), TarPath>,
}

impl Split {
    fn entry(&mut self, entry: TarEntry, offset: u64, writers: &mut [Archive]) -> Result<(), BuiltinError> {
        let whole = entry.path.clone();
        if let Some(at) = self.mounts.iter().position(|mount| *mount == whole) {
            self.roots[at] = Some(entry.clone());
        }
        let (archive, path) = self.place(&whole)?;
        let writer = &mut writers[archive];
        let entry = TarEntry { path: path.clone(), ..entry };
        match &entry.kind {
            TarEntryKind::Hardlink(target) => self.link((archive, path), target.clone(), (entry.clone(), writer)),
            TarEntryKind::File => {
                self.first.insert((archive, whole.clone()), path);
                self.files.insert(whole, (entry.clone(), offset));
                Ok(writer.append(&entry, part(&self.source, offset, entry.size))?)
            }
            _ => Ok(writer.append_empty(&entry)?),
        }
    }

    /// Another name of a file: a link where the file has a name in this archive, else the file once more.
    fn link(
        &mut self,
        (archive, path): (usize, TarPath),
        target: TarPath,
        (link, writer): (TarEntry, &mut Archive),
    ) -> Result<(), BuiltinError> {
        if let Some(first) = self.first.get(&(archive, target.clone())) {
            let entry = TarEntry { kind: TarEntryKind::Hardlink(first.clone()), ..link };
            return Ok(writer.append_empty(&entry)?);
        }
        let Some((file, offset)) = self.files.get(&target) else {
            return Err(StepFailure::input(format!("{path} is a hard link to something that is not a file")).into());
        };
        let entry = TarEntry { path: path.clone(), ..file.clone() };
        writer.append(&entry, part(&self.source, *offset, entry.size))?;
        self.first.insert((archive, target), path);
        Ok(())
    }

    /// Which archive takes a path, and its path there: the innermost mount point above it decides.
    fn place(&self, path: &TarPath) -> Result<(usize, TarPath), BuiltinError> {
        let below = |mount: &TarPath| {
            let rest = path.as_bytes().strip_prefix(mount.as_bytes())?.strip_prefix(b"/")?;
            Some((mount.as_bytes().len(), rest))
        };
        let inner = self.mounts.iter().enumerate().filter_map(|(at, mount)| Some((at, below(mount)?)));
        match inner.max_by_key(|(_, (length, _))| *length) {
            Some((at, (_, rest))) => Ok((at + 1, TarPath::new(rest)?)),
            None => Ok((0, path.clone())),
        }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
