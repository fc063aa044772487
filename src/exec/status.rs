//! What a build would do, without doing it.

use std::collections::BTreeSet;

use super::ExecError;
use super::cache::{ResultOrigin, StepCache, WantedResult};
use super::outcome::{Known, Left, Objects};
use super::sharing::{self, Sharing};
use super::source::SourceTrees;
use super::{interrupt, resolve, source};
use crate::base::Digest;
use crate::plan::{Plan, id};
use crate::store::{Output, Presence, Store};

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
    /// Whose the known result is, if it is not this store's own.
    pub taken: Option<ResultOrigin>,
}

/// Where results are looked up, and which of them may be somebody else's.
struct KnownPlaces<'a> {
    store: &'a Store,
    caches: Option<&'a dyn StepCache>,
    sharing: Vec<Sharing>,
}

/// The state of every step, in order.
pub fn status(plan: &Plan, store: &Store, caches: Option<&dyn StepCache>) -> Result<Vec<Status>, ExecError> {
    // A directory that cannot be read is told of by the build.
    let sources = source::all(plan, store, &interrupt::stopped).unwrap_or_default();
    states(plan, (store, caches), &sources, &|output| Ok(matches!(store.output(output)?, Presence::Good(_))))
}

/// The same where local sources were read, and where it is somebody else's to say whether an output is there.
pub(super) fn states(
    plan: &Plan,
    (store, caches): (&Store, Option<&dyn StepCache>),
    sources: &SourceTrees,
    is_there: &dyn Fn(&Output) -> Result<bool, ExecError>,
) -> Result<Vec<Status>, ExecError> {
    let places = KnownPlaces { store, caches, sharing: sharing::of(plan) };
    let mut steps: Vec<Option<Known>> = Vec::new();
    let mut all = Vec::new();
    for (at, id) in id::static_ids(plan).into_iter().enumerate() {
        let outputs = &|step: usize, name: &str| steps[step].as_ref()?.value(name);
        let found = resolve::Findings { outputs, sources };
        let action = resolve::resolve(plan, at, &found).map(|messages| messages.action);
        let known = action.and_then(|action| known(plan, &places, at, action));
        let state = match (&action, &known) {
            (None, _) => StepState::Unknown,
            (_, None) => StepState::WouldRun,
            (_, Some(_)) => StepState::Cached,
        };
        let taken = known.as_ref().and_then(|known| match &known.left {
            Left::Objects(objects) => objects.taken.as_deref().cloned(),
            Left::Transient => None,
        });
        steps.push(known);
        all.push(Status { id, action, state, taken });
    }
    let mut needed: BTreeSet<usize> = resolve::wanted(plan);
    for at in (0..all.len()).rev() {
        if needed.contains(&at)
            && let Some(known) = &steps[at]
            && !present(&known.left, is_there)?
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
fn known(plan: &Plan, places: &KnownPlaces<'_>, at: usize, action: Digest) -> Option<Known> {
    let left = if plan.transient.contains(&at) {
        Left::Transient
    } else {
        Left::Objects(known_objects(plan, places, at, action)?)
    };
    Some(Known { action, left })
}

/// A result of this store, else one of somebody else that a build would take.
fn known_objects(plan: &Plan, places: &KnownPlaces<'_>, at: usize, action: Digest) -> Option<Objects> {
    if let Some(outputs) = resolve::result(plan, places.store, at, &action) {
        return Some(Objects { outputs, incremental: None, taken: None });
    }
    let sharing = places.sharing[at];
    let (visibility, outputs) = (sharing.visibility()?, &plan.steps[at].outputs);
    let wanted = WantedResult { action, outputs, visibility, places: sharing.places(), stop: &interrupt::stopped };
    let taken = places.caches?.remembered(&wanted).filter(|taken| resolve::fits(plan, at, &taken.outputs))?;
    Some(Objects { outputs: taken.outputs, incremental: None, taken: Some(Box::new(taken.origin)) })
}

/// Whether what a step leaves behind is there; what is transient never is.
fn present(left: &Left, is_there: &dyn Fn(&Output) -> Result<bool, ExecError>) -> Result<bool, ExecError> {
    let Left::Objects(objects) = left else { return Ok(false) };
    for output in objects.outputs.values() {
        if !is_there(output)? {
            return Ok(false);
        }
    }
    Ok(true)
}
