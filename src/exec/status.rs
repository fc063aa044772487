//! What a build would do, without doing it.

use std::collections::BTreeSet;

use super::ExecError;
use super::outcome::{Known, Left, Objects};
use super::{interrupt, resolve, source};
use crate::base::Digest;
use crate::plan::{Plan, id};
use crate::store::{Presence, Store};

/// What a build would do with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Its result is known, and whatever of it is needed is in the store.
    Cached,
    /// It would run.
    WouldRun,
    /// Steps that it reads would run; it runs when they leave other bits behind than ever before.
    Unknown,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub id: Digest,
    /// Its resolved id, when everything that it reads is known.
    pub action: Option<Digest>,
    /// What a build would do.
    pub state: StepState,
}

/// The state of every step, in order.
pub fn status(plan: &Plan, store: &Store) -> Result<Vec<Status>, ExecError> {
    // A directory that cannot be read is told of by the build.
    let sources = source::all(plan, store, &interrupt::stopped).unwrap_or_default();
    let mut steps: Vec<Option<Known>> = Vec::new();
    let mut all = Vec::new();
    for (at, id) in id::static_ids(plan).into_iter().enumerate() {
        let outputs = &|step: usize, name: &str| steps[step].as_ref()?.value(name);
        let found = resolve::Findings { outputs, sources: &sources };
        let action = resolve::resolve(plan, at, &found).map(|messages| messages.action);
        let known = action.and_then(|action| known(plan, store, at, action));
        let state = match (&action, &known) {
            (None, _) => StepState::Unknown,
            (_, None) => StepState::WouldRun,
            (_, Some(_)) => StepState::Cached,
        };
        steps.push(known);
        all.push(Status { id, action, state });
    }
    let mut needed: BTreeSet<usize> = resolve::wanted(plan);
    for at in (0..all.len()).rev() {
        if needed.contains(&at)
            && let Some(known) = &steps[at]
            && !present(store, &known.left)?
        {
            all[at].state = StepState::WouldRun;
        }
        if all[at].state == StepState::WouldRun {
            needed.extend(plan.steps[at].dependencies());
        }
    }
    Ok(all)
}

/// What is known of a step without running it.
fn known(plan: &Plan, store: &Store, at: usize, action: Digest) -> Option<Known> {
    let left = if plan.transient.contains(&at) {
        Left::Transient
    } else {
        Left::Objects(Objects { outputs: resolve::result(plan, store, at, &action)?, incremental: None })
    };
    Some(Known { action, left })
}

/// Whether what a step leaves behind is there; what is transient never is.
fn present(store: &Store, left: &Left) -> Result<bool, ExecError> {
    let Left::Objects(objects) = left else { return Ok(false) };
    for output in objects.outputs.values() {
        if !matches!(store.output(output)?, Presence::Good(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}
