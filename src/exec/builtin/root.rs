//! [`crate::plan::Builtin::Base`], [`crate::plan::Builtin::Named`] and [`crate::plan::Builtin::Root`]: packages to a root file system.

use serde::de::DeserializeOwned;

use super::{BuiltinContext, BuiltinError, input};
use crate::exec::debian::{self, Job};
use crate::exec::failure::StepFailure;
use crate::exec::tree::HostPath;
use crate::plan::Builtin;
use crate::plan::root::{BaseSpec, RootSpec, TRACES};
use crate::world::fs;

/// The list of paths that depend on the host name, when there are none.
const NO_TRACES: &[u8] = b"[]";

/// Largest description of a step.
const SPEC_LIMIT: u64 = 64 << 20;

/// Carries [`crate::plan::Builtin::Base`] out.
pub fn base(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let spec: BaseSpec = spec(context, "base.json")?;
    Ok(debian::base(&job(context), &spec)?)
}

/// Carries [`crate::plan::Builtin::Named`] out.
pub fn named(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let traces: Vec<String> = spec(context, TRACES)?;
    let spec: BaseSpec = spec(context, "base.json")?;
    Ok(debian::named(&job(context), &spec, &traces)?)
}

/// Whether a step of [`named`] leaves nothing because nothing depends on the name. It then reads what kiln wrote and no package.
pub fn has_nothing_to_do(builtin: &Builtin, context: &BuiltinContext<'_>) -> bool {
    let traces = || fs::read(context.inputs.get(TRACES)?, NO_TRACES.len() as u64).ok();
    matches!(builtin, Builtin::Named(_)) && traces().is_some_and(|traces| traces == NO_TRACES)
}

/// Carries [`crate::plan::Builtin::Root`] out.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let spec: RootSpec = spec(context, "root.json")?;
    Ok(debian::root(&job(context), &spec)?)
}

fn spec<T: DeserializeOwned>(context: &BuiltinContext<'_>, name: &str) -> Result<T, BuiltinError> {
    let bytes = fs::read(input(context, name)?, SPEC_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|error| BuiltinError::from(StepFailure::bug(format!("{name}: {error}"))))
}

/// What does not fit into memory stays in the scratch space, which goes with the step.
fn job<'a>(context: &'a BuiltinContext<'_>) -> Job<'a> {
    Job {
        inputs: context.inputs,
        root: HostPath::new(context.scratch.join("root")),
        out: context.out,
        variation: context.variation,
        // A second build is to show that nothing depends on them.
        stand_ins: (!context.without_stand_ins && context.variation.is_none())
            .then(|| context.scratch.join("stand-ins")),
        step: context.step,
        listener: context.listener,
    }
}
