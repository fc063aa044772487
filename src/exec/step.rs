//! Carries one step out: available inputs in, outputs in the store out.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::StepEvent;
use super::executor::{ExecutorError, Provided, Request, Task};
use super::failure::{Fault, StepFailure};
use super::fetch::interrupted;
use super::incremental::{FoundDirectory, KeptDirectory, TakenDirectory};
use super::interrupt::{Interruptible, RunningWork};
use super::log::Log;
use super::outputs::{self, BuildDirectory, Collected, Destination};
use super::sandbox::{Bound, Exceeded, SandboxError, SandboxGroup};
use super::source::{Archives, LocalInputs};
use super::{ExecError, ExecOptions, FailedStep, Services};
use crate::base::{Digest, Quoted};
use crate::plan::{Statement, Step, StepKind, statement};
use crate::store::{PipeError, StoreError, Taking, is_private};
use crate::world::dir::Dir;
use crate::world::fs;
use crate::world::plain::FileKind;

/// With so many bytes free on the store's disk, what was full is a file system in memory.
const ROOM: u64 = 64 << 20;

/// A file that a step leaves in its build directory when its command did not succeed, and all its processes ended in good order.
const IN_ORDER: &str = "failed";

/// How long a step whose build directory is kept may take to end. What make interrupts removes what it has half written, which takes a
/// moment; on a machine with much else to do, some.
const GRACE: Duration = Duration::from_secs(8);

/// A step that is ready to run.
pub(super) struct Ready<'a> {
    pub(super) step: &'a Step,
    pub(super) action: Digest,
    /// Checked files and directories by input path.
    pub(super) inputs: BTreeMap<String, Provided>,
    /// Those of them that are archived when it runs.
    pub(super) local: LocalInputs,
    /// The root of its sandbox.
    pub(super) tools: Option<Provided>,
    /// How it goes on from an earlier run, if it may.
    pub(super) incremental: Option<KeptDirectory<'a>>,
    /// The disk that it wrote the last time.
    pub(super) earlier: Option<PathBuf>,
    /// Where its outputs go.
    pub(super) destination: Destination,
    pub(super) options: &'a ExecOptions,
    pub(super) services: &'a Services<'a>,
    /// What its sandboxes end with.
    pub(super) sandboxes: &'a SandboxGroup,
    /// Whether the build is to end.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// How a run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    /// With an empty build directory.
    FromNothing,
    /// With the build directory of an earlier run.
    FromKept,
}

/// What a run that failed left for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Its build directory.
    Directory,
}

/// What a run left.
pub(super) struct Ran {
    pub(super) began: Began,
    pub(super) collected: Collected,
}

/// What was wrong, before it is known where the log is.
enum Trouble {
    Exec(ExecError),
    Step(StepFailure),
}

impl<E: Into<ExecError>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Exec(error.into())
    }
}

/// Runs the step; its outputs are taken afterwards, the result is not yet recorded.
pub(super) fn run(ready: &Ready<'_>) -> Result<Ran, ExecError> {
    let listener = ready.services.listener;
    if let Some(kept) = found(ready)? {
        let name = ready.step.name();
        listener.on(StepEvent::StepIncremental { step: name.clone() });
        let left = Cell::new(Left::Nothing);
        match attempt(ready, Some(&kept), &left) {
            // What was wrong is wrong with what was edited, and the next run goes on from here.
            Err(error @ ExecError::Step(_)) if left.get() == Left::Directory => return Err(error),
            Err(ExecError::Step(failed)) => {
                let FailedStep { failure, tail, .. } = &*failed;
                let said = format!("{failure}{}", Quoted(tail, "  "));
                let message = format!("{name} failed as an incremental build; building from scratch: {said}");
                listener.on(StepEvent::Warning { message });
            }
            other => return Ok(Ran { began: Began::FromKept, collected: other? }),
        }
    }
    Ok(Ran { began: Began::FromNothing, collected: attempt(ready, None, &Cell::new(Left::Nothing))? })
}

