//! Directories that are read when something is built: `directory "linux"` as the source of a kernel, `directory "../program"` as
//! one of a build.
//!
//! Unlike everything else that a recipe names, such a directory is no part of the recipe: it changes with every edit, and the
//! lock does not say what is in it. A recipe may name one below its own root; any other is named by whoever runs kiln.

use std::fmt;
use std::path::PathBuf;

use crate::base::Span;

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

/// What is built from a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalReader {
    /// A kernel.
    Kernel(String),
    /// A source of a build.
    Build {
        /// The build.
        build: String,
        /// The name of the source.
        source: String,
    },
}

/// Between a build and its source: no name of either has one.
const OF: char = '/';

impl LocalReader {
    /// The one with this name in a lock or a manifest, or behind `--source`.
    pub fn named(name: &str) -> LocalReader {
        match name.split_once(OF) {
            None => LocalReader::Kernel(name.to_owned()),
            Some((build, source)) => LocalReader::Build { build: build.to_owned(), source: source.to_owned() },
        }
    }

    /// What a directory was to it, without quotes: a message goes on with the directory.
    pub fn past(&self) -> String {
        match self {
            LocalReader::Kernel(kernel) => format!("kernel {kernel} was compiled from"),
            LocalReader::Build { build, source } => format!("source {source} of build {build} was read from"),
        }
    }

    /// In words, for messages: ``kernel `mine` ``.
    pub fn words(&self) -> String {
        match self {
            LocalReader::Kernel(kernel) => format!("kernel `{kernel}`"),
            LocalReader::Build { build, source } => format!("source `{source}` of build `{build}`"),
        }
    }
}

impl fmt::Display for LocalReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalReader::Kernel(kernel) => f.write_str(kernel),
            LocalReader::Build { build, source } => write!(f, "{build}{OF}{source}"),
        }
    }
}

/// A directory, what is built from it, and where the recipe says so.
#[derive(Debug, Clone)]
pub struct LocalUse<'a> {
    /// What is built from it.
    pub reader: LocalReader,
    /// Where it is.
    pub place: &'a LocalPlace,
    /// Who says that it is one.
    pub origin: LocalOrigin,
    /// What a report points at.
    pub span: Span,
}
