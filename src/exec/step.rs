//! Carries one step out: inputs at hand in, outputs in the store out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ExecError;
use super::builtin::{self, BuiltinContext};
use super::event::{StepEvent, StepListener};
use super::incremental::{self, KeptDirectory};
use super::log::Log;
use super::outputs::Outputs;
use super::sandbox::{self, Exceeded, Limits, Mount, Privileges, Root, SandboxError, SandboxEvent, Spec};
use super::variation;
use crate::base::{Arch, Digest, Foreign};
use crate::plan::{Ids, Step, Work, id};
use crate::store::{Output, Store, StoreError};
use crate::world::dir::Dir;
use crate::world::fs;

/// With so many bytes free on the store's disk, what was full is a file system in memory.
const ROOM: u64 = 64 << 20;

/// A step that is ready to run.
pub(super) struct Ready<'a> {
    pub(super) step: &'a Step,
    /// Its resolved id.
    pub(super) action: Digest,
    /// Checked files and directories by input path.
    pub(super) inputs: BTreeMap<String, PathBuf>,
    /// The root of its sandbox.
    pub(super) tools: Option<PathBuf>,
    /// Whether its programs see another world than usual.
    pub(super) variation: bool,
    /// What it may use.
    pub(super) limits: Limits,
    /// How it goes on from an earlier run, if it may.
    pub(super) incremental: Option<KeptDirectory<'a>>,
    pub(super) store: &'a Store,
    pub(super) listener: &'a dyn StepListener,
    /// Whether the build is to end.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// What was wrong, before it is known where the log is.
pub(super) enum Trouble {
    Exec(ExecError),
    Step(String),
}

impl<E: Into<ExecError>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Exec(error.into())
    }
}

/// Runs the step; its outputs are in the store afterwards, the result is not yet recorded. Says whether it went on from
/// an earlier run.
pub(super) fn run(ready: &Ready<'_>) -> Result<(BTreeMap<String, Output>, bool), ExecError> {
    if let Some(kept) = incremental::take(ready)? {
        let name = ready.step.name();
        ready.listener.on(StepEvent::StepIncremental { step: name.clone() });
        match attempt(ready, Some(&kept)) {
            Err(ExecError::Step { reason, tail, .. }) => {
                let message =
                    format!("{name} could not go on from its last run and starts from nothing: {reason}{tail}");
                ready.listener.on(StepEvent::Warning { message });
            }
            other => return Ok((other?, true)),
        }
    }
    Ok((attempt(ready, None)?, false))
}

/// One run of it: from a directory that was kept, or from nothing.
fn attempt(ready: &Ready<'_>, kept: Option<&Path>) -> Result<BTreeMap<String, Output>, ExecError> {
    // Sandboxes have directories below this one, and never this one itself.
    let scratch = ready.store.scratch(&ready.step.name())?;
    let log =
        Log::begin(scratch.join("log"), &ready.limits, ready.listener).map_err(|error| ready.store.failure(error))?;
    let outputs = work(ready, kept, &scratch, &log);
    let result = outputs.map_err(|trouble| explain(ready, &log, trouble));
    clean_up(ready, &scratch);
    result
}

fn work(
    ready: &Ready<'_>,
    kept: Option<&Path>,
    scratch: &Path,
    log: &Log<'_>,
) -> Result<BTreeMap<String, Output>, Trouble> {
    let outputs = Outputs::prepare(ready, scratch)?;
    let out = outputs.left.path();
    let library = ready.variation.then(|| variation::provide(scratch)).transpose();
    let library = library.map_err(|error| ready.store.failure(error))?;
    let arch = ready.step.work.arch();
    if arch != Arch::BUILD {
        let reason = format!("it runs programs for {arch}, and steps run those for {} only", Arch::BUILD);
        return Err(Trouble::Step(reason));
    }
    match &ready.step.work {
        Work::Builtin(builtin) => {
            let place = scratch.join("scratch");
            let scratch = Dir::make(&place, 0o755).map_err(|error| ready.store.failure(error))?;
            ready.store.hand_over(&scratch)?;
            let Ready { step, inputs, limits, .. } = ready;
            let (name, variation) = (step.name(), library.as_deref());
            let context =
                BuiltinContext { step: &name, inputs, out, scratch: &place, variation, limits: *limits, listener: log };
            match builtin::inside::carry_out(builtin, &context) {
                Ok(()) => {}
                Err(SandboxError::Cancelled) => return Err(ExecError::Interrupted.into()),
                Err(error) => return Err(Trouble::Step(error.to_string())),
            }
        }
        Work::Sandbox { .. } => {
            let (mut spec, name) = (spec(ready, out), ready.step.name());
            if let Some(kept) = kept {
                incremental::place(ready, kept, out)?;
                incremental::disguise(ready, &mut spec)?;
            }
            command(spec, library.as_deref(), (&ready.limits, &mut |heard| log.heard(&name, heard)))?;
        }
    }
    let collected = outputs.collect(ready)?;
    incremental::keep(ready, &outputs.left);
    Ok(collected)
}

