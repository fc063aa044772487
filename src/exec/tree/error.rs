//! Errors name the path as the tree's own programs know it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::Foreign;
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::sandbox::SandboxError;
use crate::format::tar::TarError;
use crate::plan::Statement;
use crate::world::WorldError;

/// Why something in a tree could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation failed.
    #[error("cannot {verb} {path} in the tree: {source}", path = path.display())]
    File {
        /// `read`, `write`, `remove`, ...
        verb: &'static str,
        /// The absolute path within the tree.
        path: PathBuf,
        source: io::Error,
    },
    /// The root of the tree could not be made or opened.
    #[error("cannot open the tree {path}: {source}", path = path.display())]
    Root {
        /// Where it is on the host.
        path: PathBuf,
        source: io::Error,
    },
    /// The kernel cannot resolve paths within a tree.
    #[error(
        "this kernel does not support openat2: {0}\n  help: kiln needs Linux 5.6 or newer; in a container, its \
         seccomp filter must allow openat2"
    )]
    Kernel(io::Error),
}

impl TreeError {
    /// An error about a path within a tree.
    pub(crate) fn file(verb: &'static str, path: impl AsRef<Path>, source: io::Error) -> TreeError {
        let path = path.as_ref();
        TreeError::File { verb, path: Path::new("/").join(path.strip_prefix("/").unwrap_or(path)), source }
    }
}

/// Why a root file system could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A file could not be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A file of the tree could not be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A package is damaged or refused.
    #[error("package {package}: {source}", package = Foreign(package))]
    Package {
        package: String,
        /// What is wrong with it, in the words of its format.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Two packages ship one file, and neither replaces the other.
    #[error("packages {a} and {b} both contain {path}, and neither declares Replaces", path = Foreign(path), a = Foreign(&packages[0]), b = Foreign(&packages[1]))]
    Conflict {
        /// Absolute path in the image.
        path: String,
        packages: [String; 2],
    },
    /// It is said whose fault it is.
    #[error(transparent)]
    Stated(#[from] StepFailure),
    /// One of the rules that make builds equal could not be applied.
    #[error("rule {rule}: {source}")]
    Rule { rule: &'static str, source: Box<RootError> },
    /// A program inside failed.
    #[error("{what} failed ({status}){}", listed(packages))]
    Program {
        what: &'static str,
        status: String,
        /// What it said about that.
        tail: String,
        /// The packages whose scripts failed, where they are known.
        packages: Vec<String>,
    },
    /// A program inside could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The archive could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
}

impl RootError {
    /// An error about a package.
    pub(crate) fn package(name: &str, source: impl Error + Send + Sync + 'static) -> RootError {
        RootError::Package { package: name.to_owned(), source: Box::new(source) }
    }
}

/// `: a, b`
fn listed(packages: &[String]) -> String {
    if packages.is_empty() { String::new() } else { format!(": {}", packages.join(", ")) }
}

impl TreeError {
    fn fault(&self) -> Fault {
        match self {
            TreeError::File { source, .. } => Fault::of_io(source),
            TreeError::Root { .. } | TreeError::Kernel(_) => Fault::Host,
        }
    }
}

impl From<RootError> for StepFailure {
    fn from(error: RootError) -> StepFailure {
        let message = error.to_string();
        match error {
            RootError::Stated(failure) => failure,
            RootError::Sandbox(error) => error.into(),
            RootError::Rule { rule, source } => StepFailure::from(*source).within(format!("rule {rule}")),
            RootError::World(_) => StepFailure::new(Fault::Host, message),
            RootError::Tree(error) => StepFailure::new(error.fault(), message),
            RootError::Tar(TarError::Io(error)) => StepFailure::new(Fault::of_io(&error), message),
            RootError::Tar(_) => StepFailure::input(message),
            RootError::Package { package, .. } => StepFailure::input(message).about(Statement::Package(package)),
            RootError::Conflict { packages: [a, b], .. } => {
                StepFailure::input(message).about(Statement::Package(a)).about(Statement::Package(b))
            }
            RootError::Program { packages, tail, .. } => {
                let failure = StepFailure::input(message).said(tail);
                packages.into_iter().fold(failure, |failure, package| failure.about(Statement::Package(package)))
            }
        }
    }
}
