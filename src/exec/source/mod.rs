//! A directory of the user's own as the source of a step: what is in it, by digest, and its archive.
//!
//! Input: a directory, which is anybody's until it was read. Output: a [`SourceTree`], whose listing names every file by
//! digest, and archives of it, whole or of what changed. Where the directory is a git working tree, its files are those that
//! git sees: tracked ones as they are on disk, and new ones that no ignore file leaves out.
//!
//! Links are never followed, and what is neither a file, a directory nor a link is an error.

mod archives;
mod changes;
mod known;
mod pack;
mod scan;

pub(super) use archives::Archives;
use changes::{Changes, changes};
pub use scan::{SourceUse, scan};

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Digest, Foreign};
use crate::format::tar::{TarError, TarPath};
use crate::plan::Plan;
use crate::plan::step::{LocalSource, SourcePart};
use crate::recipe::local::LocalReader;
use crate::recipe::walk::WalkError;
use crate::store::{Store, StoreError};
use crate::world::WorldError;

/// What the plan calls local sources, each as it was when this build looked.
pub type SourceTrees = BTreeMap<String, Arc<SourceTree>>;

/// Those that a step reads, by the path of its input.
pub(super) type LocalInputs = BTreeMap<String, Arc<SourceTree>>;

/// A directory of whoever builds cannot be the source of a step.
#[derive(Debug, thiserror::Error)]
#[error("cannot build from {}: {source}", Foreign(path.display()))]
pub struct UnusableSource {
    path: PathBuf,
    source: Box<SourceTreeError>,
}

impl UnusableSource {
    fn new(path: &Path, error: impl Into<SourceTreeError>) -> UnusableSource {
        UnusableSource { path: path.to_owned(), source: Box::new(error.into()) }
    }

    /// Whether it was not read to its end because the user wanted no more.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(*self.source, SourceTreeError::Store(StoreError::Interrupted))
    }
}

/// Reads every local source of a plan; a directory of which several parts are read only once.
pub(super) fn all(plan: &Plan, store: &Store, stop: &dyn Fn() -> bool) -> Result<SourceTrees, UnusableSource> {
    let mut whole: BTreeMap<(&Path, SourceUse), SourceTree> = BTreeMap::new();
    let mut trees = SourceTrees::new();
    for (name, LocalSource { path, part }) in &plan.local {
        let used = match LocalReader::named(SourcePart::owner(name)) {
            LocalReader::Kernel(_) => SourceUse::Kernel,
            LocalReader::Build { .. } => SourceUse::Build,
        };
        let key = (path.as_path(), used);
        let tree = match whole.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(scan(store, key, stop).map_err(|error| UnusableSource::new(path, error))?),
        };
        trees.insert(name.clone(), Arc::new(tree.part(part)));
    }
    Ok(trees)
}

/// A directory as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// Where it is, without links.
    pub(super) root: PathBuf,
    /// In the order of their paths.
    pub(super) entries: Vec<SourceEntry>,
    /// Of [`SourceTree::listing`]: names the tree.
    pub digest: Digest,
    /// Bytes of the listing.
    pub size: u64,
}

/// A file or a link; directories are there for what is in them, unless there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceEntry {
    pub(super) path: TarPath,
    pub(super) kind: SourceKind,
    /// Of its bytes, or of the target of a link.
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// As git knows modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    File,
    Executable,
    Link,
    EmptyDirectory,
}

impl SourceKind {
    const ALL: [(SourceKind, &'static str); 4] = [
        (SourceKind::File, "100644"),
        (SourceKind::Executable, "100755"),
        (SourceKind::Link, "120000"),
        (SourceKind::EmptyDirectory, "040000"),
    ];

    fn mode(self) -> &'static str {
        SourceKind::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, mode)| mode)
    }
}

/// Why a directory cannot be the source of a build.
#[derive(Debug, thiserror::Error)]
pub enum SourceTreeError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// Somebody wrote there.
    #[error("`{0}` changed while it was read\n  help: run the command again when nothing writes to it")]
    Changed(String),
    /// A tree in which somebody has built, without git to tell the results from the source.
    #[error(
        "it has results of a build (`{0}`) and is not a git working tree, which would tell them from the source\n  \
         help: run `make mrproper` there, or `git init` and `git add .`"
    )]
    Built(&'static str),
    #[error(
        "it has no files; in a git working tree, ignore files may leave out all of them: `git status --ignored` tells, and `git \
         add --force` adds them"
    )]
    Empty,
    /// A name that an archive cannot hold.
    #[error(transparent)]
    Archive(#[from] TarError),
}

impl SourceTree {
    fn new(root: PathBuf, entries: Vec<SourceEntry>) -> SourceTree {
        let listing = listing(&entries);
        SourceTree { root, digest: Digest::of(&listing), size: listing.len() as u64, entries }
    }

    /// Where it was read.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One line a file, ended by a zero byte: mode, digest, size and path.
    pub(super) fn listing(&self) -> Vec<u8> {
        listing(&self.entries)
    }

    /// The part of it that a step reads.
    pub(super) fn part(&self, part: &SourcePart) -> SourceTree {
        let entries = self.entries.iter().filter(|entry| part.has(entry.path.as_bytes()));
        SourceTree::new(self.root.clone(), entries.cloned().collect())
    }
}

fn listing(entries: &[SourceEntry]) -> Vec<u8> {
    let mut text = Vec::with_capacity(entries.len() * 128);
    for SourceEntry { path, kind, digest, size } in entries {
        text.extend_from_slice(format!("{} {digest} {size} ", kind.mode()).as_bytes());
        text.extend_from_slice(path.as_bytes());
        text.push(0);
    }
    text
}

/// The entries of a listing; `None` when it is none.
pub(super) fn read_listing(text: &[u8]) -> Option<Vec<SourceEntry>> {
    let lines = text.strip_suffix(b"\0").unwrap_or(text).split(|byte| *byte == 0).filter(|line| !line.is_empty());
    lines.map(entry).collect()
}

fn entry(line: &[u8]) -> Option<SourceEntry> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let (mode, digest, size) = (word()?, word()?.parse().ok()?, word()?.parse().ok()?);
    let (kind, _) = SourceKind::ALL.into_iter().find(|(_, known)| *known == mode)?;
    Some(SourceEntry { path: TarPath::new(words.next()?).ok()?, kind, digest, size })
}

#[cfg(test)]
mod tests;
