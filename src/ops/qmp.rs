//! A QMP command to a machine that runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{OpsError, UsageError};
use super::launch::SOCKETS;
use super::project;
use super::session::Session;
use crate::guest::monitor;
use crate::guest::running::{self, FoundMachine, MachineQuery, RunningError, RunningRun};

/// Which machine, and what it is asked.
#[derive(Debug, Clone)]
pub struct QmpRequest {
    /// The recipe or result directory that it was started from.
    pub source: PathBuf,
    /// Its name; the one on the terminal when not given.
    pub machine: Option<String>,
    /// The process id of its `kiln run`, needed where several runs have such a machine.
    pub run: Option<u32>,
    /// The command's name.
    pub command: String,
    /// Its arguments.
    pub arguments: Option<Value>,
}

/// What QEMU returns.
pub fn qmp(session: &Session<'_>, request: &QmpRequest) -> Result<Value, OpsError> {
    let found = machine(session, request)?;
    Ok(monitor::execute(&found, &request.command, request.arguments.as_ref())?)
}

fn machine(session: &Session<'_>, request: &QmpRequest) -> Result<FoundMachine, OpsError> {
    let source = session.world.canonical(&request.source)?;
    let meant = |run: &RunningRun| request.run.is_none_or(|pid| run.record.pid == pid);
    let runs: Vec<RunningRun> = running::list(Path::new(SOCKETS)).into_iter().filter(meant).collect();
    // A recipe's result may have been started by its directory.
    let result = session.world.canonical(&project::result_path(&source)).ok().filter(|_| !source.is_dir());
    let is_started = |name: &PathBuf| runs.iter().any(|run| run.record.sources.contains(name));
    let source = if is_started(&source) { source } else { result.filter(is_started).unwrap_or(source) };
    let query = MachineQuery { source: Some(source), machine: request.machine.clone() };
    running::choose(runs, &query).map_err(|error| match error {
        RunningError::Several { pids } => UsageError::SeveralRuns { pids }.into(),
        error => UsageError::Running(error).into(),
    })
}
