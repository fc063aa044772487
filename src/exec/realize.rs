//! Plan to artifacts.
//!
//! Each step has a thread that waits for the steps it reads, computes the resolved id, and looks for a result under it.
//! Only when there is none, or when a delivered file is lost, the step runs, and only then its inputs must really be
//! there: files are fetched, lost outputs made again. So a build with nothing to do reads a dozen small files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{Event, Listener};
use super::fetch::{self, Fetcher, Mirrors, interrupted};
use super::gate::Gate;
use super::interrupt::{self, Listening};
use super::{ExecError, Options, Realized, step};
use crate::base::Digest;
use crate::plan::id::{self, Messages, Value};
use crate::plan::{Fetch, Input, Plan};
use crate::store::{Output, Presence, Store};
use crate::world::World;

/// What a step left behind, by declared path.
pub(super) type Outputs = BTreeMap<String, Output>;

/// What is known of one step; locked while it is found out.
#[derive(Clone)]
enum Cell {
    Unknown,
    Known(Digest, Outputs),
    /// It, or one that it reads, failed; whoever met the error has told it.
    Failed,
}

struct Realizer<'a> {
    plan: &'a Plan,
    store: &'a Store,
    options: &'a Options,
    listener: &'a dyn Listener,
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
    mirrors: &Mirrors<'_>,
    options: &Options,
    listener: &dyn Listener,
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
    let (actions, outputs): (Vec<Digest>, Vec<Outputs>) = cells
        .map(|cell| match cell {
            Cell::Known(action, outputs) => (action, outputs),
            Cell::Unknown | Cell::Failed => unreachable!("without an error every step is known"),
        })
        .unzip();
    Ok(Realized::new(plan, actions, outputs))
}

/// Steps that the plan delivers from, and those that nobody reads: they are there for their own sake.
pub(super) fn wanted(plan: &Plan) -> BTreeSet<usize> {
    let mut wanted: BTreeSet<usize> = (0..plan.steps.len()).collect();
    for step in &plan.steps {
        for read in reads(step) {
            wanted.remove(&read);
        }
    }
    // Launches take it out of the store.
    wanted.extend(plan.qemu.values());
    wanted.extend(plan.artifacts.iter().filter_map(|artifact| match &artifact.from {
        Input::Output { step, .. } => Some(*step),
        Input::Fetched(_) | Input::Inline(_) => None,
    }));
    wanted
}

/// The steps that a step reads, its tools among them.
pub(super) fn reads(step: &crate::plan::Step) -> BTreeSet<usize> {
    let outputs = step.inputs.values().filter_map(|input| match input {
        Input::Output { step, .. } => Some(*step),
        Input::Fetched(_) | Input::Inline(_) => None,
    });
    outputs.chain(id::tools(step)).collect()
}

/// The messages of a step whose inputs are known.
pub(super) fn resolve(plan: &Plan, at: usize, outputs: &dyn Fn(usize, &str) -> Option<Value>) -> Option<Messages> {
    let step = &plan.steps[at];
    let mut inputs = BTreeMap::new();
    for (path, input) in &step.inputs {
        let value = match input {
            Input::Fetched(digest) => id::fetched(plan, digest),
            Input::Inline(bytes) => id::inline(bytes),
            Input::Output { step, name } => outputs(*step, name)?,
        };
        inputs.insert(path.as_str(), value);
    }
    let tools = match id::tools(step) {
        Some(tools) => Some(outputs(tools, id::TREE)?),
        None => None,
    };
    Some(id::action(step, &inputs, tools.as_ref()))
}

/// The resolved id of a step of a plan in which everything before it came out as in `realized`, which may be of another
/// plan with the same steps.
pub fn resolved_id(plan: &Plan, at: usize, realized: &Realized) -> Digest {
    let output = |step: usize, name: &str| Some(value(realized.output(step, name)));
    resolve(plan, at, &output).expect("a realized plan has all outputs").action
}

/// An output as an input.
pub(super) fn value(output: &Output) -> Value {
    match output {
        Output::File { digest, size, executable } => {
            Value::File { digest: *digest, size: *size, executable: *executable }
        }
        Output::Tree { root, root_size, .. } => Value::Tree { root: *root, size: *root_size },
    }
}

