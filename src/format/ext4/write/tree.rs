//! Inodes and blocks of the tree, in the order that the module's header states.

use std::collections::BTreeMap;
use std::io;

use rayon::prelude::*;

use super::super::{BLOCK, RESERVED_INODES, SHORT_LINK};
use super::content::{ContentSource, Stretch, stretches};
use super::directory::{self, DIRECTORY, Name};
use super::inode::{InodeFields, TIMES};
use super::own::PRIVATE;
use super::xattr::{self, Attributes};
use super::{DiskTree, Ext4Options, Ext4WriteError, LOST_AND_FOUND_BLOCKS, SourceFile, Writer};
use crate::format::tar::{TarEntry, TarEntryKind, TarPath};

/// The kind within a mode.
pub(super) const KIND: u32 = 0o170_000;
pub(super) const DIRECTORY_MODE: u32 = 0o040_000;
const ROOT: u64 = 2;
/// Names of one file, and directories in a directory; of more of these, its inode says that they are not counted.
const MAX_LINKS: u64 = 65_000;
const LOST_AND_FOUND: &[u8] = b"lost+found";
/// A file has no more blocks than numbers of 32 bits count.
const MAX_FILE: u64 = (u32::MAX as u64) * BLOCK;

/// A tree in the order of its inodes.
pub(super) struct SortedTree<'a> {
    root: usize,
    /// What the tree has as `lost+found`.
    lost_and_found: Option<usize>,
    /// Everything else.
    files: Vec<usize>,
    /// The number of the inode of each file.
    numbers: Vec<u64>,
    /// How many names each has, or of a directory how many directories it has in it.
    links: Vec<u64>,
    /// Names in each directory.
    names: BTreeMap<usize, Vec<(&'a [u8], usize)>>,
    /// The directory of the swap file, its name, and its inode.
    swap: Option<(usize, &'a [u8], u64)>,
}

fn refuse(path: &TarPath, what: &'static str) -> Ext4WriteError {
    Ext4WriteError::File { path: path.to_string(), what }
}

/// Sorts a tree, and validates that ext4 can have it.
pub(super) fn sort<'a>(tree: DiskTree<'a>, options: &'a Ext4Options) -> Result<SortedTree<'a>, Ext4WriteError> {
    let is_directory = |file: usize| tree.files[file].entry.is_directory();
    let mut first: Vec<Option<&TarPath>> = vec![None; tree.files.len()];
    let mut links = vec![0; tree.files.len()];
    let mut names: BTreeMap<usize, Vec<(&[u8], usize)>> = BTreeMap::new();
    let mut order = Vec::new();
    for (path, &file) in tree.names {
        match path.parent() {
            None if is_directory(file) => {}
            None => return Err(refuse(path, "is no directory")),
            Some(parent) => {
                let parent = tree.names.get(&parent).copied().filter(|parent| is_directory(*parent));
                let parent = parent.ok_or_else(|| refuse(path, "lies in no directory"))?;
                names.entry(parent).or_default().push((path.name(), file));
                links[parent] += u64::from(is_directory(file));
            }
        }
        if first[file].is_none() {
            validate(&tree.files[file].entry)?;
            first[file] = Some(path);
            order.push(file);
        } else if is_directory(file) {
            return Err(refuse(path, "is a directory with two names"));
        }
        if !is_directory(file) {
            links[file] += 1;
            if links[file] > MAX_LINKS {
                return Err(refuse(&tree.files[file].entry.path, "has too many names (limit 65000)"));
            }
        }
    }
    let root = tree.names.get(&TarPath::root()).copied().ok_or_else(|| refuse(&TarPath::root(), "is not there"))?;
    let lost_and_found = names.get(&root).and_then(|names| names.iter().find(|(name, _)| *name == LOST_AND_FOUND));
    let lost_and_found = lost_and_found.map(|(_, file)| *file);
    if let Some(path) = lost_and_found.filter(|file| !is_directory(*file)).and_then(|file| first[file]) {
        return Err(refuse(path, "is no directory, and every ext4 file system has one of this name"));
    }
    order.retain(|file| *file != root && Some(*file) != lost_and_found);
    order.sort_by_key(|&file| {
        let SourceFile { entry, source, .. } = &tree.files[file];
        (entry.mtime >= options.time, *source, first[file])
    });
    let mut next = RESERVED_INODES + 1;
    let swap =
        options.swap.as_ref().map(|swap| swap_place(tree, &swap.path).map(|(directory, name)| (directory, name, next)));
    let swap = swap.transpose()?;
    next += u64::from(swap.is_some());
    let mut numbers = vec![0; tree.files.len()];
    order.iter().zip(next..).for_each(|(file, number)| numbers[*file] = number);
    numbers[root] = ROOT;
    lost_and_found.into_iter().for_each(|file| numbers[file] = RESERVED_INODES);
    Ok(SortedTree { root, lost_and_found, files: order, numbers, links, names, swap })
}

/// The directory of the swap file, and its name there.
fn swap_place<'a>(tree: DiskTree<'_>, path: &'a TarPath) -> Result<(usize, &'a [u8]), Ext4WriteError> {
    let directory = path.parent().and_then(|parent| tree.names.get(&parent).copied());
    let directory = directory.filter(|directory| tree.files[*directory].entry.is_directory());
    match directory {
        Some(_) if tree.names.contains_key(path) => Err(refuse(path, "is there, and is to be the swap file")),
        Some(directory) => Ok((directory, path.name())),
        None => Err(refuse(path, "is to be the swap file and lies in no directory")),
    }
}

