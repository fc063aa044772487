//! Trees: directories whose name is the digest of their REAPI `Directory` message, ready to be mounted.
//!
//! Like that message, a tree knows names, bytes, links and whether a file may be run; owners, modes and times are one
//! and the same everywhere. A tree is checked before every use: by the stamps of all its files when those are known,
//! else by reading it whole. Trees are not synced; so stamps are forgotten with a reboot, and a tree that a power cut
//! left incomplete is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;
use rayon::prelude::*;

use super::blob::{TIME, digest_of};
use super::stamp::Stamp;
use super::{Output, Presence, Store, StoreError};
use crate::base::Digest;
use crate::plan::reapi::{BlobDigest, Directory, DirectoryNode, FileNode, SymlinkNode, Tree};
use crate::world::fs;

/// Deeper directories are refused.
const DEPTH: usize = 128;

/// What a directory entry is.
#[derive(Debug)]
enum Kind {
    Directory,
    File { executable: bool },
    Link(String),
}

/// Every entry below a directory by relative path, which sorts a directory before what it holds.
type Entries = BTreeMap<String, Kind>;

impl Store {
    fn tree_path(&self, root: &Digest) -> PathBuf {
        self.root.join("tree").join(root.hex())
    }

    /// Takes a directory of this file system into the store; it is gone from where it was.
    pub fn import_tree(&self, directory: &Path) -> Result<Output, StoreError> {
        let entries = list(directory)?;
        protect(directory, &entries)?;
        let (root, tree) = messages(directory, &entries)?;
        let (root_bytes, tree_bytes) = (root.encode_to_vec(), tree.encode_to_vec());
        let digest = Digest::of(&root_bytes);
        let messages = self.put(&tree_bytes)?;
        if let Presence::Good(_) = self.check_tree(&digest)? {
            fs::remove_tree(directory)?;
        } else {
            let place = self.tree_path(&digest);
            fs::rename(directory, &place).map_err(|error| StoreError::at(&self.root, error))?;
            fs::protect(&place, 0o555, Some(TIME))?;
            self.note_tree(&digest, &place)?;
        }
        Ok(Output::Tree {
            root: digest,
            root_size: root_bytes.len() as u64,
            messages,
            messages_size: tree_bytes.len() as u64,
        })
    }

    /// Where a tree lies, after checking it.
    pub fn tree(&self, root: &Digest) -> Result<PathBuf, StoreError> {
        match self.check_tree(root)? {
            Presence::Good(path) => Ok(path),
            Presence::Missing => Err(StoreError::Missing(*root)),
            Presence::SetAside(aside) => Err(StoreError::Damaged { digest: *root, aside }),
        }
    }

    /// Whether a tree is there and sound; one that is not sound is set aside.
    pub(super) fn check_tree(&self, root: &Digest) -> Result<Presence, StoreError> {
        let path = self.tree_path(root);
        if !path.is_dir() {
            return Ok(Presence::Missing);
        }
        let known = self.recall(&note_name(root));
        if known.is_some() && known == fingerprint(&path).ok() {
            return Ok(Presence::Good(path));
        }
        // What cannot be read is not sound either.
        let sound = list(&path).and_then(|entries| messages(&path, &entries));
        if sound.is_ok_and(|(found, _)| Digest::of(&found.encode_to_vec()) == *root) {
            self.note_tree(root, &path)?;
            return Ok(Presence::Good(path));
        }
        // A directory can only be moved by those who may write it.
        fs::protect(&path, 0o755, None).map_err(|error| StoreError::at(&self.root, error))?;
        Ok(Presence::SetAside(self.set_aside(&path, root)?))
    }

    /// Makes the next check read the whole tree.
    pub(super) fn forget_tree(&self, root: &Digest) -> Result<(), StoreError> {
        Ok(fs::remove_file(&self.root.join("note").join(note_name(root).hex()))?)
    }

    fn note_tree(&self, root: &Digest, path: &Path) -> Result<(), StoreError> {
        self.note(&note_name(root), &fingerprint(path)?)
    }
}

fn note_name(root: &Digest) -> Digest {
    Digest::of(format!("tree {root}").as_bytes())
}

/// Digest over the stamps of everything in a tree, valid until the next reboot.
pub(super) fn fingerprint(path: &Path) -> Result<Vec<u8>, StoreError> {
    let boot = fs::read(Path::new("/proc/sys/kernel/random/boot_id"), 100).unwrap_or_default();
    let mut text = String::from_utf8_lossy(&boot).into_owned();
    for name in std::iter::once(String::new()).chain(list(path)?.into_keys()) {
        let stamp = Stamp::of(&fs::metadata(&path.join(&name))?);
        text.push_str(&format!("{} {name}\n", stamp.text()));
    }
    Ok(Digest::of(text.as_bytes()).hex().into_bytes())
}