/// The directory that it can go on from. Without one it costs time alone, and whoever waits is told why.
fn found(ready: &Ready<'_>) -> Result<Option<TakenDirectory>, ExecError> {
    let Some(directory) = &ready.incremental else { return Ok(None) };
    let why = match directory.take(ready.services.store, &ready.local, ready.stop) {
        Ok(FoundDirectory::Kept(kept)) => return Ok(Some(kept)),
        Ok(FoundDirectory::Nothing) => return Ok(None),
        Ok(FoundDirectory::Unusable(why)) => why.to_owned(),
        Err(error @ (StoreError::Interrupted | StoreError::Full(_))) => return Err(interrupted(error)),
        Err(error) => error.to_string(),
    };
    let name = ready.step.name();
    let message =
        format!("the build directory that was kept of {name} is not used, and {name} is built from scratch: {why}");
    ready.services.listener.on(StepEvent::Warning { message });
    Ok(None)
}

/// One run of it: from a directory that was kept, or from nothing.
fn attempt(ready: &Ready<'_>, kept: Option<&TakenDirectory>, left: &Cell<Left>) -> Result<Collected, ExecError> {
    let Services { store, listener, .. } = ready.services;
    // Sandboxes have directories below this one, and never this one itself.
    let scratch = store.scratch(&ready.step.name())?;
    let log = Log::begin(scratch.join("log"), &ready.options.limits, *listener);
    let log = log.map_err(|error| store.failure(error))?;
    let collected = work(ready, (kept, left), &scratch, &log);
    let result = collected.map_err(|trouble| explain(ready, &log, trouble));
    clean_up(ready, &scratch);
    result
}

fn work(
    ready: &Ready<'_>,
    (kept, left): (Option<&TakenDirectory>, &Cell<Left>),
    scratch: &Path,
    log: &Log<'_>,
) -> Result<Collected, Trouble> {
    let Services { store, executor, listener, .. } = ready.services;
    let stored = ready.destination == Destination::Store;
    let piped = if stored { outputs::piped(&ready.step.work) } else { None };
    let mut build = BuildDirectory::make(store, scratch, (piped, ready.options.limits.disk.unwrap_or(u64::MAX)))?;
    let own = scratch.join("scratch");
    Dir::make(&own, 0o755).map_err(|error| store.failure(error))?;
    let mut request = request(ready, &build, &own);
    // What an incremental run sees instead is the plan's own.
    let private = request.inputs.values().any(|input| is_private(&input.path));
    let archives = Archives::make(scratch, &ready.stop).map_err(|error| store.failure(error))?;
    match (&ready.incremental, kept) {
        (Some(directory), Some(kept)) => {
            let prepared = directory.prepare(store, (kept, &ready.local, &archives), &mut request);
            if prepared.is_err() {
                // Nothing has changed in it; and if it cannot be given back, that is not what is wrong.
                let _ = directory.give_back(store, kept);
            }
            prepared?;
        }
        _ => archives.whole(&ready.local, &mut request)?,
    }
    // Until the directory is where the next run finds it.
    let _running = ready.incremental.map(|_| Interruptible::start(RunningWork::KeptDirectory));
    let executed = ready.sandboxes.during(|| executor.execute(&request, log));
    if let Err(ExecutorError::Failed(failure)) = &executed
        && failure.fault == Fault::Input
        && keep_unfinished(ready, &build)
    {
        left.set(Left::Directory);
    }
    if matches!(executed, Err(ExecutorError::Failed(_)))
        && let Some(error) = build.broken_pipe()
    {
        return Err(match error {
            PipeError::TooMuch { limit, .. } if ready.options.limits.disk == Some(limit) => {
                let exceeded = Exceeded { bound: Bound::Disk, limit, detail: String::new() };
                Trouble::Step(SandboxError::Limit(exceeded).into())
            }
            error => refused(ready, error.into()),
        });
    }
    executed.map_err(|error| match error {
        ExecutorError::Interrupted => ExecError::Interrupted.into(),
        ExecutorError::Failed(failure) => Trouble::Step(failure),
        ExecutorError::World(error) => store.failure(error).into(),
    })?;
    let taking = Taking { private, stop: ready.stop };
    let collected =
        build.collect(&ready.step.outputs, ready.destination, taking).map_err(|error| refused(ready, error))?;
    if let Some(directory) = &ready.incremental
        && let Err(error) = directory.keep(store, (&build.dir, &ready.local), ready.stop)
    {
        // It costs time alone.
        let message = format!("the next build of step {} cannot be incremental: {error}", ready.step.kind);
        listener.on(StepEvent::Warning { message });
    }
    Ok(collected)
}

