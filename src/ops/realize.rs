//! Carries plans out, with the mirrors and limits of the session's user.

use std::collections::BTreeSet;

use super::below::OthersResults;
use super::cache::{CacheServices, Network, StepCaches};
use super::error::{OpsError, UsageError};
use super::event::{Notice, Steps};
use super::load::Ready;
use super::options::{BuildOptions, CacheOptions, CacheUse, Incremental};
use super::session::Session;
use super::{local, mirrors, record};
use crate::base::Digest;
use crate::exec::cache::StepCache;
use crate::exec::event::{StepEvent, StepListener};
use crate::exec::executor::{Executor, LocalExecutor};
use crate::exec::sandbox::{Limit, Limits};
use crate::exec::{self, ExecError, Realized, StepJudge};
use crate::plan::step::FetchPlace;
use crate::plan::{self, Fetch, Plan};
use crate::store::Store;
use crate::world::World;

/// Carries the whole plan out. Results of others that contradict the lock are no error: what they are of is built here.
pub(super) fn all(ready: &Ready<'_>, options: &BuildOptions) -> Result<Realized, OpsError> {
    judged(ready, options, None)
}

/// The same under the eyes of somebody who may end it.
pub(super) fn judged(
    ready: &Ready<'_>,
    options: &BuildOptions,
    judge: Option<&dyn StepJudge>,
) -> Result<Realized, OpsError> {
    let work = Work { judge, ..Work::of(ready) };
    let realized = realize(ready, &work, options)?;
    let asked = options.caches.wanted == CacheUse::Ask;
    if !asked || realized.taken().next().is_none() || !record::contradicts(ready, &realized) {
        return Ok(realized);
    }
    for (at, origin) in realized.taken() {
        ready.loaded.session.notice(Notice::TakenContradicts { step: &ready.plan.steps[at].name(), origin });
    }
    realize(ready, &work, &alone(options))
}

/// The same build without the results of others.
fn alone(options: &BuildOptions) -> BuildOptions {
    let caches = CacheOptions { wanted: CacheUse::Nothing, ..options.caches.clone() };
    BuildOptions { caches, ..options.clone() }
}

/// The same in another store.
pub(super) fn in_store(ready: &Ready<'_>, store: &Store, options: &BuildOptions) -> Result<Realized, OpsError> {
    realize(ready, &Work { store, ..Work::of(ready) }, options)
}

/// Carries out a part of the plan that is asked for by itself.
pub(super) fn only(ready: &Ready<'_>, plan: &Plan, options: &BuildOptions) -> Result<Realized, OpsError> {
    realize(ready, &Work { plan, ..Work::of(ready) }, options)
}

/// Carries the whole plan out with an executor of the caller's.
pub(super) fn by(ready: &Ready<'_>, executor: &dyn Executor, options: &BuildOptions) -> Result<Realized, OpsError> {
    let work = Work { executor, ..Work::of(ready) };
    realize(ready, &work, options)
}

/// What is carried out, and where.
struct Work<'a> {
    plan: &'a Plan,
    store: &'a Store,
    executor: &'a dyn Executor,
    judge: Option<&'a dyn StepJudge>,
}

impl<'a> Work<'a> {
    /// The whole plan, in sandboxes of this machine.
    fn of(ready: &'a Ready<'_>) -> Work<'a> {
        Work { plan: &ready.plan, store: &ready.store, executor: &LocalExecutor, judge: None }
    }
}

/// Refuses a plan with steps that nobody here can carry out, before anything is fetched for it.
pub(super) fn possible(ready: &Ready<'_>, plan: &Plan) -> Result<(), OpsError> {
    let recipe = &ready.loaded.recipe;
    let mut mistakes = plan::unsupported::images(recipe, plan);
    mistakes.extend(local::closed(recipe, plan));
    if mistakes.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, mistakes)) }
}

