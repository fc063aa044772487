//! What one of the two steps is handed, and which of them is then carried out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RootError, base, finish};
use crate::exec::event::{StepEvent, StepListener};
use crate::exec::tree::HostPath;
use crate::plan::root::{BaseSpec, RootSpec};

/// One step.
pub(crate) struct Job<'a> {
    pub(crate) task: Task,
    /// Inputs that the task names, by their path in the step.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    /// Becomes the tree; must not exist.
    pub(crate) root: HostPath,
    /// Outputs go here.
    pub(crate) out: &'a Path,
    /// A library that programs are to load, of a second build.
    pub(crate) variation: Option<&'a Path>,
    /// Its name, for events.
    pub(crate) step: &'a str,
    /// Who hears of progress.
    pub(crate) listener: &'a dyn StepListener,
}

/// What is to be made.
#[derive(Debug)]
pub(crate) enum Task {
    /// `base.tar` of packages.
    Base(BaseSpec),
    /// `root.tar` and `users.json` of `base.tar`.
    Root(Box<RootSpec>),
}

impl Job<'_> {
    /// Carries it out.
    pub(crate) fn run(&self) -> Result<(), RootError> {
        match &self.task {
            Task::Base(spec) => base::build(self, spec),
            Task::Root(spec) => finish::build(self, spec),
        }
    }

    /// Hands on a line of a program.
    pub(crate) fn log(&self, line: &str) {
        self.listener.on(StepEvent::StepLog { step: self.step.to_owned(), line: line.to_owned() });
    }

    /// Says how much is done.
    pub(crate) fn progress(&self, done: usize, total: usize) {
        let (done, total) = (done as u64, total as u64);
        self.listener.on(StepEvent::StepProgress { step: self.step.to_owned(), done, total });
    }
}
