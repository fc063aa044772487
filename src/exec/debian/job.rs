//! What one of the two steps is handed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::exec::event::{StepEvent, StepListener};
use crate::exec::tree::HostPath;

/// One step.
pub(crate) struct Job<'a> {
    /// Inputs that the description names, by their path in the step.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    /// Becomes the tree; must not exist.
    pub(crate) root: HostPath,
    /// Outputs go here.
    pub(crate) out: &'a Path,
    /// A library that programs are to load, of a second build.
    pub(crate) variation: Option<&'a Path>,
    /// Where programs can be put that are quicker than those of the packages; none where these are to run themselves.
    pub(crate) stand_ins: Option<PathBuf>,
    /// Its name, for events.
    pub(crate) step: &'a str,
    /// Who hears of progress.
    pub(crate) listener: &'a dyn StepListener,
}

impl Job<'_> {
    /// Hands on a line of a program.
    pub(crate) fn log(&self, line: &str) {
        self.listener.on(StepEvent::StepLog { step: self.step.to_owned(), line: line.to_owned() });
    }

    /// Tells something that stops nothing.
    pub(crate) fn warn(&self, message: String) {
        self.listener.on(StepEvent::Warning { message });
    }

    /// Says how much is done.
    pub(crate) fn progress(&self, done: usize, total: usize) {
        let (done, total) = (done as u64, total as u64);
        self.listener.on(StepEvent::StepProgress { step: self.step.to_owned(), done, total });
    }
}
