//! A tree as one stream: the bytes of its files, one after the other, in the order of its messages.
//!
//! The stream has no names, sizes or modes of its own. Whoever reads it has the tree's messages, which a digest names, and
//! knows from them how many bytes belong to which file and what digest each has: a stream can only be the right one or none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use super::walk::{DEPTH, ENTRIES};
use super::{Output, Store, StoreError, Taking, TreeRefusal};
use crate::base::{Digest, Hasher};
use crate::plan::reapi::{Directory, Tree};
use crate::world::dir::Dir;
use crate::world::fs;

/// No messages of a tree are larger.
const LIMIT: u64 = 256 << 20;
/// Modes of files that are on their way into the store, which reads from them whether a file may be run.
const PLAIN: u32 = 0o600;
const EXECUTABLE: u32 = 0o700;

/// What is at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Packed {
    Directory,
    File { digest: Digest, size: u64, executable: bool },
    Link(String),
}

/// A tree that is being made of a stream; it goes with this until it is finished.
pub struct TreeWriter<'a> {
    store: &'a Store,
    scratch: PathBuf,
    expected: Output,
    files: VecDeque<(PathBuf, Packed)>,
    /// Made last, so that nothing is ever written through one.
    links: Vec<(PathBuf, String)>,
    open: Option<(Hasher<File>, Packed)>,
}

impl Store {
    /// Writes the stream of a tree that is in the store; `false` where it is not, or not its messages.
    pub fn pack_tree(&self, tree: &Output, out: &mut dyn Write) -> Result<bool, StoreError> {
        let Output::Tree { root, messages, messages_size, .. } = tree else { return Ok(false) };
        if !self.has_sized(messages, *messages_size) || !matches!(self.check_tree(root)?, super::Presence::Good(_)) {
            return Ok(false);
        }
        let entries = entries(&self.read(messages, LIMIT)?, root)?;
        let stored = self.stored_tree(root)?;
        for (path, _) in entries.iter().filter(|(_, packed)| matches!(packed, Packed::File { .. })) {
            let (mut file, _) = stored.open(&path.to_string_lossy())?;
            fs::context("copy", path, io::copy(&mut file, out))?;
        }
        Ok(true)
    }

    /// Bytes of the stream of a tree with these messages, which must be its own.
    pub fn packed_size(&self, tree: &Output) -> Result<u64, StoreError> {
        let Output::Tree { root, messages, .. } = tree else { return Ok(0) };
        let sizes = entries(&self.read(messages, LIMIT)?, root)?.into_values().map(|packed| match packed {
            Packed::File { size, .. } => size,
            Packed::Directory | Packed::Link(_) => 0,
        });
        Ok(sizes.fold(0, u64::saturating_add))
    }

    /// Whether the messages of a tree are of its root, and that has the size it is said to have. Of a file, and where the messages are not
    /// there, nothing else is known.
    pub(super) fn has_right_root(&self, tree: &Output) -> bool {
        let Output::Tree { root, root_size, messages, .. } = tree else { return true };
        let Ok(bytes) = self.read(messages, LIMIT) else { return true };
        let top = Tree::decode(bytes.as_slice()).map(|tree| tree.root.unwrap_or_default().encode_to_vec());
        top.is_ok_and(|top| Digest::of(&top) == *root && top.len() as u64 == *root_size)
    }

    /// Starts to make a tree whose messages are in the store.
    pub fn tree_writer(&self, tree: &Output) -> Result<TreeWriter<'_>, StoreError> {
        let Output::Tree { root, messages, .. } = tree else { return Err(refused("is no tree")) };
        let scratch = self.scratch("unpacked")?;
        let mut writer = TreeWriter {
            store: self,
            expected: tree.clone(),
            files: VecDeque::new(),
            links: Vec::new(),
            open: None,
            scratch,
        };
        let top = writer.scratch.join(TOP);
        fs::create_dir_all(&top)?;
        for (path, packed) in entries(&self.read(messages, LIMIT)?, root)? {
            let path = top.join(path);
            match packed {
                // Each directory comes before what it holds.
                Packed::Directory => fs::create_dir_all(&path)?,
                Packed::Link(target) => writer.links.push((path, target)),
                file @ Packed::File { .. } => writer.files.push_back((path, file)),
            }
        }
        writer.settle()?;
        Ok(writer)
    }
}

/// The directory that becomes the tree.
const TOP: &str = "tree";

