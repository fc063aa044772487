//! What a build will fetch and unpack, told before it begins.
//!
//! Input: a plan and which of its steps will run. Output: numbers, out of the sizes that the lock states. Steps whose inputs are
//! not known yet count, since nearly all of them run.

use std::collections::BTreeSet;

use super::event::StepEvent;
use super::source::SourceTrees;
use super::status::{StepState, states};
use super::{ExecOptions, Outlook, Services};
use crate::base::Digest;
use crate::plan::{Fetch, Input, Plan};
use crate::store::{Output, Store};

/// The outlook of a build in which these steps run.
pub fn outlook(plan: &Plan, store: &Store, runs: &dyn Fn(usize) -> bool) -> Outlook {
    let mut outlook = Outlook::default();
    let mut needed = BTreeSet::new();
    for (_, step) in plan.steps.iter().enumerate().filter(|(at, _)| runs(*at)) {
        for (path, input) in &step.inputs {
            let Some(fetch) = fetched(plan, input) else { continue };
            needed.insert(fetch.digest);
            if path.ends_with(".deb") {
                outlook.packages += 1;
                outlook.packages_bytes += fetch.size;
            }
        }
    }
    needed.extend(plan.artifacts.iter().filter_map(|artifact| Some(fetched(plan, &artifact.from)?.digest)));
    let lacking: BTreeSet<Digest> = lacking(plan, store).map(|fetch| fetch.digest).collect();
    for fetch in needed.iter().filter_map(|digest| plan.fetches.get(digest)).filter(|fetch| !fetch.place.is_local()) {
        if lacking.contains(&fetch.digest) {
            outlook.files += 1;
            // What an earlier download has left is gone on with.
            outlook.bytes += fetch.size - store.begun(&fetch.digest, fetch.size);
        } else {
            outlook.files_present += 1;
            outlook.bytes_present += fetch.size;
        }
    }
    outlook
}

/// Tells what a build will do, if it will download anything.
pub(super) fn tell(plan: &Plan, sources: &SourceTrees, services: &Services<'_>, options: &ExecOptions) {
    let Services { store, caches, listener, .. } = *services;
    // A build with nothing to fetch has nothing to say.
    if options.offline || lacking(plan, store).next().is_none() {
        return;
    }
    let named = |output: &_| Ok(store.lists(output));
    let Ok(states) = states(plan, (store, caches), sources, &named) else { return };
    let runs = |at: usize| options.no_cache || states[at].state != StepState::Cached;
    let found = Outlook { at_most: caches.is_some() && !options.no_cache, ..outlook(plan, store, &runs) };
    if found.files > 0 {
        listener.on(StepEvent::Planned(found));
    }
}

/// The files that others have, and the store has not by name. They are not looked at: nothing of a store below is used for this, and
/// nothing is read.
fn lacking<'a>(plan: &'a Plan, store: &Store) -> impl Iterator<Item = &'a Fetch> {
    let named = |fetch: &Fetch| Output::File { digest: fetch.digest, size: fetch.size, executable: false };
    plan.fetches.values().filter(move |fetch| !fetch.place.is_local() && !store.lists(&named(fetch)))
}

fn fetched<'a>(plan: &'a Plan, input: &Input) -> Option<&'a Fetch> {
    match input {
        Input::Fetched(digest) => plan.fetches.get(digest),
        Input::Output { .. } | Input::Inline(_) | Input::Local(_) => None,
    }
}
