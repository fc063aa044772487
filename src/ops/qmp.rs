//! A QMP command to a machine that runs.

use serde_json::Value;

use super::error::OpsError;
use super::running::{self, WantedMachine};
use super::session::Session;
use crate::guest::monitor;

/// Which machine, and what it is asked.
#[derive(Debug, Clone)]
pub struct QmpRequest {
    /// The machine.
    pub machine: WantedMachine,
    /// The command's name.
    pub command: String,
    /// Its arguments.
    pub arguments: Option<Value>,
}

/// What QEMU returns.
pub fn qmp(session: &Session<'_>, request: &QmpRequest) -> Result<Value, OpsError> {
    let found = running::find(session, &request.machine)?;
    Ok(monitor::execute(&found, &request.command, request.arguments.as_ref())?)
}
