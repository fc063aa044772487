//! What a plan and a store know of steps together: who reads whom, resolved ids, recorded results.

use std::collections::{BTreeMap, BTreeSet};

use super::Realized;
use super::outcome::{Outputs, value};
use super::source::SourceTrees;
use crate::base::Digest;
use crate::plan::id::{self, InputValue, Messages};
use crate::plan::{Input, Plan};
use crate::store::Store;

/// Steps that the plan delivers from, and those that nobody reads: they are there for their own sake.
pub(super) fn wanted(plan: &Plan) -> BTreeSet<usize> {
    let mut wanted: BTreeSet<usize> = (0..plan.steps.len()).collect();
    for step in &plan.steps {
        for read in step.dependencies() {
            wanted.remove(&read);
        }
    }
    // Launches take it out of the store.
    wanted.extend(plan.qemu.values());
    wanted.extend(plan.artifacts.iter().filter_map(|artifact| match &artifact.from {
        Input::Output { step, .. } => Some(*step),
        Input::Fetched(_) | Input::Inline(_) | Input::Local(_) => None,
    }));
    wanted
}

/// The messages of a step whose inputs are known.
pub(super) fn resolve(plan: &Plan, at: usize, known: &Findings<'_>) -> Option<Messages> {
    resolve_without(plan, at, &BTreeSet::new(), known)
}

/// What builds found out, which plans do not know.
pub(super) struct Findings<'a> {
    /// What steps left.
    pub(super) outputs: &'a dyn Fn(usize, &str) -> Option<InputValue>,
    /// What is in local sources.
    pub(super) sources: &'a SourceTrees,
}

/// A local source as an input: its listing, which names every file by digest.
pub(super) fn local(sources: &SourceTrees, name: &str) -> Option<InputValue> {
    let tree = sources.get(name)?;
    Some(InputValue::File { digest: tree.digest, size: tree.size, executable: false })
}

/// [`resolve`], as if the step did not have some of its inputs.
pub(super) fn resolve_without(
    plan: &Plan,
    at: usize,
    without: &BTreeSet<String>,
    known: &Findings<'_>,
) -> Option<Messages> {
    let step = &plan.steps[at];
    let mut inputs = BTreeMap::new();
    for (path, input) in step.inputs.iter().filter(|(path, _)| !without.contains(*path)) {
        let value = match input {
            Input::Fetched(digest) => id::fetched(plan, digest),
            Input::Inline(bytes) => id::inline(bytes),
            Input::Output { step, name } => (known.outputs)(*step, name)?,
            Input::Local(name) => local(known.sources, name)?,
        };
        inputs.insert(path.as_str(), value);
    }
    let tools = match step.tools() {
        Some(tools) => Some((known.outputs)(tools, id::TREE)?),
        None => None,
    };
    Some(id::action(step, &inputs, tools.as_ref()))
}

/// The resolved id of a step of a plan in which everything before it came out as in `realized`, which may be of another
/// plan with the same steps; the step reads nothing transient.
pub fn resolved_id(plan: &Plan, at: usize, realized: &Realized) -> Digest {
    let outputs = &|step: usize, name: &str| realized.output(step, name).map(value);
    let known = Findings { outputs, sources: realized.sources() };
    resolve(plan, at, &known).expect("a realized plan has all outputs").action
}

/// A result that fits its step: one that was written by somebody else for something else is none.
pub(super) fn result(plan: &Plan, store: &Store, at: usize, action: &Digest) -> Option<Outputs> {
    store.get_result(action).filter(|outputs| fits(plan, at, outputs))
}

/// Whether these are the outputs that a step declares.
pub(super) fn fits(plan: &Plan, at: usize, outputs: &Outputs) -> bool {
    let declared: BTreeSet<&String> = plan.steps[at].outputs.iter().collect();
    outputs.keys().collect::<BTreeSet<_>>() == declared
}
