//! [`crate::plan::Builtin::Base`] and [`crate::plan::Builtin::Root`]: packages to a root file system.

use serde::de::DeserializeOwned;

use super::BuiltinContext;
use crate::exec::debian::{Job, RootError, SPEC_LIMIT, Task, input};
use crate::exec::tree::HostPath;
use crate::world::fs;

/// Carries [`crate::plan::Builtin::Base`] out.
pub fn base(context: &BuiltinContext<'_>) -> Result<(), RootError> {
    carry_out(context, Task::Base(spec(context, "base.json")?))
}

/// Carries [`crate::plan::Builtin::Root`] out.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), RootError> {
    carry_out(context, Task::Root(Box::new(spec(context, "root.json")?)))
}

fn spec<T: DeserializeOwned>(context: &BuiltinContext<'_>, name: &str) -> Result<T, RootError> {
    let bytes = fs::read(input(context, name)?, SPEC_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|error| RootError::Broken(format!("{name}: {error}")))
}

/// What does not fit into memory stays in the scratch space, which goes with the step.
fn carry_out(context: &BuiltinContext<'_>, task: Task) -> Result<(), RootError> {
    let job = Job {
        task,
        inputs: context.inputs,
        root: HostPath::new(context.scratch.join("root")),
        out: context.out,
        variation: context.variation,
        step: context.step,
        listener: context.listener,
    };
    job.run()
}