/// Everything below `directory`; refuses what a tree cannot hold.
fn list(directory: &Path) -> Result<Entries, StoreError> {
    let mut entries = Entries::new();
    let mut open = vec![(String::new(), 0)];
    while let Some((prefix, depth)) = open.pop() {
        for name in fs::names(&directory.join(&prefix))? {
            let refuse = |reason: &str| StoreError::Tree {
                path: directory.join(&prefix).join(&name),
                reason: reason.to_owned(),
            };
            let name = name.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?;
            let relative = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let path = directory.join(&relative);
            let metadata = fs::metadata(&path)?;
            let kind = if metadata.is_dir() {
                if depth == DEPTH {
                    return Err(refuse("it lies too deep"));
                }
                open.push((relative.clone(), depth + 1));
                Kind::Directory
            } else if metadata.is_symlink() {
                let target = fs::context("read link", &path, path.read_link())?;
                Kind::Link(target.to_str().ok_or_else(|| refuse("its target is not UTF-8"))?.to_owned())
            } else if metadata.is_file() {
                Kind::File { executable: std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0 }
            } else {
                return Err(refuse("it is neither file, directory nor link"));
            };
            entries.insert(relative, kind);
        }
    }
    Ok(entries)
}

/// Gives everything the one mode and time; directories last, so that their content can still be changed.
fn protect(directory: &Path, entries: &Entries) -> Result<(), StoreError> {
    for (name, kind) in entries.iter().rev() {
        let path = directory.join(name);
        match kind {
            Kind::Directory => fs::protect(&path, 0o555, Some(TIME))?,
            Kind::File { executable } => fs::protect(&path, if *executable { 0o555 } else { 0o444 }, Some(TIME))?,
            Kind::Link(_) => fs::set_link_time(&path, TIME)?,
        }
    }
    Ok(())
}

/// The root's message, and the message with all directories.
fn messages(directory: &Path, entries: &Entries) -> Result<(Directory, Tree), StoreError> {
    let files: Vec<(&String, bool)> = entries
        .iter()
        .filter_map(|(name, kind)| if let Kind::File { executable } = kind { Some((name, *executable)) } else { None })
        .collect();
    let hashed: Result<Vec<FileNode>, StoreError> = files
        .par_iter()
        .map(|(name, executable)| {
            let path = directory.join(name);
            let (digest, size) = digest_of(fs::open(&path)?, &path)?;
            Ok(FileNode {
                name: base_name(name).to_owned(),
                digest: Some(BlobDigest::new(&digest, size)),
                is_executable: *executable,
            })
        })
        .collect();
    let mut directories: BTreeMap<&str, Directory> = BTreeMap::from([("", Directory::default())]);
    directories.extend(
        entries
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Directory))
            .map(|(name, _)| (name.as_str(), Directory::default())),
    );
    let home = |name: &str| name.rsplit_once('/').map_or("", |(home, _)| home).to_owned();
    for ((name, _), node) in files.iter().zip(hashed?) {
        directories.entry_of(&home(name)).files.push(node);
    }
    for (name, kind) in entries {
        if let Kind::Link(target) = kind {
            let node = SymlinkNode { name: base_name(name).to_owned(), target: target.clone() };
            directories.entry_of(&home(name)).symlinks.push(node);
        }
    }
    let root = fold(&mut directories);
    let children = directories.into_values().collect();
    Ok((root.clone(), Tree { root: Some(root), children }))
}

/// Takes the root out, after giving every directory the digests of those that it holds: deepest first, which is
/// the reverse order of paths.
fn fold(directories: &mut BTreeMap<&str, Directory>) -> Directory {
    let names: Vec<&str> = directories.keys().copied().filter(|name| !name.is_empty()).rev().collect();
    for name in names {
        sort(directories.entry_of(name));
        let bytes = directories.entry_of(name).encode_to_vec();
        let digest = Some(BlobDigest::new(&Digest::of(&bytes), bytes.len() as u64));
        let home = name.rsplit_once('/').map_or("", |(home, _)| home);
        directories.entry_of(home).directories.push(DirectoryNode { name: base_name(name).to_owned(), digest });
    }
    let mut root = directories.remove("").unwrap_or_default();
    sort(&mut root);
    root
}

/// The protocol wants entries sorted by name.
fn sort(directory: &mut Directory) {
    directory.files.sort_by(|a, b| a.name.cmp(&b.name));
    directory.directories.sort_by(|a, b| a.name.cmp(&b.name));
    directory.symlinks.sort_by(|a, b| a.name.cmp(&b.name));
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Every directory on a listed path was listed.
trait EntryOf {
    fn entry_of(&mut self, name: &str) -> &mut Directory;
}

impl EntryOf for BTreeMap<&str, Directory> {
    fn entry_of(&mut self, name: &str) -> &mut Directory {
        self.get_mut(name).expect("a listing has every directory before what it holds")
    }
}