/// A result that fits its step: one that was written by somebody else for something else is none.
pub(super) fn result(plan: &Plan, store: &Store, at: usize, action: &Digest) -> Option<Outputs> {
    let outputs = store.get_result(action)?;
    let declared: BTreeSet<&String> = plan.steps[at].outputs.iter().collect();
    (outputs.keys().collect::<BTreeSet<_>>() == declared).then_some(outputs)
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
                Input::Inline(bytes) => drop(self.store.put(bytes)?),
                Input::Output { .. } => {}
            }
        }
        self.fetch(&fetches)
    }

    /// Remembers the first error, and has everybody stop.
    fn fail(&self, error: ExecError) {
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
                Ok(Some((action, outputs))) => Cell::Known(action, outputs),
                Ok(None) => Cell::Failed,
                Err(error) => {
                    self.fail(error);
                    Cell::Failed
                }
            };
        }
        match &*cell {
            Cell::Known(_, outputs) => Some(outputs.clone()),
            Cell::Unknown | Cell::Failed => None,
        }
    }

    fn find_out(&self, at: usize) -> Result<Option<(Digest, Outputs)>, ExecError> {
        let Some(messages) = self.resolved(at) else { return Ok(None) };
        let action = messages.action;
        if !self.options.no_cache
            && let Some(outputs) = self.at_hand(at, &action)?
        {
            self.listener.on(Event::StepAtHand { step: self.plan.steps[at].name.clone(), id: action });
            return Ok(Some((action, outputs)));
        }
        let before = result(self.plan, self.store, at, &action);
        let outputs = self.run(at, &messages, self.options.no_cache)?;
        if before.is_some_and(|before| before != outputs) {
            let step = &self.plan.steps[at].name;
            let message = format!("step {step} gave other bits than the last time; it is not reproducible");
            self.listener.on(Event::Warning { message });
        }
        Ok(Some((action, outputs)))
    }

    /// Waits for what the step reads; `None` after a failure.
    fn resolved(&self, at: usize) -> Option<Messages> {
        let mut known = BTreeMap::new();
        for read in reads(&self.plan.steps[at]) {
            known.insert(read, self.known(read)?);
        }
        let output = |step: usize, name: &str| known.get(&step)?.get(name).map(value);
        (!self.stopped()).then(|| resolve(self.plan, at, &output))?
    }

    /// The result, if there is one, with its outputs where they are wanted.
    fn at_hand(&self, at: usize, action: &Digest) -> Result<Option<Outputs>, ExecError> {
        let Some(outputs) = result(self.plan, self.store, at, action) else { return Ok(None) };
        if self.wanted.contains(&at) && !self.present(at, &outputs)? {
            return Ok(None);
        }
        Ok(Some(outputs))
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
                    let (step, aside) = (&self.plan.steps[at].name, aside.display());
                    let message = format!(
                        "{name} of step {step} was changed in the store; it is made again, what was there is now {aside}"
                    );
                    self.listener.on(Event::Warning { message });
                }
            }
        }
        Ok(all)
    }

    /// Runs a step whose inputs are known, unless another kiln just did.
    #[allow(clippy::disallowed_methods, reason = "how long a step took is told in an event")]
    fn run(&self, at: usize, messages: &Messages, again: bool) -> Result<Outputs, ExecError> {
        let step = &self.plan.steps[at];
        let (inputs, tools) = self.inputs(at)?;
        let _pass = self.jobs.enter();
        let _alone = self.store.lock(&messages.action, &|| self.stopped()).map_err(interrupted)?;
        if self.stopped() {
            return Err(ExecError::Interrupted);
        }
        if !again
            && let Some(outputs) = result(self.plan, self.store, at, &messages.action)
            && self.present(at, &outputs)?
        {
            return Ok(outputs);
        }
        let name = step.name.clone();
        self.listener.on(Event::StepStarted { step: name.clone(), id: messages.action });
        let began = std::time::Instant::now();
        self.options.pin();
        let (store, listener, action) = (self.store, self.listener, messages.action);
        let elsewhere = self.options.elsewhere;
        let outputs = step::run(&step::Ready { step, action, inputs, tools, elsewhere, store, listener })?;
        for bytes in messages.blobs.values() {
            self.store.put(bytes)?;
        }
        self.store.put_result(&action, &outputs)?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.listener.on(Event::StepFinished { step: name, millis });
        Ok(outputs)
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
        for read in reads(step) {
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
                Input::Inline(bytes) => self.store.path(&self.store.put(bytes)?)?,
                Input::Output { step, name } => place(*step, name)?,
            };
            paths.insert(path.clone(), file);
        }
        let tools = id::tools(step).map(|tools| place(tools, id::TREE)).transpose()?;
        Ok((paths, tools))
    }

    /// The outputs of a step, made again if the store lost them.
    fn again(&self, at: usize) -> Result<Outputs, ExecError> {
        let cell = lock(&self.cells[at]);
        let Cell::Known(_, known) = &*cell else { return Err(ExecError::Interrupted) };
        if self.present(at, known)? {
            return Ok(known.clone());
        }
        let messages = self.resolved(at).ok_or(ExecError::Interrupted)?;
        let outputs = self.run(at, &messages, false)?;
        match outputs.iter().find(|(name, output)| known.get(*name) != Some(*output)) {
            None => Ok(outputs),
            Some((name, _)) => {
                let step = self.plan.steps[at].name.clone();
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
