//! Plan to artifacts.
//!
//! Each step has a thread that waits for the steps it reads, computes the resolved id, and looks for a result under it.
//! Only when there is none, or when a delivered file is lost, the step runs, and only then its inputs must really be
//! there: files are fetched, lost outputs made again. So a build with nothing to do reads a dozen small files.

mod inputs;
mod judge;
mod run;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{StepEvent, StepListener};
use super::fetch::Fetcher;
use super::gate::Gate;
use super::incremental::KeptDirectory;
use super::interrupt::{self, Interruptible, RunningWork};
use super::outcome::{Known, Left, Objects, Outputs};
use super::resolve::{Findings, resolve, resolve_without, result, wanted};
use super::sandbox::SandboxGroup;
use super::sharing::{self, Sharing};
use super::source::{self, SourceTrees};
use super::transient::Transients;
use super::{ExecError, ExecOptions, Incremental, Realized, Services, planned, rank};
use crate::plan::id::Messages;
use crate::plan::{Input, Plan};
use crate::store::{Presence, Store};
use judge::Anything;
pub use judge::{RefusedOutputs, StepJudge};

/// What is known of one step; locked while it is found out.
#[derive(Clone)]
enum Cell {
    Unknown,
    Known(Known),
    /// It, or one that it reads, failed; whoever met the error has told it.
    Failed,
}

/// What of earlier runs of a step keeps it from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    /// Nothing.
    Nothing,
    /// A result, whether or not its outputs are still there.
    Result,
    /// A result whose outputs are there.
    Outputs,
}

/// A step whose inputs are known.
struct Resolved<'a> {
    messages: Messages,
    /// How it can go on from an earlier run.
    incremental: Option<KeptDirectory<'a>>,
}

struct Realizer<'a> {
    plan: &'a Plan,
    services: &'a Services<'a>,
    options: &'a ExecOptions,
    sources: &'a SourceTrees,
    fetcher: Fetcher<'a>,
    transients: Transients,
    cells: Vec<Mutex<Cell>>,
    /// Steps whose outputs must be there in the end.
    wanted: BTreeSet<usize>,
    /// Which steps others may have results of.
    sharing: Vec<Sharing>,
    jobs: Gate,
    /// By step: which goes first.
    ranks: Vec<u64>,
    judge: &'a dyn StepJudge,
    failed: &'a AtomicBool,
    /// What runs, to be ended by a failure.
    sandboxes: SandboxGroup,
    error: Mutex<Option<ExecError>>,
}

/// Carries a plan out. Everything that the plan delivers is in the store afterwards.
pub fn realize(plan: &Plan, services: &Services<'_>, options: &ExecOptions) -> Result<Realized, ExecError> {
    realize_judged(plan, services, options, &Anything)
}

/// The same under the eyes of somebody who may end it because of what steps leave.
pub fn realize_judged(
    plan: &Plan,
    services: &Services<'_>,
    options: &ExecOptions,
    judge: &dyn StepJudge,
) -> Result<Realized, ExecError> {
    let _running = Interruptible::start(RunningWork::Steps);
    let sources = source::all(plan, services.store, &interrupt::stopped)?;
    judge.begin();
    carry_out(plan, &sources, (services, judge), options)
}

/// The same with local sources that were read before.
pub fn realize_from(
    plan: &Plan,
    sources: &SourceTrees,
    services: &Services<'_>,
    options: &ExecOptions,
) -> Result<Realized, ExecError> {
    carry_out(plan, sources, (services, &Anything), options)
}

