//! What the process inside the user namespace is told, and which of the two steps it then carries out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{RootError, base, finish};
use crate::exec::tree::HostPath;
use crate::plan::root::{BaseSpec, RootSpec};

/// One step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) task: Task,
    /// Inputs that the task names, by their path in the step.
    pub(crate) inputs: BTreeMap<String, PathBuf>,
    /// Becomes the tree; must not exist.
    pub(crate) root: HostPath,
    /// Outputs go here.
    pub(crate) out: PathBuf,
    /// A library that programs are to load, of a second build.
    pub(crate) elsewhere: Option<PathBuf>,
}

/// What is to be made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// `base.tar` of packages.
    Base(BaseSpec),
    /// `root.tar` and `users.json` of `base.tar`.
    Root(Box<RootSpec>),
}

/// The function that [`crate::exec::sandbox::call`] runs; the argument is a [`Job`] as JSON.
pub(crate) fn entry(argument: &str) -> Result<(), String> {
    let job: Job = serde_json::from_str(argument).map_err(|error| error.to_string())?;
    let done = match &job.task {
        Task::Base(spec) => base::build(&job, spec),
        Task::Root(spec) => finish::build(&job, spec),
    };
    done.map_err(|error: RootError| error.to_string())
}
