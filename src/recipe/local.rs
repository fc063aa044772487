//! Directories that a build reads when it runs: `directory "linux"` as the source of a kernel.
//!
//! Unlike everything else that a recipe names, such a directory is no part of the recipe: it changes with every edit, and the
//! lock does not say what is in it. A recipe may name one below its own root; any other is named by whoever runs kiln.

use std::path::PathBuf;

/// A directory, as the recipe names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDirectory {
    /// What the recipe says.
    pub written: String,
    /// Where that is.
    pub place: LocalPlace,
}

/// Where a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalPlace {
    /// Here; without links.
    At(PathBuf),
    /// Outside of the recipe's root: a recipe alone does not open it.
    Outside,
    /// Nowhere.
    Missing(String),
}

/// Who says that a source is a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalOrigin {
    /// The recipe: its lock knows that the source is local.
    Recipe,
    /// The command line alone, instead of a source that the lock pins.
    CommandLine,
}
