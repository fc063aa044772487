//! Stores below one's own: read where one's own lacks something, and never written, locked or cleaned.
//!
//! Input: directories that the user has named. Output: files and trees whose bytes were checked, and results, which are the word of whoever
//! owns the store. Everything in one is hostile until it is checked: links, pipes, odd modes, files that change while they are read.
//!
//! Whoever owns it may remove or change anything at any time, and no lock of a reader's could keep them from it. So what was handed
//! out is compared with what it is after it was used (`handed.rs`), and a store in which something changed is left alone from then on:
//! its reader does the work again without it. That finds what root, or this user elsewhere, does by chance. An owner who is neither may
//! change things between two looks with none of them telling: what is used of their store is a copy in one's own (`copied.rs`).

mod copied;
mod found;
mod handed;
mod look;
mod survey;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;

use super::{BelowProblem, Output, Store, StoreError};
use crate::base::Foreign;
use crate::world::dir::Dir;
use crate::world::fs;
use handed::Handed;
pub use look::BelowResult;
pub use survey::BelowUsage;

/// The parts of a store that others may read.
const READ: [&str; 3] = ["cas", "tree", "ac"];
/// The mode of directories in which only its owner moves an entry.
const STICKY: u32 = 0o1000;

/// Whose results count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BelowTrust {
    /// Those of root and of this user.
    Own,
    /// Those of whoever owns the store.
    Owner,
}

/// A store that is only read.
#[derive(Debug)]
pub struct Below {
    path: PathBuf,
    root: Dir,
    /// Whose it is.
    owner: u32,
    /// Whether something in it changed while it was used, so that it is used no more.
    left: AtomicBool,
}

impl Below {
    /// Opens the store at a path.
    pub fn open(path: &Path, trust: BelowTrust) -> Result<Below, BelowProblem> {
        let path = match path.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(BelowProblem::Missing),
            found => fs::context("resolve", path, found)?,
        };
        let root = Dir::open(&path)?;
        let stat = root.stat()?;
        if may_write(stat.st_mode) {
            return Err(BelowProblem::Open(path));
        }
        for part in READ {
            let found = root.look(part)?.filter(|found| found.kind() == FileType::Directory);
            let found = found.ok_or(BelowProblem::Other(part))?;
            if may_write(found.stat().st_mode) || found.stat().st_uid != stat.st_uid {
                return Err(BelowProblem::Open(path.join(part)));
            }
        }
        if !is_own(stat.st_uid) && trust == BelowTrust::Own {
            return Err(BelowProblem::Foreign(stat.st_uid));
        }
        if let Some(open) = open_way(&path, stat.st_uid)? {
            return Err(BelowProblem::Open(open));
        }
        // Nobody else could change the way since it was looked at; before, the path may have meant another directory.
        if !root.is(&look_at(&path)?) {
            return Err(BelowProblem::Open(path));
        }
        for part in READ {
            let names = root.directory(part).and_then(|part| part.stat().map(drop));
            let searched = names.is_ok() && rustix::fs::access(path.join(part), rustix::fs::Access::EXEC_OK).is_ok();
            if !searched {
                return Err(BelowProblem::Closed(part));
            }
        }
        Ok(Below { path, root, owner: stat.st_uid, left: AtomicBool::new(false) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it belongs to somebody who is neither root nor this user.
    fn is_foreign(&self) -> bool {
        !is_own(self.owner)
    }

    fn is_used(&self) -> bool {
        !self.left.load(Ordering::Relaxed)
    }

    /// Uses it no more.
    fn leave(&self) {
        if !self.left.swap(true, Ordering::Relaxed) {
            crate::tell!(
                "warning: the store below at {} changed while it was read; the work goes on without it",
                Foreign(self.path.display())
            );
        }
    }
}

fn is_own(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Whether others than the owner may write.
fn may_write(mode: u32) -> bool {
    mode & 0o022 != 0
}

fn look_at(path: &Path) -> Result<rustix::fs::Stat, BelowProblem> {
    Ok(fs::context("look at", path, rustix::fs::lstat(path).map_err(std::io::Error::from))?)
}

/// The first directory on the way to a store in which somebody else could put another one into its place: neither root's, this user's nor
/// the owner's, or open to others. In one with the sticky bit nobody moves what is not theirs.
fn open_way(path: &Path, owner: u32) -> Result<Option<PathBuf>, BelowProblem> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
    // From the top: what was looked at cannot change any more.
    way.reverse();
    for above in way {
        let stat = look_at(above)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_theirs = !is_own(stat.st_uid) && stat.st_uid != owner;
        if !is_directory || is_theirs || (may_write(stat.st_mode) && stat.st_mode & STICKY == 0) {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}

/// All stores below one, the first asked first, and what was handed out of them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    stores: Vec<Below>,
    handed: Mutex<Handed>,
    /// Whether to give up reading.
    stop: Option<fn() -> bool>,
}

impl Layers {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop())
    }
}

impl Store {
    /// This store with others below it, which are asked in this order.
    pub fn over(mut self, stores: Vec<Below>) -> Result<Store, StoreError> {
        if let Some(own) = stores.iter().find(|below| below.path == self.root) {
            return Err(StoreError::Below { path: own.path.clone(), problem: Box::new(BelowProblem::Own) });
        }
        self.layers.stores = stores;
        Ok(self)
    }

    /// Asks this whether to give up reading what is below.
    #[must_use]
    pub fn stopping_at(mut self, stop: fn() -> bool) -> Store {
        self.layers.stop = Some(stop);
        self
    }

    /// Tells the user of a store below that is not used.
    pub fn warn(&self, message: &str) {
        crate::tell!("warning: {message}");
    }

    /// The stores below this one that are in use.
    pub fn below(&self) -> impl Iterator<Item = &Below> {
        self.layers.stores.iter().filter(|below| below.is_used())
    }

    /// Whether an output is there by name, here or below. It is not looked at, so that nothing is set aside and told of.
    pub fn lists(&self, output: &Output) -> bool {
        let (part, digest) = match output {
            Output::File { digest, .. } => ("cas", digest),
            Output::Tree { root, .. } => ("tree", root),
        };
        let roots = std::iter::once(self.root()).chain(self.below().map(Below::path));
        roots.map(|root| root.join(part).join(digest.hex())).any(|path| path.symlink_metadata().is_ok())
    }
}
