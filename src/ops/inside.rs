//! Whether a file that a tree has is in the tree: links lead anywhere, and what they lead to would be shown in errors.
//!
//! Input: a tree that somebody else may have written, paths in it. Output: where a link leads, if that is somewhere else. Nothing is opened.

use std::path::{Path, PathBuf};

use crate::base::Foreign;
use crate::world::{World, WorldError};

/// The directory that no link of a tree may leave, without links in its path.
pub struct TreeBound(PathBuf);

impl TreeBound {
    /// The repository of a directory; the directory itself where it is in none, and what is beside it where it is only the half of a
    /// project that has the recipes or the locks.
    pub fn of(world: &dyn World, directory: &Path) -> Result<TreeBound, WorldError> {
        let top = world.canonical(directory)?;
        let half = |directory: &&Path| directory.ends_with("recipes") || directory.ends_with("lockfiles");
        let project = top.ancestors().find(half).and_then(Path::parent);
        let bound = repository(&top).or(project.map(Path::to_owned));
        Ok(TreeBound(bound.unwrap_or(top)))
    }

    /// The repository that a file itself is in, wherever it leads.
    pub fn of_repository(world: &dyn World, path: &Path) -> Option<TreeBound> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        repository(&world.canonical(directory).ok()?).map(TreeBound)
    }

    /// What is wrong with a path that leads out of the tree.
    pub fn left_by(&self, world: &dyn World, path: &Path) -> Option<String> {
        match world.canonical(path) {
            Ok(real) if real.starts_with(&self.0) => None,
            Ok(real) => Some(format!("a link that leaves the tree, to {}", Foreign(real.display()))),
            // What `/proc/self/fd/0` leads to may have no place, and can be read.
            Err(_) => path.is_symlink().then(|| "a link that leads nowhere".to_owned()),
        }
    }
}

/// The nearest directory that has a `.git`, which is a file in worktrees and submodules.
pub fn repository(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|directory| is_there(&directory.join(".git"))).map(Path::to_owned)
}

/// Whether anything is there, even what cannot be read or leads nowhere.
pub fn is_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