fn realize(ready: &Ready<'_>, work: &Work<'_>, options: &BuildOptions) -> Result<Realized, OpsError> {
    possible(ready, work.plan)?;
    let session = &ready.loaded.session;
    let exec = exec::ExecOptions {
        jobs: options.jobs,
        offline: options.offline,
        no_cache: options.no_cache,
        variation: options.variation,
        without_stand_ins: options.without_stand_ins,
        incremental: options.incremental,
        limits: limits(session.world, &options.limits)?,
    };
    let known = mirrors::known(session.world)?;
    let addresses = |place: &FetchPlace| mirrors::addresses(&known, place);
    let steps = Steps::start(session.listener);
    let Work { store, executor, .. } = *work;
    let world = session.world;
    let network = if options.offline { Network::Forbidden } else { Network::Allowed };
    let cache_services = CacheServices { store, world, listener: &steps, memory: &ready.caches };
    let caches = StepCaches::open(cache_services, &ready.loaded.recipe.name, (&options.caches, network))?;
    let others = OthersResults::new(store, caches.as_ref(), options.caches.wanted);
    let asked = others.as_ref().map(|others| others as &dyn StepCache);
    let services = exec::Services { store, world, mirrors: &addresses, executor, caches: asked, listener: &steps };
    let carry_out = |services: &exec::Services<'_>| match work.judge {
        Some(judge) => exec::realize_judged(work.plan, services, &exec, judge),
        None => exec::realize(work.plan, services, &exec),
    };
    let realized = match carry_out(&services) {
        Err(error @ ExecError::Disproved { .. }) => {
            steps.on(StepEvent::Warning { message: format!("{error}; building without the results of others") });
            carry_out(&exec::Services { caches: None, ..services })
        }
        realized => realized,
    };
    if let Some(caches) = &caches {
        caches.conclude();
    }
    realized.map_err(|error| OpsError::exec(&ready.loaded.recipe, error))
}

/// What a step may use: what the caller says, else the environment, else what the machine has.
fn limits(world: &dyn World, given: &[Limit]) -> Result<Limits, UsageError> {
    let words = world.env("KILN_LIMITS").unwrap_or_default();
    let standing: Vec<Limit> = words.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(standing.iter().chain(given).fold(Limits::default(), |limits, limit| limits.with(*limit)))
}

/// Options for whoever compares a build with another one: results of steps that went on from an earlier run count, and
/// those that were taken from caches before; no such step starts, and no cache is asked.
pub(super) fn to_compare() -> BuildOptions {
    let caches = CacheOptions { wanted: CacheUse::Remembered, ..CacheOptions::default() };
    BuildOptions { incremental: Incremental::Results, caches, ..BuildOptions::default() }
}

/// Fetches every input that the store lacks; how many the plan has.
pub(super) fn inputs(ready: &Ready<'_>) -> Result<usize, OpsError> {
    let all: Vec<&Fetch> = ready.plan.fetches.values().collect();
    fetch(ready, &all, &BuildOptions::default())?;
    Ok(all.len())
}

/// Fetches those of these files that the store lacks.
pub(super) fn fetch(ready: &Ready<'_>, files: &[&Fetch], options: &BuildOptions) -> Result<(), OpsError> {
    let wanted = Files { files, private: Some(&ready.plan.private) };
    fetch_into(&ready.loaded.session, &ready.store, &wanted, options.offline)
}

/// The same of files that no recipe is read for.
pub(super) fn files(session: &Session<'_>, store: &Store, files: &[&Fetch], offline: bool) -> Result<(), OpsError> {
    fetch_into(session, store, &Files { files, private: None }, offline)
}

/// What is fetched.
struct Files<'a> {
    files: &'a [&'a Fetch],
    /// Those that others than this user must not read.
    private: Option<&'a BTreeSet<Digest>>,
}

fn fetch_into(session: &Session<'_>, store: &Store, wanted: &Files<'_>, offline: bool) -> Result<(), OpsError> {
    let known = mirrors::known(session.world)?;
    let addresses = |place: &FetchPlace| mirrors::addresses(&known, place);
    let missing = exec::fetch::missing(store, wanted.files.iter().copied());
    let downloads: Vec<&&Fetch> = missing.iter().filter(|fetch| !fetch.place.is_local()).collect();
    if let Some(first) = downloads.first().filter(|_| offline) {
        return Err(ExecError::Offline { files: downloads.len(), label: first.label.clone() }.into());
    }
    let never = || false;
    let steps = Steps::start(session.listener);
    let told = |waiting| steps.on(StepEvent::Waiting(waiting));
    let fetcher = exec::fetch::Fetcher::new(store, session.world, &addresses, &steps, &never).telling(&told);
    match wanted.private {
        Some(private) => Ok(fetcher.hiding(private).fetch(&missing)?),
        None => Ok(fetcher.fetch(&missing)?),
    }
}

/// Carries out steps that no recipe is read for, of files that are in the store.
pub(super) fn unpacked(session: &Session<'_>, store: &Store, plan: &Plan) -> Result<(), OpsError> {
    let limits = limits(session.world, &[])?;
    let options = exec::ExecOptions { offline: true, limits, ..exec::ExecOptions::default() };
    let nowhere = |_: &FetchPlace| Vec::new();
    let steps = Steps::start(session.listener);
    let services = exec::Services {
        store,
        world: session.world,
        mirrors: &nowhere,
        executor: &LocalExecutor,
        caches: None,
        listener: &steps,
    };
    Ok(exec::realize(plan, &services, &options).map(drop)?)
}
