//! Plan to artifacts.
//!
//! Each step has a thread that waits for the steps it reads, computes the resolved id, and looks for a result under it.
//! Only when there is none, or when a delivered file is lost, the step runs, and only then its inputs must really be
//! there: files are fetched, lost outputs made again. So a build with nothing to do reads a dozen small files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{StepEvent, StepListener};
use super::fetch::{self, Fetcher, MirrorLookup, interrupted};
use super::gate::Gate;
use super::incremental::{self, KeptDirectory, Names};
use super::interrupt::{self, Listening};
use super::resolve::{resolve, resolve_without, result, value, wanted};
use super::{ExecError, ExecOptions, Incremental, Realized, step};
use crate::base::Digest;
use crate::plan::id::{self, Messages};
use crate::plan::{Fetch, Input, Plan};
use crate::store::{Output, Presence, Store, StoreError};
use crate::world::World;

/// What a step left behind, by declared path.
pub(super) type Outputs = BTreeMap<String, Output>;

/// What came of one step.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) action: Digest,
    pub(super) outputs: Outputs,
    /// The names of the incremental run that it came from, if it did not come from nothing.
    pub(super) incremental: Option<Names>,
}

/// What is known of one step; locked while it is found out.
#[derive(Clone)]
enum Cell {
    Unknown,
    Known(Known),
    /// It, or one that it reads, failed; whoever met the error has told it.
    Failed,
}

/// A step whose inputs are known.
struct Resolved<'a> {
    messages: Messages,
    /// How it can go on from an earlier run.
    incremental: Option<KeptDirectory<'a>>,
}

struct Realizer<'a> {
    plan: &'a Plan,
    store: &'a Store,
    options: &'a ExecOptions,
    listener: &'a dyn StepListener,
    fetcher: Fetcher<'a>,
    cells: Vec<Mutex<Cell>>,
    /// Steps whose outputs must be there in the end.
    wanted: BTreeSet<usize>,
    jobs: Gate,
    failed: &'a AtomicBool,
    error: Mutex<Option<ExecError>>,
}

/// Carries a plan out. Everything that the plan delivers is in the store afterwards.
#[allow(clippy::too_many_arguments, reason = "each is another layer's; a struct would only be taken apart again")]
pub fn realize(
    plan: &Plan,
    store: &Store,
    world: &dyn World,
    mirrors: &MirrorLookup<'_>,
    options: &ExecOptions,
    listener: &dyn StepListener,
) -> Result<Realized, ExecError> {
    let _listening = Listening::start();
    if !store.leftovers().is_empty() {
        super::remove_inside(store.leftovers(), listener);
    }
    let failed = AtomicBool::new(false);
    let stop = || failed.load(Ordering::Relaxed) || interrupt::stopped();
    let realizer = Realizer {
        plan,
        store,
        options,
        listener,
        fetcher: Fetcher::new(store, world, mirrors, listener, &stop),
        cells: plan.steps.iter().map(|_| Mutex::new(Cell::Unknown)).collect(),
        wanted: wanted(plan),
        jobs: Gate::new(options.parallel()),
        failed: &failed,
        error: Mutex::new(None),
    };
    realizer.all()?;
    let cells = realizer.cells.iter().map(|cell| lock(cell).clone());
    let known = cells.map(|cell| match cell {
        Cell::Known(known) => known,
        Cell::Unknown | Cell::Failed => unreachable!("without an error every step is known"),
    });
    Ok(Realized::new(plan, known.collect()))
}

