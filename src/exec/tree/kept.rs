//! What stays as it is, whoever works on a tree: what a recipe states is no accident of a script.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Stat, Tree, TreeError};

/// Files, directories and links by what they are: no other name and no link in a path hides them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Option<Arc<BTreeSet<(u64, u64)>>>);

impl Kept {
    pub(super) fn holds(&self, stat: &Stat) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.contains(&stat.inode))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Tree {
    /// The same tree for somebody who leaves what lies at these paths as it is: it is neither removed nor written, and
    /// what is above it is not removed either.
    pub(crate) fn keeping<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Tree, TreeError> {
        let mut kept = self.kept.0.as_deref().cloned().unwrap_or_default();
        for path in paths {
            kept.extend(self.stat(path)?.map(|stat| stat.inode));
        }
        Ok(self.keeping_inodes(kept))
    }

    /// The same for what is known by inode.
    pub(crate) fn keeping_inodes(&self, kept: BTreeSet<(u64, u64)>) -> Tree {
        let kept = (!kept.is_empty()).then(|| Arc::new(kept));
        Tree { root: self.root.clone(), kept: Kept(kept) }
    }
}
