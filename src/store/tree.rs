//! Trees: directories whose name is the digest of their REAPI `Directory` message, ready to be mounted.
//!
//! Like that message, a tree knows names, bytes, links and whether a file may be run; owners, modes and times are one
//! and the same everywhere. A tree is checked before every use: by the stamps of all its files when those are known,
//! else by reading it whole. Trees are not synced; so stamps are forgotten with a reboot, and a tree that a power cut
//! left incomplete is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use prost::Message;
use rayon::prelude::*;

use super::blob::digest_of;
use super::plain::{TIME, settle};
use super::stamp::Stamp;
use super::take::{Taking, replaced};
use super::walk::{Entries, Entry, Kind, list, list_own};
use super::{Output, Presence, Store, StoreError};
use crate::base::Digest;
use crate::plan::reapi::{BlobDigest, Directory, DirectoryNode, FileNode, SymlinkNode, Tree};
use crate::world::dir::{Dir, HeldEntry};
use crate::world::fs;

impl Store {
    fn tree_path(&self, root: &Digest) -> PathBuf {
        self.root.join("tree").join(root.hex())
    }

    /// Takes a directory of kiln's own file system space into the store; it is gone from where it was.
    pub fn import_tree(&self, directory: &Path) -> Result<Output, StoreError> {
        self.import(directory)
    }

    /// Takes the directory `name` of `from` into the store; it is gone from there.
    pub(super) fn take_tree(
        &self,
        from: &Dir,
        name: &str,
        (found, taking): (&HeldEntry, Taking<'_>),
    ) -> Result<Output, StoreError> {
        // A directory can only be moved by those who may write it. Where it is another's, moving says so.
        let _ = found.let_owner_in();
        let place = self.session.path("tree");
        from.rename_to(name, &place).map_err(|error| self.failure(error))?;
        let taken = Dir::open(&place).map_err(StoreError::from).and_then(|root| {
            if !found.is(&root.stat()?) {
                return Err(replaced(Path::new(name)));
            }
            self.keep_tree(&root, taking)
        });
        if taken.is_err() {
            // What cannot be removed is swept with the session.
            let _ = fs::remove_tree(&place);
        }
        taken.map_err(|error| match error {
            StoreError::Tree { path, refusal } => {
                StoreError::Output(format!("its output {name}/{path} cannot be stored: {refusal}"))
            }
            other => other.of(&self.root),
        })
    }

    /// Makes an object of a directory where no sandbox ever was.
    fn keep_tree(&self, root: &Dir, taking: Taking<'_>) -> Result<Output, StoreError> {
        let path = root.path();
        let entries = list_own(root)?;
        let mode = |executable| if executable { 0o555 } else { 0o444 } & if taking.private { 0o700 } else { 0o777 };
        let alike = Mutex::new(Vec::new());
        let (message, tree) = messages(&entries, &|name, entry, executable| {
            let file = self.settle_file(root, name, (entry, mode(executable)))?;
            let (digest, size) = digest_of(&file, &path.join(name), taking.stop)?;
            if !taking.private && self.share_blocks(root, name, (&digest, size), mode(executable)) {
                alike.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), digest));
            }
            Ok((digest, size))
        })?;
        self.settle_rest(root, &entries, mode(true))?;
        let (root_bytes, tree_bytes) = (message.encode_to_vec(), tree.encode_to_vec());
        let digest = Digest::of(&root_bytes);
        let messages = self.put(&tree_bytes)?;
        if let Presence::Good(_) = self.check_own_tree(&digest)? {
            fs::remove_tree(path)?;
        } else {
            let place = self.tree_path(&digest);
            // A directory can only be moved by those who may write it.
            root.set_mode(0o755)?;
            fs::rename(path, &place)?;
            fs::context("settle", &place, settle(root, mode(true), self.owner()).map_err(std::io::Error::from))?;
            self.note_tree(&digest, root)?;
            self.remember_alike(&digest, &alike.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(Output::Tree {
            root: digest,
            root_size: root_bytes.len() as u64,
            messages,
            messages_size: tree_bytes.len() as u64,
        })
    }

    /// Makes a file of a tree an object, or a copy where it has other names or belongs to somebody else.
    fn settle_file(&self, root: &Dir, name: &str, (entry, mode): (&Entry, u32)) -> Result<std::fs::File, StoreError> {
        let found = still(root, name, entry)?;
        if found.stat().st_nlink == 1 {
            let file = found.open_own()?;
            if settle(&file, mode, self.owner()).is_ok() {
                return Ok(file);
            }
        }
        let (file, path) = self.own(root, Path::new(name), &found)?;
        root.rename_from(&path, name)?;
        fs::context("settle", &path, settle(&file, mode, self.owner()).map_err(std::io::Error::from))?;
        Ok(file)
    }

    /// Directories and links; deepest first, so that their content can still be changed.
    fn settle_rest(&self, root: &Dir, entries: &Entries, mode: u32) -> Result<(), StoreError> {
        for (name, entry) in entries.iter().rev() {
            match entry.kind {
                Kind::Directory => {
                    let settled = settle(root.directory(name)?, mode, self.owner());
                    fs::context("settle", &root.path().join(name), settled.map_err(std::io::Error::from))?;
                }
                Kind::Link(_) => {
                    let owner = self.owner();
                    if super::plain::Owner::of(&entry.stat) != owner
                        && let Some(found) = root.look(name)?
                    {
                        found.set_owner(owner.uid, owner.gid)?;
                    }
                    root.set_link_time(Path::new(name), TIME)?;
                }
                Kind::File { .. } => {}
            }
        }
        Ok(())
    }

    /// Where a tree lies, after checking it.
    pub fn tree(&self, root: &Digest) -> Result<PathBuf, StoreError> {
        match self.check_tree(root)? {
            Presence::Good(path) => Ok(path),
            Presence::Missing => Err(StoreError::Missing(*root)),
            Presence::SetAside(aside) => Err(StoreError::Damaged { digest: *root, aside }),
        }
    }

    /// Whether a tree is there and sound, here or below; one that is not sound is set aside.
    pub(super) fn check_tree(&self, root: &Digest) -> Result<Presence, StoreError> {
        let found = self.check_own_tree(root)?;
        let below = if found == Presence::Missing { self.layers.tree(self, root) } else { None };
        Ok(below.map_or(found, Presence::Good))
    }

    /// The same of this store alone.
    pub(super) fn check_own_tree(&self, root: &Digest) -> Result<Presence, StoreError> {
        let path = self.tree_path(root);
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(Presence::Missing);
        }
        let dir = Dir::open(&path).map_err(StoreError::from);
        let known = self.recall(&note_name(root));
        // What cannot be read is not sound.
        let sound = dir.and_then(|dir| {
            self.take_over_tree(&dir)?;
            if known.is_some() && known == fingerprint(&dir).ok() {
                return Ok(true);
            }
            let sound = content(&dir, &|| false)? == *root;
            if sound {
                self.note_tree(root, &dir)?;
            }
            Ok(sound)
        });
        if sound.unwrap_or(false) {
            return Ok(Presence::Good(path));
        }
        // A directory can only be moved by those who may write it.
        fs::protect(&path, 0o755, None).map_err(|error| {
            match error.is_denied() && rustix::fs::lstat(&path).is_ok_and(|found| self.is_of_others(&found)) {
                true => StoreError::OfOthers { root: self.root.clone(), path: path.clone() },
                false => self.failure(error),
            }
        })?;
        Ok(Presence::SetAside(self.set_aside(&path, root)?))
    }

    /// Makes the next check read the whole tree.
    pub(super) fn forget_tree(&self, root: &Digest) -> Result<(), StoreError> {
        Ok(fs::remove_file(&self.root.join("note").join(note_name(root).hex()))?)
    }

    fn note_tree(&self, root: &Digest, dir: &Dir) -> Result<(), StoreError> {
        self.note(&note_name(root), &fingerprint(dir)?)
    }
}