impl Realizer<'_> {
    fn all(&self) -> Result<(), ExecError> {
        std::thread::scope(|scope| {
            for at in 0..self.plan.steps.len() {
                scope.spawn(move || self.known(at));
            }
            if let Err(error) = self.deliver_inputs() {
                self.fail(error);
            }
        });
        match self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None if interrupt::stopped() => Err(ExecError::Interrupted),
            None => Ok(()),
        }
    }

    /// Artifacts that are inputs as they are.
    fn deliver_inputs(&self) -> Result<(), ExecError> {
        let mut fetches = Vec::new();
        for artifact in &self.plan.artifacts {
            match &artifact.from {
                Input::Fetched(digest) => fetches.push(*digest),
                Input::Inline(bytes) => drop(self.put(bytes)?),
                Input::Output { .. } => {}
            }
        }
        self.fetch(&fetches)
    }

    /// Remembers the first error, and has everybody stop.
    fn fail(&self, error: ExecError) {
        // What goes wrong after a Ctrl-C goes wrong because of it.
        let error = if interrupt::stopped() { ExecError::Interrupted } else { error };
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that stop because of an error report that they were stopped.
        if first.is_none() || matches!(*first, Some(ExecError::Interrupted)) {
            *first = Some(error);
        }
        self.failed.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || interrupt::stopped()
    }

    /// Finds out what a step leaves behind, running it if need be; `None` after a failure.
    fn known(&self, at: usize) -> Option<Outputs> {
        let mut cell = lock(&self.cells[at]);
        if let Cell::Unknown = *cell {
            *cell = match self.find_out(at) {
                Ok(Some(known)) => Cell::Known(known),
                Ok(None) => Cell::Failed,
                Err(error) => {
                    self.fail(error);
                    Cell::Failed
                }
            };
        }
        match &*cell {
            Cell::Known(known) => Some(known.outputs.clone()),
            Cell::Unknown | Cell::Failed => None,
        }
    }

    fn find_out(&self, at: usize) -> Result<Option<Known>, ExecError> {
        let Some(resolved) = self.resolved(at) else { return Ok(None) };
        let action = resolved.messages.action;
        if !self.options.no_cache
            && let Some(known) = self.at_hand(at, &resolved, self.wanted.contains(&at))?
        {
            self.listener.on(StepEvent::StepAtHand { step: self.plan.steps[at].name(), id: action });
            return Ok(Some(known));
        }
        let before = result(self.plan, self.store, at, &action);
        let known = self.run(at, &resolved, self.options.no_cache)?;
        if before.is_some_and(|before| before != known.outputs) {
            let step = &self.plan.steps[at].kind;
            let message = format!("step {step} gave other bits than the last time; it is not reproducible");
            self.listener.on(StepEvent::Warning { message });
        }
        Ok(Some(known))
    }

    /// Waits for what the step reads; `None` after a failure.
    fn resolved(&self, at: usize) -> Option<Resolved<'_>> {
        let mut known = BTreeMap::new();
        for read in self.plan.steps[at].dependencies() {
            known.insert(read, self.known(read)?);
        }
        if self.stopped() {
            return None;
        }
        let output = |step: usize, name: &str| known.get(&step)?.get(name).map(value);
        let messages = resolve(self.plan, at, &output)?;
        let incremental = self.plan.incremental.get(&at).and_then(|how| {
            let apart = resolve_without(self.plan, at, Some(&how.changing), &output)?;
            Some(KeptDirectory::new(how, &messages.action, &apart.action))
        });
        Some(Resolved { messages, incremental })
    }

    /// The result, if there is one: of a run from nothing, or of an incremental one where that counts. With its outputs in the
    /// store when they must be there.
    fn at_hand(&self, at: usize, resolved: &Resolved<'_>, there: bool) -> Result<Option<Known>, ExecError> {
        let action = resolved.messages.action;
        let incremental =
            resolved.incremental.filter(|_| self.options.incremental != Incremental::None).map(|kept| kept.names);
        for (name, incremental) in
            [(action, None)].into_iter().chain(incremental.map(|names| (names.result, Some(names))))
        {
            if let Some(outputs) = result(self.plan, self.store, at, &name)
                && (!there || self.present(at, &outputs)?)
            {
                return Ok(Some(Known { action, outputs, incremental }));
            }
        }
        Ok(None)
    }

    /// Whether all outputs are in the store; tells of those that had gone bad there.
    fn present(&self, at: usize, outputs: &Outputs) -> Result<bool, ExecError> {
        let mut all = true;
        for (name, output) in outputs {
            match self.store.output(output)? {
                Presence::Good(_) => {}
                Presence::Missing => all = false,
                Presence::SetAside(aside) => {
                    all = false;
                    let (step, aside) = (&self.plan.steps[at].kind, aside.display());
                    let message = format!(
                        "{name} of step {step} was changed in the store; it is made again, what was there is now {aside}"
                    );
                    self.listener.on(StepEvent::Warning { message });
                }
            }
        }
        Ok(all)
    }

    /// Runs a step whose inputs are known, unless another kiln just did.
    fn run(&self, at: usize, resolved: &Resolved<'_>, again: bool) -> Result<Known, ExecError> {
        let (step, action) = (&self.plan.steps[at], resolved.messages.action);
        let (inputs, tools) = self.inputs(at)?;
        let _pass = self.jobs.enter();
        let _alone = self.store.lock(&action, &|| self.stopped()).map_err(interrupted)?;
        if self.stopped() {
            return Err(ExecError::Interrupted);
        }
        if !again && let Some(known) = self.at_hand(at, resolved, true)? {
            return Ok(known);
        }
        let incremental =
            resolved.incremental.filter(|_| !again && self.options.incremental == Incremental::Directories);
        let (store, listener, variation) = (self.store, self.listener, self.options.variation);
        let limits = self.options.limits;
        let stop = || self.stopped();
        let ready =
            step::Ready { step, action, inputs, tools, variation, limits, incremental, store, listener, stop: &stop };
        let (outputs, went_on) = self.timed(&ready)?;
        for bytes in resolved.messages.blobs.values() {
            self.store.put(bytes)?;
        }
        let incremental = incremental.filter(|_| went_on).map(|kept| kept.names);
        self.store.put_result(&incremental.map_or(action, |names| names.result), &outputs)?;
        if let (None, Some(kept)) = (incremental, &resolved.incremental) {
            self.judge(at, &kept.names, &outputs)?;
        }
        Ok(Known { action, outputs, incremental })
    }

    #[allow(clippy::disallowed_methods, reason = "how long a step took is told in an event")]
    fn timed(&self, ready: &step::Ready<'_>) -> Result<(Outputs, bool), ExecError> {
        let name = ready.step.name();
        self.listener.on(StepEvent::StepStarted { step: name.clone(), id: ready.action });
        let began = std::time::Instant::now();
        self.options.pin();
        let done = step::run(ready)?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.listener.on(StepEvent::StepFinished { step: name, millis });
        Ok(done)
    }

    /// Compares what an incremental run had left with what the run from nothing left now.
    fn judge(&self, at: usize, names: &Names, outputs: &Outputs) -> Result<(), ExecError> {
        if let Some(incremental) = result(self.plan, self.store, at, &names.result)
            && !incremental::judge(self.store, names, &incremental, outputs).map_err(interrupted)?
        {
            let step = &self.plan.steps[at].kind;
            let message = format!("step {step} had given other bits when it went on from an earlier run");
            self.listener.on(StepEvent::Warning { message });
        }
        Ok(())
    }

    /// Everything that a step reads, on disk and checked.
    fn inputs(&self, at: usize) -> Result<(BTreeMap<String, PathBuf>, Option<PathBuf>), ExecError> {
        let step = &self.plan.steps[at];
        let fetches: Vec<Digest> = step
            .inputs
            .values()
            .filter_map(|input| if let Input::Fetched(digest) = input { Some(*digest) } else { None })
            .collect();
        self.fetch(&fetches)?;
        let mut outputs = BTreeMap::new();
        for read in step.dependencies() {
            outputs.insert(read, self.again(read)?);
        }
        let place = |step: usize, name: &str| match outputs.get(&step).and_then(|outputs| outputs.get(name)) {
            Some(Output::File { digest, .. }) => self.store.path(digest),
            Some(Output::Tree { root, .. }) => self.store.tree(root),
            None => unreachable!("a plan reads declared outputs only"),
        };
        let mut paths = BTreeMap::new();
        for (path, input) in &step.inputs {
            let file = match input {
                Input::Fetched(digest) => self.store.path(digest)?,
                Input::Inline(bytes) => self.store.path(&self.put(bytes)?)?,
                Input::Output { step, name } => place(*step, name)?,
            };
            paths.insert(path.clone(), file);
        }
        let tools = step.tools().map(|tools| place(tools, id::TREE)).transpose()?;
        Ok((paths, tools))
    }

    /// Keeps what the plan holds.
    fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let private = self.plan.private.contains(&Digest::of(bytes));
        if private { self.store.put_private(bytes) } else { self.store.put(bytes) }
    }

    /// The outputs of a step, made again if the store lost them.
    fn again(&self, at: usize) -> Result<Outputs, ExecError> {
        let cell = lock(&self.cells[at]);
        let Cell::Known(Known { outputs: known, .. }) = &*cell else { return Err(ExecError::Interrupted) };
        if self.present(at, known)? {
            return Ok(known.clone());
        }
        let resolved = self.resolved(at).ok_or(ExecError::Interrupted)?;
        let Known { outputs, .. } = self.run(at, &resolved, false)?;
        match outputs.iter().find(|(name, output)| known.get(*name) != Some(*output)) {
            None => Ok(outputs),
            Some((name, _)) => {
                let step = self.plan.steps[at].name();
                Err(ExecError::Irreproducible { step, output: name.clone() })
            }
        }
    }

    fn fetch(&self, digests: &[Digest]) -> Result<(), ExecError> {
        let named = digests.iter().filter_map(|digest| self.plan.fetches.get(digest));
        let missing: Vec<&Fetch> = fetch::missing(self.store, named);
        match missing.first() {
            None => Ok(()),
            Some(first) if self.options.offline => {
                Err(ExecError::Offline { files: missing.len(), label: first.label.clone() })
            }
            Some(_) => self.fetcher.fetch(&missing),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