/// Keeps what a step left that ended in good order before it was done, which it says itself: when it failed because of what is in
/// its local sources, or was interrupted. Whoever edits those, or runs the build again, goes on from there. Where a process was killed
/// nobody knows which files are whole.
fn keep_unfinished(ready: &Ready<'_>, build: &BuildDirectory<'_>) -> bool {
    let Some(directory) = ready.incremental else { return false };
    let in_order = build.dir.kind(IN_ORDER).is_ok_and(|kind| kind == FileKind::File);
    // Although the build is to end: it waits for nobody, who runs this step alone.
    in_order && directory.keep(ready.services.store, (&build.dir, &ready.local), &|| false).is_ok()
}

/// The step as an executor is asked for it.
fn request(ready: &Ready<'_>, build: &BuildDirectory<'_>, scratch: &Path) -> Request {
    let request = Request {
        step: ready.step.name(),
        task: Task::of(&ready.step.work),
        inputs: ready.inputs.clone(),
        tools: ready.tools.clone(),
        outputs: ready.step.outputs.clone(),
        limits: ready.options.limits,
        grace: if ready.incremental.is_some() { GRACE } else { Duration::ZERO },
        processors: ready.options.jobs,
        variation: ready.options.variation,
        without_stand_ins: ready.options.without_stand_ins,
        earlier: ready.earlier.clone(),
        build: build.dir.path().to_owned(),
        scratch: scratch.to_owned(),
    };
    debug_assert_eq!(request.messages().action, ready.action, "{} is asked for by another name", request.step);
    request
}

/// What is wrong with an output is the step's fault; what is wrong with the store is not.
fn refused(ready: &Ready<'_>, error: StoreError) -> Trouble {
    match error {
        StoreError::Output(reason) => Trouble::Step(StepFailure::input(reason)),
        StoreError::Interrupted => Trouble::Exec(ExecError::Interrupted),
        other => Trouble::Exec(other.of(ready.services.store.root()).into()),
    }
}

/// Keeps the log where the error says it is.
fn explain(ready: &Ready<'_>, log: &Log<'_>, trouble: Trouble) -> ExecError {
    let mut failure = match trouble {
        Trouble::Exec(error) => return error,
        // What a step says when it is killed is not why it failed, nor is it what the build fails for.
        Trouble::Step(_) if (ready.stop)() => return ExecError::Interrupted,
        Trouble::Step(failure) => failure,
    };
    let mut tail = log.tail();
    // Programs and C libraries say it in these words, in every sandbox's locale.
    let full = |text: &String| text.contains("No space left on device") || text.contains("Disk quota exceeded");
    let quota = tail.iter().chain([&failure.message]).any(|text| text.contains("Disk quota exceeded"));
    let full = full(&failure.message) || tail.iter().any(full);
    let room = free(ready.services.store.root());
    if quota || full && room < ROOM {
        return StoreError::Full(ready.services.store.root().to_owned()).into();
    }
    if let Some(memory) = ready.options.limits.memory.filter(|_| full) {
        failure = StepFailure::new(Fault::Host, format!("{}: {}", failure.message, Exceeded::files_in(memory, room)));
    } else if let Some(told) = statement::mistake(&ready.step.kind, &tail).filter(|_| failure.about.is_empty()) {
        failure = StepFailure { help: told.help, ..StepFailure::recipe(told.about, told.message) };
    } else if let (StepKind::Build(_), Fault::Input, []) = (&ready.step.kind, failure.fault, &failure.about[..]) {
        // Whatever it is about, who wrote the script can do something about it.
        failure = StepFailure { fault: Fault::Recipe, ..failure }.about(Statement::Script);
    }
    let log = match log.keep(&ready.services.store.log_path(&ready.action)) {
        Ok(log) => log,
        Err(error) => return ready.services.store.failure(error).into(),
    };
    if !failure.said.is_empty() {
        tail = failure.said.lines().map(str::to_owned).collect();
    }
    // Some reasons end with the same lines.
    let known = |line: &str| {
        let said = line.strip_prefix("error: ").or(line.strip_prefix("help: ")).unwrap_or(line);
        failure.message.lines().chain(failure.help.as_deref()).any(|known| known.trim_start() == said)
    };
    tail.retain(|line| !known(line.trim_start()));
    ExecError::Step(Box::new(FailedStep { step: ready.step.kind.clone(), failure, tail: tail.join("\n"), log }))
}

fn free(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Files of subordinate ids can only be removed inside; what stays is swept later.
fn clean_up(ready: &Ready<'_>, scratch: &Path) {
    if fs::remove_tree(scratch).is_err() {
        super::remove_inside(&[scratch.to_owned()], ready.services.listener);
    }
}
