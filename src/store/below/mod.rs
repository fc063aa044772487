//! Stores below one's own: read where one's own lacks something, and never written, locked or cleaned.
//!
//! Input: directories that the user has named. Output: files and trees whose bytes were checked, and results, which are the word of whoever
//! owns the store. Everything in one is hostile until it is checked: links, pipes, odd modes, files that change while they are read.
//!
//! Whoever owns it may remove or change anything at any time, and no lock of a reader's could keep them from it. So what was handed
//! out is compared with what it is after it was used (`handed.rs`), and a store in which something changed is left alone from then on:
//! its reader does the work again without it.

mod handed;
mod look;
mod survey;

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BelowProblem, Store, StoreError};
use crate::base::Foreign;
use crate::world::dir::Dir;
use crate::world::fs;
use handed::Handed;
pub use look::BelowResult;
pub use survey::BelowUsage;

/// The parts of a store that others may read.
const READ: [&str; 3] = ["cas", "tree", "ac"];

/// Whose results count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let may_write = |mode: u32| mode & 0o022 != 0;
        if may_write(stat.st_mode) {
            return Err(BelowProblem::Open(path));
        }
        for part in READ {
            let found = fs::metadata(&path.join(part)).ok().filter(|found| found.is_dir());
            let found = found.ok_or(BelowProblem::Other(part))?;
            if may_write(found.mode()) || found.uid() != stat.st_uid {
                return Err(BelowProblem::Open(path.join(part)));
            }
        }
        let own = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
        if !own && trust == BelowTrust::Own {
            return Err(BelowProblem::Foreign(stat.st_uid));
        }
        for part in READ {
            let names = root.directory(part).and_then(|part| part.stat().map(drop));
            let searched = names.is_ok() && rustix::fs::access(path.join(part), rustix::fs::Access::EXEC_OK).is_ok();
            if !searched {
                return Err(BelowProblem::Closed(part));
            }
        }
        Ok(Below { path, root, left: AtomicBool::new(false) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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

/// All stores below one, the first asked first, and what was handed out of them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    stores: Vec<Below>,
    handed: Mutex<Handed>,
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

    /// Tells the user of a store below that is not used.
    pub fn warn(&self, message: &str) {
        crate::tell!("warning: {message}");
    }

    /// The stores below this one that are in use.
    pub fn below(&self) -> impl Iterator<Item = &Below> {
        self.layers.stores.iter().filter(|below| below.is_used())
    }
}