fn validate(entry: &TarEntry) -> Result<(), Ext4WriteError> {
    if !TIMES.contains(&entry.mtime) {
        return Err(refuse(&entry.path, "has a time that ext4 cannot store (from 1901-12-13 to 2446-05-10)"));
    }
    if let TarEntryKind::CharDevice(device) | TarEntryKind::BlockDevice(device) = &entry.kind
        && (device.major > 0xfff || device.minor > 0xf_ffff)
    {
        return Err(refuse(&entry.path, "is a device whose number ext4 cannot store"));
    }
    if entry.size > MAX_FILE {
        return Err(refuse(&entry.path, "is larger than a file on ext4 can be (limit 16 TiB)"));
    }
    Ok(())
}

/// The stretches of every file, by its place in [`SortedTree::files`].
pub(super) fn contents<S: ContentSource>(
    tree: DiskTree<'_>,
    sorted: &SortedTree<'_>,
    sources: &[S],
    go_on: &(dyn Fn() -> io::Result<()> + Sync),
) -> Result<Vec<Vec<Stretch>>, Ext4WriteError> {
    let content = |file: &usize| {
        let SourceFile { entry, source, offset } = &tree.files[*file];
        match sources.get(*source) {
            Some(source) if entry.kind == TarEntryKind::File => stretches(source, (*offset, entry.size), go_on)
                .map_err(|source| Ext4WriteError::Content { path: entry.path.to_string(), source }),
            _ => Ok(Vec::new()),
        }
    };
    sorted.files.par_iter().map(content).collect()
}