pub(super) fn note_name(root: &Digest) -> Digest {
    Digest::of(format!("tree {root}").as_bytes())
}

/// Digest over the stamps of everything in a tree, valid until the next reboot.
pub(super) fn fingerprint(dir: &Dir) -> Result<Vec<u8>, StoreError> {
    let boot = fs::read(Path::new("/proc/sys/kernel/random/boot_id"), 100).unwrap_or_default();
    let mut text = String::from_utf8_lossy(&boot).into_owned();
    text.push_str(&format!("{}\n", Stamp::from(&dir.stat()?)));
    for (name, entry) in list(dir)? {
        text.push_str(&format!("{} {name:?}\n", Stamp::from(&entry.stat)));
    }
    Ok(Digest::of(text.as_bytes()).hex().into_bytes())
}

/// The digest of a tree, read whole.
pub(super) fn content(dir: &Dir, stop: &(dyn Fn() -> bool + Sync)) -> Result<Digest, StoreError> {
    let (root, _) = messages(&list(dir)?, &|name, entry, _| {
        let path = dir.path().join(name);
        digest_of(&still(dir, name, entry)?.open()?, &path, stop)
    })?;
    Ok(Digest::of(&root.encode_to_vec()))
}

/// The file that was listed, not one that came into its place.
pub(super) fn still(root: &Dir, name: &str, entry: &Entry) -> Result<HeldEntry, StoreError> {
    let found = root.look(name)?.filter(|found| found.is(&entry.stat));
    found.ok_or_else(|| replaced(Path::new(name)))
}

/// Gives the digest and size of a file that is executable or not.
type Hash<'a> = &'a (dyn Fn(&str, &Entry, bool) -> Result<(Digest, u64), StoreError> + Sync);

/// The root's message, and the message with all directories.
fn messages(entries: &Entries, hash: Hash<'_>) -> Result<(Directory, Tree), StoreError> {
    let file = |(name, entry)| match entry {
        &Entry { kind: Kind::File { executable }, .. } => Some((name, entry, executable)),
        _ => None,
    };
    let files: Vec<(&String, &Entry, bool)> = entries.iter().filter_map(file).collect();
    let hashed: Result<Vec<FileNode>, StoreError> = files
        .par_iter()
        .map(|(name, entry, executable)| {
            let (digest, size) = hash(name, entry, *executable)?;
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
            .filter(|(_, entry)| matches!(entry.kind, Kind::Directory))
            .map(|(name, _)| (name.as_str(), Directory::default())),
    );
    let home = |name: &str| name.rsplit_once('/').map_or("", |(home, _)| home).to_owned();
    for ((name, ..), node) in files.iter().zip(hashed?) {
        directories.entry_of(&home(name)).files.push(node);
    }
    for (name, entry) in entries {
        if let Kind::Link(target) = &entry.kind {
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
