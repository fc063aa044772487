//! Steps in sandboxes of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Executor, ExecutorError, Request, Task};
use crate::base::Arch;
use crate::exec::builtin::{self, BuiltinContext};
use crate::exec::event::{StepEvent, StepListener};
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::sandbox::{self, Limits, Mount, Privileges, Root, Running, SandboxEvent, Spec, Streams};
use crate::exec::variation;
use crate::plan::{Builtin, Ids, id};
use crate::world::WorldError;
use crate::world::dir::Dir;

/// Carries requests out in sandboxes of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor;

impl Executor for LocalExecutor {
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
        if let Task::Builtin(builtin) = &request.task
            && builtin.arch() != Arch::BUILD
        {
            let (arch, build) = (builtin.arch(), Arch::BUILD);
            let message = format!("it runs programs for {arch}, and only those for {build} can run here");
            return Err(ExecutorError::Failed(StepFailure::new(Fault::Host, message)));
        }
        if let Some(processors) = request.processors {
            pin(processors as usize);
        }
        hand_over(&Dir::open(&request.build)?)?;
        let library = request.variation.then(|| variation::provide(&request.scratch)).transpose()?;
        match &request.task {
            Task::Builtin(builtin) => own(builtin, library.as_deref(), request, listener),
            Task::Command { .. } => command(library.as_deref(), request, listener),
        }
    }
}

/// The variable that tells a command how many processors it may use.
const JOBS: &str = "KILN_JOBS";

/// How many processors a step may use.
fn processors(request: &Request) -> usize {
    let allowed = rustix::thread::sched_getaffinity(None);
    let here = allowed.map_or(1, |allowed| {
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).count()
    });
    request.processors.map_or(here, |asked| here.min(asked as usize)).max(1)
}

/// Lets the current thread, and the processes that it starts, use no more than the given number of processors.
fn pin(processors: usize) {
    // Where that is not possible, a step uses more processors than it was given.
    let Ok(mut allowed) = rustix::thread::sched_getaffinity(None) else { return };
    let all: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect();
    for processor in all.into_iter().skip(processors) {
        allowed.unset(processor);
    }
    let _ = rustix::thread::sched_setaffinity(None, &allowed);
}

/// Gives a directory to whom 0 inside a sandbox is outside.
fn hand_over(directory: &Dir) -> Result<(), WorldError> {
    match (sandbox::builder(), directory.look(".")?) {
        (Some(owner), Some(found)) => found.set_owner(owner, owner),
        _ => Ok(()),
    }
}

/// A builtin step.
fn own(
    builtin: &Builtin,
    variation: Option<&Path>,
    request: &Request,
    listener: &dyn StepListener,
) -> Result<(), ExecutorError> {
    let Request { step, build, without_stand_ins, earlier, .. } = request;
    // Apart from the library, which the step must not be able to change.
    let scratch = request.scratch.join("step");
    hand_over(&Dir::make(&scratch, 0o755)?)?;
    let inputs = request.inputs.iter().map(|(name, input)| (name.clone(), input.path.clone()));
    let inputs: BTreeMap<String, PathBuf> = inputs.collect();
    let context = BuiltinContext {
        step,
        inputs: &inputs,
        out: build,
        scratch: &scratch,
        variation,
        without_stand_ins: *without_stand_ins,
        earlier: earlier.as_deref(),
        limits: request.limits,
        listener,
    };
    Ok(builtin::inside::carry_out(builtin, &context)?)
}

/// A command in a sandbox.
fn command(variation: Option<&Path>, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
    let mut spec = spec(request)?;
    if let Some(library) = variation {
        variation::preload(&mut spec, library);
    }
    let step = &request.step;
    let status = sandbox::run_within(&spec, &request.limits, &mut |heard| {
        listener.on(match heard {
            SandboxEvent::Line(line) => StepEvent::StepLog { step: step.clone(), line: line.to_owned() },
            SandboxEvent::Notice(notice) => StepEvent::silent(step, notice),
        });
    })?;
    if status.success() { Ok(()) } else { Err(ExecutorError::Failed(StepFailure::input(status))) }
}

/// Starts a command on the caller's streams, for whoever works in its sandbox by hand: it may be silent as long as it likes.
pub fn spawn(request: &Request, streams: Streams) -> Result<Running, ExecutorError> {
    hand_over(&Dir::open(&request.build)?)?;
    let limits = Limits { silence: None, ..request.limits };
    Ok(sandbox::spawn_within(&spec(request)?, &limits, streams)?)
}

/// The sandbox of a command, as a value.
fn spec(request: &Request) -> Result<Spec, ExecutorError> {
    let Task::Command { argv, env, ids } = &request.task else { unreachable!("builtin steps have no argv") };
    let tools = request.tools.as_ref();
    let tools = tools.ok_or_else(|| ExecutorError::Failed(StepFailure::bug("the request names no tools")))?;
    let inside = |path: &str| Path::new(id::ROOT).join(path);
    let build = Mount { source: request.build.clone(), target: inside(id::BUILD), readonly: false };
    let input = |(path, input): (&String, &super::Provided)| Mount {
        source: input.path.clone(),
        target: inside(id::IN).join(path),
        readonly: true,
    };
    // What must not change a bit is in no id.
    let jobs = (JOBS.to_owned(), processors(request).to_string());
    Ok(Spec {
        root: Root::ReadOnly(tools.path.clone()),
        mounts: std::iter::once(build).chain(request.inputs.iter().map(input)).collect(),
        ids: if *ids == Ids::Range { sandbox::SandboxIds::Range } else { sandbox::SandboxIds::Single },
        privileges: Privileges::Build,
        env: id::environment(env).into_iter().chain([jobs]).collect(),
        argv: argv.clone(),
        directories: Vec::new(),
        hostname: sandbox::HOST_NAME.to_owned(),
        grace: request.grace,
        cwd: inside(id::BUILD),
    })
}