fn command(
    mut spec: Spec,
    library: Option<&Path>,
    (limits, heard): (&Limits, &mut dyn FnMut(SandboxEvent<'_>)),
) -> Result<(), Trouble> {
    if let Some(library) = library {
        variation::preload(&mut spec, library);
    }
    match sandbox::run_within(&spec, limits, heard) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Trouble::Step(status.to_string())),
        Err(SandboxError::Cancelled) => Err(ExecError::Interrupted.into()),
        Err(error) => Err(Trouble::Step(error.to_string())),
    }
}

/// The sandbox of a step, as a value.
fn spec(ready: &Ready<'_>, out: &Path) -> Spec {
    let Work::Sandbox { argv, env, ids, .. } = &ready.step.work else { unreachable!("only commands have sandboxes") };
    let inside = |path: &str| Path::new(id::ROOT).join(path);
    let mut mounts: Vec<Mount> = vec![Mount { source: out.to_owned(), target: inside(id::BUILD), readonly: false }];
    mounts.extend(ready.inputs.iter().map(|(path, source)| Mount {
        source: source.clone(),
        target: inside(id::IN).join(path),
        readonly: true,
    }));
    Spec {
        root: Root::ReadOnly(ready.tools.clone().expect("a command's tools were realized before it")),
        mounts,
        ids: if *ids == Ids::Range { sandbox::SandboxIds::Range } else { sandbox::SandboxIds::Single },
        privileges: Privileges::Build,
        env: id::environment(env),
        argv: argv.clone(),
        cwd: inside(id::BUILD),
    }
}

/// Keeps the log where the error says it is.
fn explain(ready: &Ready<'_>, log: &Log<'_>, trouble: Trouble) -> ExecError {
    let reason = match trouble {
        Trouble::Exec(error) => return error,
        // What a step says when it is killed is not why it failed.
        Trouble::Step(_) if super::interrupt::stopped() => return ExecError::Interrupted,
        Trouble::Step(reason) => reason,
    };
    let tail = log.tail();
    // Programs and C libraries say it in these words, in every sandbox's locale.
    let full = |text: &String| text.contains("No space left on device") || text.contains("Disk quota exceeded");
    let quota = tail.iter().chain([&reason]).any(|text| text.contains("Disk quota exceeded"));
    let full = full(&reason) || tail.iter().any(full);
    if quota || full && free(ready.store.root()) < ROOM {
        return StoreError::Full(ready.store.root().to_owned()).into();
    }
    let reason = match ready.limits.memory.filter(|_| full) {
        Some(memory) => format!("{reason}: {}", Exceeded::files_in(memory)),
        None => reason,
    };
    let log = match log.keep(&ready.store.log_path(&ready.action)) {
        Ok(log) => log,
        Err(error) => return ready.store.failure(error).into(),
    };
    // Some reasons end with the same lines.
    let said = |line: &&String| !reason.lines().any(|known| known == line.as_str());
    let tail = tail.iter().filter(said).map(|line| format!("\n  {}", Foreign(line))).collect();
    ExecError::Step { step: ready.step.name(), reason, tail, log }
}

fn free(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Files of subordinate ids can only be removed inside; what stays is swept later.
fn clean_up(ready: &Ready<'_>, scratch: &Path) {
    if fs::remove_tree(scratch).is_err() {
        super::remove_inside(&[scratch.to_owned()], ready.listener);
    }
}
