//! What a tree of the store holds, for whoever packs it into something else.

use std::fs::File;

use super::tree::still;
use super::walk::{Entries, Kind, list};
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::dir::Dir;
use crate::world::fs;

/// A tree that was checked, and listed.
pub struct StoredTree {
    root: Dir,
    entries: Entries,
}

/// What has a name in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeItem<'a> {
    Directory,
    File { executable: bool },
    Link(&'a str),
}

impl Store {
    /// The tree of this digest, after checking it.
    pub fn stored_tree(&self, digest: &Digest) -> Result<StoredTree, StoreError> {
        let root = Dir::open(&self.tree(digest)?)?;
        Ok(StoredTree { entries: list(&root)?, root })
    }
}

impl StoredTree {
    /// Everything in it by path, each directory before what it holds.
    pub fn items(&self) -> impl Iterator<Item = (&str, TreeItem<'_>)> {
        let item = |kind| match kind {
            &Kind::Directory => TreeItem::Directory,
            &Kind::File { executable } => TreeItem::File { executable },
            Kind::Link(target) => TreeItem::Link(target),
        };
        self.entries.iter().map(move |(name, entry)| (name.as_str(), item(&entry.kind)))
    }

    /// A file of it, and its size.
    pub fn open(&self, name: &str) -> Result<(File, u64), StoreError> {
        let entry = self.entries.get(name).ok_or_else(|| super::take::replaced(name.as_ref()))?;
        let file = still(&self.root, name, entry)?.open()?;
        let size = fs::context("look at", &self.root.path().join(name), file.metadata())?.len();
        Ok((file, size))
    }
}
