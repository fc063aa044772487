//! Steps that kiln carries out in process. Each file is one [`crate::plan::Builtin`].
//!
//! Input: checked files by input path. Output: files or a directory under `out`, named as the step declares.

pub mod root;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::exec::event::Listener;

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
