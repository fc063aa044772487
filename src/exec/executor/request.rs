//! A step as an executor is asked for it: a value that can be written down and sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exec::sandbox::Limits;
use crate::plan::id::{self, InputValue, Messages};
use crate::plan::{Builtin, Ids, Work};

/// Everything that a step's result may depend on, and where its files are on the machine that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The step's name, for events.
    pub step: String,
    /// What is done.
    pub task: Task,
    /// What it sees, by path relative to its input root.
    pub inputs: BTreeMap<String, Provided>,
    /// The root of a command's sandbox.
    pub tools: Option<Provided>,
    /// Paths that it must leave behind, relative to the build directory.
    pub outputs: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// How long a command may take to end in good order when it is to end early; otherwise it is killed at once.
    pub grace: Duration,
    /// Processors that it may use; all when not given.
    pub processors: Option<u32>,
    /// Whether its programs see another clock and another order of directories.
    pub variation: bool,
    /// Whether every program of the packages runs itself, and nothing quicker in its place.
    pub without_stand_ins: bool,
    /// The disk that the step wrote the last time, of which whatever is the same may be used again. It changes no bit; an executor on
    /// another machine does without.
    pub earlier: Option<PathBuf>,
    /// The build directory: where the command starts, and where the outputs are afterwards. Empty, but for a run that
    /// goes on from an earlier one. No program has had it before.
    pub build: PathBuf,
    /// An empty directory for whatever the executor needs on a disk, on the same file system.
    pub scratch: PathBuf,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Kiln's own code.
    Builtin(Builtin),
    /// A command in a sandbox.
    Command {
        /// What runs; relative paths are relative to the build directory.
        argv: Vec<String>,
        /// Besides the sandbox's own environment.
        env: BTreeMap<String, String>,
        /// Whether the sandbox has a range of user ids.
        ids: Ids,
    },
}

/// A file or a directory that a step sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provided {
    /// What it is.
    pub value: InputValue,
    /// Where it is, checked; nobody may write to it.
    pub path: PathBuf,
}

impl Task {
    /// What a step of a plan asks for.
    pub fn of(work: &Work) -> Task {
        match work {
            Work::Builtin(builtin) => Task::Builtin(builtin.clone()),
            Work::Sandbox { argv, env, ids, .. } => Task::Command { argv: argv.clone(), env: env.clone(), ids: *ids },
        }
    }
}

impl Request {
    /// The messages of the remote execution that this request is, its action among them. They follow from the request
    /// alone, and the action is the step's resolved id.
    pub fn messages(&self) -> Messages {
        let work = match self.task.clone() {
            Task::Builtin(builtin) => Work::Builtin(builtin),
            // The position of its tools in a plan is part of no message.
            Task::Command { argv, env, ids } => Work::Sandbox { tools: 0, argv, env, ids },
        };
        let inputs = self.inputs.iter().map(|(path, input)| (path.as_str(), input.value.clone())).collect();
        id::messages(&work, &self.outputs, &inputs, self.tools.as_ref().map(|tools| &tools.value))
    }
}