impl Writer<'_> {
    /// Everything that is in the tree, and what belongs to it without being there.
    pub(super) fn files(
        &mut self,
        tree: DiskTree<'_>,
        sorted: &SortedTree<'_>,
        contents: &[Vec<Stretch>],
    ) -> Result<(), Ext4WriteError> {
        if let Some((_, _, number)) = sorted.swap {
            self.swap_file(number);
        }
        self.lost_and_found(tree, sorted)?;
        self.directory(tree, sorted, (sorted.root, ROOT, ROOT))?;
        let parents: BTreeMap<usize, u64> = sorted
            .names
            .iter()
            .flat_map(|(parent, names)| names.iter().map(|(_, child)| (*child, sorted.numbers[*parent])))
            .filter(|(child, _)| tree.files[*child].entry.is_directory())
            .collect();
        for (&file, stretches) in sorted.files.iter().zip(contents) {
            match parents.get(&file) {
                Some(parent) => self.directory(tree, sorted, (file, sorted.numbers[file], *parent))?,
                None => self.file(&tree.files[file], (sorted.numbers[file], sorted.links[file]), stretches)?,
            }
        }
        Ok(())
    }

    /// That of the tree, or an empty one; with room for names in either.
    fn lost_and_found(&mut self, tree: DiskTree<'_>, sorted: &SortedTree<'_>) -> Result<(), Ext4WriteError> {
        let number = RESERVED_INODES;
        if let Some(file) = sorted.lost_and_found {
            return self.directory(tree, sorted, (file, number, ROOT));
        }
        let least = LOST_AND_FOUND_BLOCKS as usize;
        let bytes = directory::blocks(&dots(number, ROOT), least, self.inode_seed(number));
        let (root, blocks) = self.put_whole(number, &bytes);
        let fields = self.plain(bytes.len() as u64, blocks, root);
        self.put_inode(number, &InodeFields { mode: DIRECTORY_MODE | 0o700, links: 2, ..fields });
        Ok(())
    }

    fn directory(
        &mut self,
        tree: DiskTree<'_>,
        sorted: &SortedTree<'_>,
        (file, number, parent): (usize, u64, u64),
    ) -> Result<(), Ext4WriteError> {
        let mut names = dots(number, parent);
        let children = sorted.names.get(&file).map(Vec::as_slice).unwrap_or_default();
        names.extend(children.iter().map(|(name, child)| Name {
            name,
            inode: sorted.numbers[*child],
            kind: kind(&tree.files[*child].entry.kind).0,
        }));
        let mut subdirectories = sorted.links[file];
        if file == sorted.root && sorted.lost_and_found.is_none() {
            names.push(Name { name: LOST_AND_FOUND, inode: RESERVED_INODES, kind: DIRECTORY });
            subdirectories += 1;
        }
        let swap = sorted.swap.filter(|(directory, _, _)| *directory == file);
        names.extend(swap.map(|(_, name, inode)| Name { name, inode, kind: kind(&TarEntryKind::File).0 }));
        names[2..].sort_by_key(|name| name.name);
        let least = if number == RESERVED_INODES { LOST_AND_FOUND_BLOCKS as usize } else { 1 };
        let bytes = directory::blocks(&names, least, self.inode_seed(number));
        let (root, blocks) = self.put_whole(number, &bytes);
        let entry = &tree.files[file].entry;
        let links = subdirectories + 2;
        // Linux counts no further only where a directory has an index, and it makes none for one that is this large.
        if links >= MAX_LINKS {
            return Err(refuse(&entry.path, "has too many directories in it (limit 64997)"));
        }
        self.put_entry(entry, number, InodeFields { links, ..self.plain(bytes.len() as u64, blocks, root) })
    }

    /// What is no directory.
    fn file(
        &mut self,
        file: &SourceFile,
        (number, links): (u64, u64),
        stretches: &[Stretch],
    ) -> Result<(), Ext4WriteError> {
        let fields = match &file.entry.kind {
            TarEntryKind::Symlink(target) if target.len() as u64 <= SHORT_LINK => {
                let mut block = [0; 60];
                block[..target.len()].copy_from_slice(target);
                InodeFields { flags: 0, ..self.plain(target.len() as u64, 0, block) }
            }
            TarEntryKind::Symlink(target) => {
                let (root, blocks) = self.put_whole(number, target);
                self.plain(target.len() as u64, blocks, root)
            }
            TarEntryKind::CharDevice(device) | TarEntryKind::BlockDevice(device) => {
                InodeFields { flags: 0, ..self.plain(0, 0, super::inode::device(*device)) }
            }
            TarEntryKind::Fifo => InodeFields { flags: 0, ..self.plain(0, 0, [0; 60]) },
            TarEntryKind::File | TarEntryKind::Directory | TarEntryKind::Hardlink(_) => {
                let (extents, root, blocks) = self.place(number, stretches, false);
                self.refer(&extents, file);
                self.plain(file.entry.size, blocks, root)
            }
        };
        self.put_entry(&file.entry, number, InodeFields { links, ..fields })
    }

    /// An inode with what an entry says of it.
    fn put_entry(&mut self, entry: &TarEntry, number: u64, fields: InodeFields) -> Result<(), Ext4WriteError> {
        let laid = xattr::attributes(&entry.xattrs);
        let Attributes { inode, block } = laid.ok_or_else(|| {
            refuse(&entry.path, "has extended attributes that ext4 cannot store (limit 4 KiB for those of one file), or that Linux knows nothing of")
        })?;
        let mut fields = InodeFields {
            mode: kind(&entry.kind).1 | (entry.mode & 0o7777),
            uid: entry.uid,
            gid: entry.gid,
            time: entry.mtime,
            rest: inode,
            ..fields
        };
        if let Some(mut block) = block {
            fields.attributes = self.block();
            fields.blocks += 1;
            xattr::seal(&mut block, fields.attributes, self.seed);
            self.disk.put(fields.attributes * BLOCK, &block);
        }
        self.put_inode(number, &fields);
        Ok(())
    }
}

fn dots<'a>(number: u64, parent: u64) -> Vec<Name<'a>> {
    let dot = |name, inode| Name { name, inode, kind: DIRECTORY };
    vec![dot(b".".as_slice(), number), dot(b"..", parent)]
}

/// A kind as directories say it, and as modes do.
fn kind(kind: &TarEntryKind) -> (u8, u32) {
    match kind {
        TarEntryKind::File | TarEntryKind::Hardlink(_) => (1, PRIVATE & KIND),
        TarEntryKind::Directory => (DIRECTORY, DIRECTORY_MODE),
        TarEntryKind::CharDevice(_) => (3, 0o020_000),
        TarEntryKind::BlockDevice(_) => (4, 0o060_000),
        TarEntryKind::Fifo => (5, 0o010_000),
        TarEntryKind::Symlink(_) => (7, 0o120_000),
    }
}
