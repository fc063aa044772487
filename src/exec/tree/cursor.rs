//! For many files one after the other: the directory of the last one stays open.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Place, Tree, relative};

/// Resolves like [`Tree::at`], but asks the kernel only when the parent is another than last time. Meant for work during
/// which no directory is replaced by something else; if one is, what comes later still lies in the old one.
pub(crate) struct Cursor<'a> {
    tree: &'a Tree,
    last: Option<(PathBuf, Arc<OwnedFd>)>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Cursor<'a> {
        Cursor { tree, last: None }
    }

    /// What a path names.
    pub(crate) fn at(&mut self, path: impl AsRef<Path>) -> io::Result<Place> {
        let path = relative(path.as_ref())?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let held = match &self.last {
            Some((last, held)) if last == parent => held.clone(),
            _ => {
                let opened = self.tree.parent(parent)?;
                self.last = Some((parent.to_owned(), opened.clone()));
                opened
            }
        };
        Ok(Place::new(held, path, self.tree.kept.clone()))
    }
}