fn carry_out(
    plan: &Plan,
    sources: &SourceTrees,
    (services, judge): (&Services<'_>, &dyn StepJudge),
    options: &ExecOptions,
) -> Result<Realized, ExecError> {
    let Services { store, world, mirrors, listener, .. } = *services;
    let _running = Interruptible::start(RunningWork::Steps);
    if !store.leftovers().is_empty() {
        super::remove_inside(store.leftovers(), listener);
    }
    let failed = AtomicBool::new(false);
    let stop = || failed.load(Ordering::Relaxed) || interrupt::stopped();
    let told = |waiting| listener.on(StepEvent::Waiting(waiting));
    let realizer = Realizer {
        plan,
        services,
        options,
        sources,
        fetcher: Fetcher::new(store, world, mirrors, listener, &stop).hiding(&plan.private).telling(&told),
        transients: Transients::new(plan),
        cells: plan.steps.iter().map(|_| Mutex::new(Cell::Unknown)).collect(),
        wanted: wanted(plan),
        sharing: sharing::of(plan),
        jobs: Gate::new(options.parallel()),
        ranks: rank::ranks(plan),
        judge,
        failed: &failed,
        sandboxes: SandboxGroup::default(),
        error: Mutex::new(None),
    };
    planned::tell(plan, sources, services, options);
    realizer.all()?;
    let cells = realizer.cells.iter().map(|cell| lock(cell).clone());
    let known = cells.map(|cell| match cell {
        Cell::Known(known) => known,
        Cell::Unknown | Cell::Failed => unreachable!("without an error every step is known"),
    });
    Ok(Realized::new(plan, known.collect(), sources))
}

impl Realizer<'_> {
    fn store(&self) -> &Store {
        self.services.store
    }

    fn listener(&self) -> &dyn StepListener {
        self.services.listener
    }

    fn all(&self) -> Result<(), ExecError> {
        std::thread::scope(|scope| {
            for at in 0..self.plan.steps.len() {
                scope.spawn(move || {
                    if let Some(known) = self.known(at) {
                        self.judged(at, &known);
                    }
                });
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
                Input::Output { .. } | Input::Local(_) => {}
            }
        }
        // Nobody reads them, so that they may come last.
        self.fetch(0, &fetches)
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
        // What runs may take an hour, and nobody waits for it any more.
        self.sandboxes.cancel();
    }

    fn stopped(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || interrupt::stopped()
    }

    /// Finds out what a step leaves behind, running it if need be; `None` after a failure.
    fn known(&self, at: usize) -> Option<Known> {
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
            if !self.plan.transient.contains(&at) {
                self.transients.ended(self.plan, at);
            }
        }
        match &*cell {
            Cell::Known(known) => Some(known.clone()),
            Cell::Unknown | Cell::Failed => None,
        }
    }

    fn find_out(&self, at: usize) -> Result<Option<Known>, ExecError> {
        let Some(resolved) = self.resolved(at) else { return Ok(None) };
        let action = resolved.messages.action;
        if self.plan.transient.contains(&at) {
            return Ok(Some(Known { action, left: Left::Transient }));
        }
        let reuse = match self.options.no_cache {
            true => Reuse::Nothing,
            false if self.wanted.contains(&at) => Reuse::Outputs,
            false => Reuse::Result,
        };
        if let Some(objects) = self.cached(at, &resolved, reuse)? {
            self.listener().on(StepEvent::StepCached { step: self.plan.steps[at].name(), id: action });
            return Ok(Some(Known { action, left: Left::Objects(objects) }));
        }
        if let Some(objects) = self.taken(at, action, reuse)? {
            return Ok(Some(Known { action, left: Left::Objects(objects) }));
        }
        let before = result(self.plan, self.store(), at, &action);
        let objects = self.run(at, &resolved, reuse)?;
        if before.is_some_and(|before| before != objects.outputs) {
            let step = &self.plan.steps[at].kind;
            let message = format!("step {step} is not reproducible: its output differs from the last build");
            self.listener().on(StepEvent::Warning { message });
        }
        Ok(Some(Known { action, left: Left::Objects(objects) }))
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
        let outputs = &|step: usize, name: &str| known.get(&step)?.value(name);
        let known = Findings { outputs, sources: self.sources };
        let messages = resolve(self.plan, at, &known)?;
        let incremental = self.plan.incremental.get(&at).and_then(|how| {
            let apart = resolve_without(self.plan, at, &how.changing, &known)?;
            Some(KeptDirectory::new(how, &self.plan.steps[at].name(), (&messages.action, &apart.action)))
        });
        Some(Resolved { messages, incremental })
    }

    /// The result, if there is one that may be reused: of a run from nothing, or of an incremental one where that counts.
    fn cached(&self, at: usize, resolved: &Resolved<'_>, reuse: Reuse) -> Result<Option<Objects>, ExecError> {
        if reuse == Reuse::Nothing {
            return Ok(None);
        }
        let action = resolved.messages.action;
        let incremental =
            resolved.incremental.filter(|_| self.options.incremental != Incremental::None).map(|kept| kept.names);
        for (name, incremental) in
            [(action, None)].into_iter().chain(incremental.map(|names| (names.result, Some(names))))
        {
            if let Some(outputs) = result(self.plan, self.store(), at, &name)
                && (reuse == Reuse::Result || self.present(at, &outputs)?)
            {
                return Ok(Some(Objects { outputs, incremental, taken: None }));
            }
        }
        Ok(None)
    }

    /// Whether all outputs are in the store; tells of those that had gone bad there.
    fn present(&self, at: usize, outputs: &Outputs) -> Result<bool, ExecError> {
        let mut all = true;
        for (name, output) in outputs {
            match self.store().output(output)? {
                Presence::Good(_) => {}
                Presence::Missing => all = false,
                Presence::SetAside(aside) => {
                    all = false;
                    let (step, aside) = (&self.plan.steps[at].kind, aside.display());
                    let message = format!(
                        "{name} of step {step} was corrupt in the store; it is built again, and the corrupt file was moved to {aside}"
                    );
                    self.listener().on(StepEvent::Warning { message });
                }
            }
        }
        Ok(all)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
