//! Locked packages in, one configured Debian root file system out, as a canonical tar, in two steps.
//!
//! Input: `base.json` ([`crate::plan::root::BaseSpec`]) and the `.deb`s it names; then `root.json`
//! ([`crate::plan::root::RootSpec`]), the base and the files of the recipe. Output: `base.tar`; `root.tar` and `users.json`.
//! Everything happens in a user namespace with a range of ids; the packages are unpacked by kiln and configured by their
//! own dpkg, in a sandbox. It must not know locks, recipes or stores.

mod base;
#[cfg(test)]
mod canary;
mod claims;
mod database;
mod finish;
mod job;
mod layout;
mod numbers;
mod origin;
mod pack;
mod packages;
mod parts;
mod relations;
mod restore;
mod rules;
mod run;
mod script;
mod times;
mod unpack;
mod workspace;

use std::path::Path;

pub(crate) use claims::Verdict;
pub(crate) use job::{Job, Task};
pub(crate) use layout::place;
pub(crate) use unpack::{UnpackMode, Unpacked, unpack};

use crate::base::{Foreign, Quoted};
use crate::debian::deb::DebError;
use crate::exec::builtin::BuiltinContext;
use crate::exec::tree::TreeError;
use crate::format::tar::TarError;
use crate::world::WorldError;

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
        /// Its name.
        package: String,
        /// What is wrong with it.
        source: DebError,
    },
    /// Two packages ship one file, and neither replaces the other.
    #[error("packages {a} and {b} both contain {path}, and neither says that it replaces the other", path = Foreign(path), a = Foreign(&packages[0]), b = Foreign(&packages[1]))]
    Conflict {
        /// Absolute path in the image.
        path: String,
        /// The packages.
        packages: [String; 2],
    },
    /// The description of the step, or what the packages say, contradicts itself.
    #[error("{}", Foreign(.0))]
    Broken(String),
    /// A program inside failed; its last lines say why.
    #[error("{what} failed ({status}):{}", Quoted(tail, "  "))]
    Program {
        /// What kiln wanted.
        what: &'static str,
        /// How it ended.
        status: String,
        /// Its last lines.
        tail: String,
    },
    /// The sandbox could not be made.
    #[error("{0}")]
    Sandbox(String),
    /// The archive could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
}

/// Bytes of an input file of the step that is text.
pub(crate) const SPEC_LIMIT: u64 = 64 << 20;

/// An input of the step, by its path.
pub(crate) fn input<'a>(context: &'a BuiltinContext<'_>, name: &str) -> Result<&'a Path, RootError> {
    let found = context.inputs.get(name).map(|path| path.as_path());
    found.ok_or_else(|| RootError::Broken(format!("the step `{}` has no input `{name}`", context.step)))
}
