//! The numbers of an image's users: found by the first build, kept by the lock, the same in every build after it.

use std::collections::BTreeMap;

use super::below::OthersResults;
use super::cache::{CacheServices, Network, StepCaches};
use super::error::OpsError;
use super::load::Ready;
use super::options::{CacheOptions, CacheUse};
use crate::exec::cache::StepCache;
use crate::exec::event::IgnoreSteps;
use crate::exec::executor::LocalExecutor;
use crate::exec::{self, Realized};
use crate::lock::{Lock, LockedImage};
use crate::plan::root::USERS;
use crate::plan::{self, Input, Plan, StepKind};
use crate::world::fs;

/// No table of users is larger.
const SMALL: u64 = 4 << 20;

/// The lock with the tables of what was built, and what was built as the steps of that lock.
///
/// A step that may number users gives the same tree as the step that is told the numbers which came out: both let the
/// packages' scripts choose, and then move every user to its final number. So what the one left behind is kept as the
/// result of the other, too, and the first build has the same steps as all that follow.
pub(super) fn assign_ids(
    ready: &Ready<'_>,
    realized: Realized,
    caches: &CacheOptions,
) -> Result<(Lock, Realized), OpsError> {
    let mut lock = ready.lock.clone();
    lock.images.extend(tables(ready, &realized)?);
    if lock.images == ready.lock.images {
        return Ok((lock, realized));
    }
    let plan = plan::lower(&ready.loaded.recipe, &lock);
    // What somebody else says of one step is not said of another one by this store.
    let own = |at: &usize| !realized.taken().any(|(taken, _)| taken == *at);
    for (at, _) in roots(&ready.plan).filter(|(at, _)| own(at)) {
        let outputs = plan.steps[at].outputs.iter();
        let outputs = outputs.filter_map(|name| Some((name.clone(), realized.output(at, name)?.clone()))).collect();
        // What a root reads knows nothing of users' numbers, and so came out as it will for the new lock.
        let id = exec::resolved_id(&plan, at, &realized);
        ready.store.put_result(&id, &outputs)?;
    }
    // Everything is at hand, if only from a step that went on from an earlier run.
    let options =
        exec::ExecOptions { offline: true, incremental: exec::Incremental::Results, ..exec::ExecOptions::default() };
    let nowhere = |_: &plan::step::FetchPlace| Vec::new();
    let (store, world) = (&ready.store, ready.loaded.session.world);
    let wanted = if caches.wanted == CacheUse::Nothing { CacheUse::Nothing } else { CacheUse::Remembered };
    let caches = CacheOptions { wanted: CacheUse::Remembered, ..caches.clone() };
    let surroundings = CacheServices { store, world, listener: &IgnoreSteps, memory: &ready.caches };
    let caches = StepCaches::open(surroundings, &ready.loaded.recipe.name, (&caches, Network::Forbidden))?;
    let others = OthersResults::new(store, caches.as_ref(), wanted);
    let services = exec::Services {
        store,
        world,
        mirrors: &nowhere,
        executor: &LocalExecutor,
        caches: others.as_ref().map(|others| others as &dyn StepCache),
        listener: &IgnoreSteps,
    };
    let realized = exec::realize_from(&plan, realized.sources(), &services, &options);
    Ok((lock, realized.map_err(|error| OpsError::exec(&ready.loaded.recipe, error))?))
}

/// The steps that make roots, with their images.
pub(super) fn roots(plan: &Plan) -> impl Iterator<Item = (usize, &str)> {
    plan.steps.iter().enumerate().filter_map(|(at, step)| match &step.kind {
        StepKind::Root(image) => Some((at, image.as_str())),
        _ => None,
    })
}

fn tables(ready: &Ready<'_>, realized: &Realized) -> Result<BTreeMap<String, LockedImage>, OpsError> {
    let mut tables = BTreeMap::new();
    for (step, image) in roots(&ready.plan) {
        let file = realized.file(&Input::Output { step, name: USERS.to_owned() });
        let path = ready.store.path(&file.sha256)?;
        let bytes = fs::read(&path, SMALL)?;
        let table: plan::root::RootIds =
            serde_json::from_slice(&bytes).map_err(|error| OpsError::parse(USERS, error))?;
        tables.insert(image.to_owned(), LockedImage { open: false, users: table.users, groups: table.groups });
    }
    Ok(tables)
}
