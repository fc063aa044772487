//! What can be wrong with a lock before anything is done with it.

use std::path::PathBuf;

use crate::base::Foreign;
use crate::lock::{Mismatch, ReadError};

/// A lock is missing, wrong, or another recipe's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("no lock found at {}\n  help: run `kiln lock` to make it", .0.display())]
    Missing(PathBuf),
    /// It is not UTF-8.
    #[error("{}: not UTF-8\n  help: restore it, or remove it and run `kiln lock`, which takes what the archives have now", .0.display())]
    Encoding(PathBuf),
    /// It does not parse.
    #[error("{}: {source}{}", path.display(), remedy(source))]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// Its checksum is not that of its lines.
    #[error("{}: {}\n{}\n  help: run `kiln lock`, which puts right what it can and says what it keeps", path.display(), edit.words(), details(traces))]
    Edited {
        /// Where it is.
        path: PathBuf,
        /// By whom, as far as its lines tell.
        edit: LockEdit,
        /// The first line that was changed, from 1, if that is known.
        line: Option<usize>,
        /// What contradicts what.
        traces: Vec<String>,
    },
    /// It is another recipe's, or this recipe has changed.
    #[error(
        "{} is not up to date with the recipe\n{}\n  help: run `kiln lock` to update it", path.display(), listed(mismatches)
    )]
    OtherRecipe {
        /// Where it is.
        path: PathBuf,
        /// What differs.
        mismatches: Vec<Mismatch>,
    },
    /// What the archives offer does not satisfy the recipe.
    #[error("the packages of the archives cannot build this recipe\n{}", listed(.0))]
    Unbuildable(Vec<Mismatch>),
    /// A line of it does not follow from its others and the recipe.
    #[error(
        "the lock's {what} `{name}` is not what its other lines and the recipe come to\n  help: the lock was changed by \
         hand, or written by another version of kiln; `kiln lock` writes it anew"
    )]
    Inconsistent {
        /// `step` or `machine`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The package set of a machine's QEMU has no QEMU.
    #[error("package set `{set}`, the QEMU of machine `{machine}`, has no `{package}`")]
    NoQemuPackage {
        /// The set.
        set: String,
        /// The machine.
        machine: String,
        /// The package.
        package: String,
    },
    /// The version of a QEMU package means nothing.
    #[error("`{0}` is not a version of QEMU")]
    QemuVersion(String),
}

/// Who changed a lock after kiln wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockEdit {
    /// Somebody by hand, or git without a trace.
    Hand,
    /// What it says of its recipe has lines of two locks.
    Merge,
}

impl LockEdit {
    fn words(self) -> &'static str {
        match self {
            LockEdit::Hand => "edited since `kiln lock` wrote it: the checksum does not match",
            LockEdit::Merge => "merged from two locks, and `kiln lock` was not run since: the checksum does not match",
        }
    }
}

fn details(traces: &[String]) -> String {
    traces.iter().map(|trace| format!("  {}", Foreign(trace))).collect::<Vec<_>>().join("\n")
}

fn listed(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(|mismatch| format!("  {mismatch}")).collect::<Vec<_>>().join("\n")
}

/// The way out of an error that does not state one.
fn remedy(error: &ReadError) -> &'static str {
    match error {
        ReadError::Fact { .. } => "\n  help: run `kiln lock`, which puts right what it can and says what it keeps",
        _ => "",
    }
}
