//! `kiln qmp RECIPE|DIR COMMAND [JSON]`: speaks to the QEMU of a machine that runs.

use serde_json::Value;

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::ops::Session;
use crate::ops::qmp::{self, QmpRequest};
use crate::ops::running::WantedMachine;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::QmpArgs) -> Result<(), Failure> {
    let request = QmpRequest {
        machine: WantedMachine { source: Some(args.source.clone()), machine: args.machine.clone(), run: args.run },
        command: args.command.clone(),
        arguments: args.arguments.as_deref().map(arguments).transpose()?,
    };
    output::json(&qmp::qmp(session, &request)?)
}

/// The arguments of a QMP command are always an object.
fn arguments(text: &str) -> Result<Value, Failure> {
    let wrong =
        |reason: String| Failure::usage(format!("the arguments of the command are not a JSON object: {reason}"));
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(other) => Err(wrong(format!("`{other}`"))),
        Err(error) => Err(wrong(error.to_string())),
    }
}
