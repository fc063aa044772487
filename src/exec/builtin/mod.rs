//! Steps that kiln carries out in process. Each file is one [`crate::plan::Builtin`].
//!
//! Input: checked files by input path. Output: files or a directory under `out`, named as the step declares.

pub mod kernel_check;
pub mod root;
pub mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::exec::event::Listener;
use crate::exec::root::RootError;
use crate::plan::{Builtin, id};

/// What a builtin step is handed.
pub struct Context<'a> {
    /// The step's name, for events.
    pub step: &'a str,
    /// Checked, read-only files by the path that the step gave its inputs.
    pub inputs: &'a BTreeMap<String, PathBuf>,
    /// An empty directory, on the store's file system; outputs go here under their declared names.
    pub out: &'a Path,
    /// Scratch space, on the store's file system; removed afterwards.
    pub scratch: &'a Path,
    /// Who hears of progress.
    pub listener: &'a dyn Listener,
}

/// Why a builtin step failed.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// Configuring a root file system failed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The kernel's configuration is not the one that was asked for.
    #[error(transparent)]
    KernelCheck(#[from] kernel_check::CheckError),
    /// This kiln was built without the step's code.
    #[error("this kiln cannot carry out `{0}`")]
    Unknown(&'static str),
}

/// Carries a builtin step out.
pub fn run(builtin: &Builtin, context: &Context<'_>) -> Result<(), BuiltinError> {
    match builtin {
        Builtin::Root => Ok(root::run(context)?),
        Builtin::KernelCheck => Ok(kernel_check::run(context)?),
        other => Err(BuiltinError::Unknown(id::name(other))),
    }
}