impl TreeWriter<'_> {
    /// Takes the next bytes of the stream; refuses those of another one.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let Some((hasher, Packed::File { size, .. })) = &mut self.open else {
                return Err(refused("has more bytes than its files"));
            };
            let left = usize::try_from(*size - hasher.count()).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(left.min(bytes.len()));
            let written = hasher.write_all(now);
            fs::context("write", &self.scratch, written).map_err(|error| self.store.failure(error))?;
            bytes = rest;
            self.settle()?;
        }
        Ok(())
    }

    /// Ends files that have all their bytes, and begins the next one.
    fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            if let Some((hasher, Packed::File { digest, size, .. })) = &self.open {
                if hasher.count() < *size {
                    return Ok(());
                }
                let digest = *digest;
                let (_, found, _) = self.open.take().expect("it was just looked at").0.finish();
                if found != digest {
                    return Err(refused(&format!("has a file with digest {found}, not {digest}")));
                }
            }
            let Some((path, packed)) = self.files.pop_front() else { return Ok(()) };
            let file = fs::create_new(&path).map_err(|error| self.store.failure(error))?;
            let executable = matches!(packed, Packed::File { executable: true, .. });
            fs::protect(&path, if executable { EXECUTABLE } else { PLAIN }, None)?;
            self.open = Some((Hasher::new(file), packed));
        }
    }

    /// Makes the tree an object, if the stream was whole and nothing about it is another than was announced.
    pub fn finish(mut self, taking: Taking<'_>) -> Result<(), StoreError> {
        if self.open.is_some() || !self.files.is_empty() {
            return Err(refused("ends before its last file"));
        }
        for (path, target) in std::mem::take(&mut self.links) {
            let made = rustix::fs::symlink(target, &path).map_err(io::Error::from);
            fs::context("create link", &path, made)?;
        }
        let found = self.store.take(&Dir::open(&self.scratch)?, TOP, taking)?;
        if found == self.expected { Ok(()) } else { Err(refused("is another one than was announced")) }
    }
}

impl Drop for TreeWriter<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is swept with the session.
        let _ = fs::remove_tree(&self.scratch);
    }
}

fn refused(what: &str) -> StoreError {
    StoreError::Output(format!("the tree {what}"))
}

/// Everything in a tree by path, which sorts a directory before what it holds. Messages may come from anybody whose digest
/// was signed by mistake or by another program: names are names, and nothing has two of them.
fn entries(messages: &[u8], root: &Digest) -> Result<BTreeMap<PathBuf, Packed>, StoreError> {
    let tree = Tree::decode(messages).map_err(|_| refused("has no readable messages"))?;
    let top = tree.root.unwrap_or_default();
    if Digest::of(&top.encode_to_vec()) != *root {
        return Err(refused("has the messages of another one"));
    }
    let children: BTreeMap<Digest, &Directory> =
        tree.children.iter().map(|child| (Digest::of(&child.encode_to_vec()), child)).collect();
    let mut entries = BTreeMap::new();
    let mut waiting = vec![(PathBuf::new(), &top, 0)];
    while let Some((path, directory, depth)) = waiting.pop() {
        let mut names = BTreeSet::new();
        let mut put = |name: &str, packed: Packed| {
            let path = path.join(name);
            if !is_name(name) || !names.insert(name.to_owned()) {
                return Err(refused(&format!("has an entry that cannot be called `{}` there", name.escape_debug())));
            }
            entries.insert(path.clone(), packed);
            if entries.len() > ENTRIES { Err(large(&path, TreeRefusal::Entries(ENTRIES))) } else { Ok(path) }
        };
        for file in &directory.files {
            let (digest, size) = file.digest.as_ref().and_then(|digest| digest.parts()).ok_or_else(nameless)?;
            put(&file.name, Packed::File { digest, size, executable: file.is_executable })?;
        }
        for link in &directory.symlinks {
            if !(1..4096).contains(&link.target.len()) || link.target.contains('\0') {
                return Err(refused("has a link that no file system can have"));
            }
            put(&link.name, Packed::Link(link.target.clone()))?;
        }
        for node in &directory.directories {
            let below = put(&node.name, Packed::Directory)?;
            let digest = node.digest.as_ref().and_then(|digest| digest.parts()).ok_or_else(nameless)?.0;
            if depth == DEPTH {
                return Err(large(&below, TreeRefusal::Depth));
            }
            waiting.push((below, children.get(&digest).ok_or_else(nameless)?, depth + 1));
        }
    }
    Ok(entries)
}

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= 255
}

fn nameless() -> StoreError {
    refused("has no readable messages")
}

fn large(path: &Path, refusal: TreeRefusal) -> StoreError {
    StoreError::Tree { path: path.display().to_string().escape_debug().to_string(), refusal }
}
