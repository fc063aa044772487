//! Where kiln's own steps run: in a process that sees the step's inputs, its outputs and scratch space, and nothing else.
//!
//! Packages are hostile until checked, and so is every tree that they make. A link in one of them can lead this process
//! no further than to what it was given, whatever its code overlooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BuiltinContext;
use crate::exec::event::{StepEvent, StepListener};
use crate::exec::failure::StepFailure;
use crate::exec::sandbox::inside::say;
use crate::exec::sandbox::{self, Call, EntryError, Limits, Mount, SandboxError, SandboxEvent, SandboxIds};
use crate::plan::Builtin;

/// Name of [`inside`] among the functions that `main` registers.
pub const ENTRY: &str = "builtin";

const INPUTS: &str = "/in";
const OUT: &str = "/out";
const SCRATCH: &str = "/scratch";
const VARIATION: &str = "/variation.so";
const EARLIER: &str = "/earlier";

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    builtin: Builtin,
    step: String,
    /// Paths of the inputs below [`INPUTS`].
    inputs: Vec<String>,
    variation: bool,
    without_stand_ins: bool,
    earlier: bool,
}

/// What the process tells, one line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum News {
    Log(String),
    Progress(u64, u64),
    Warning(String),
}

/// Carries a builtin step out in a process of its own, unless it has nothing to look at.
pub fn carry_out(builtin: &Builtin, context: &BuiltinContext<'_>) -> Result<(), SandboxError> {
    if super::root::has_nothing_to_do(builtin, context) {
        let failed = |error: super::BuiltinError| told(&error.into());
        return super::run(builtin, context).map_err(|error| SandboxError::from(failed(error)));
    }
    let request = Request {
        builtin: builtin.clone(),
        step: context.step.to_owned(),
        inputs: context.inputs.keys().cloned().collect(),
        variation: context.variation.is_some(),
        without_stand_ins: context.without_stand_ins,
        earlier: context.earlier.is_some(),
    };
    let argument = serde_json::to_string(&request).map_err(|error| SandboxError::Misuse(error.to_string()))?;
    let call = Call { ids: ids(builtin), entry: ENTRY, argument, mounts: mounts(context), limits: context.limits };
    sandbox::call(call, &mut |heard| match heard {
        SandboxEvent::Line(line) => hear(context, line),
        SandboxEvent::Notice(notice) => context.listener.on(StepEvent::silent(context.step, notice)),
    })
}

/// Only what becomes a system has files of several owners.
fn ids(builtin: &Builtin) -> SandboxIds {
    match builtin {
        Builtin::Base(_) | Builtin::Named(_) | Builtin::Root(_) => SandboxIds::Range,
        _ => SandboxIds::Single,
    }
}

fn mounts(context: &BuiltinContext<'_>) -> Vec<Mount> {
    let mount = |source: &Path, target: PathBuf, readonly| Mount { source: source.to_owned(), target, readonly };
    let mut mounts = vec![mount(context.out, OUT.into(), false), mount(context.scratch, SCRATCH.into(), false)];
    mounts.extend(context.inputs.iter().map(|(name, source)| mount(source, Path::new(INPUTS).join(name), true)));
    mounts.extend(context.earlier.map(|disk| mount(disk, EARLIER.into(), true)));
    mounts.extend(context.variation.map(|library| mount(library, VARIATION.into(), true)));
    mounts
}

fn hear(context: &BuiltinContext<'_>, line: &str) {
    let step = context.step.to_owned();
    context.listener.on(match serde_json::from_str(line) {
        Ok(News::Log(line)) => StepEvent::StepLog { step, line },
        Ok(News::Progress(done, total)) => StepEvent::StepProgress { step, done, total },
        Ok(News::Warning(message)) => StepEvent::Warning { message },
        // What a library prints on its own, such as the message of a panic.
        Err(_) => StepEvent::StepLog { step, line: line.to_owned() },
    });
}

pub fn inside(argument: &str) -> Result<(), EntryError> {
    entered(argument).map_err(|failure| told(&failure))
}

/// A failure as it crosses a process.
fn told(failure: &StepFailure) -> EntryError {
    EntryError { message: failure.to_string(), data: serde_json::to_value(failure).unwrap_or_default() }
}

fn entered(argument: &str) -> Result<(), StepFailure> {
    let request: Request = serde_json::from_str(argument).map_err(StepFailure::bug)?;
    let inputs = request.inputs.iter().map(|name| (name.clone(), Path::new(INPUTS).join(name)));
    let inputs: BTreeMap<String, PathBuf> = inputs.collect();
    let context = BuiltinContext {
        step: &request.step,
        inputs: &inputs,
        out: Path::new(OUT),
        scratch: Path::new(SCRATCH),
        variation: request.variation.then_some(Path::new(VARIATION)),
        without_stand_ins: request.without_stand_ins,
        earlier: request.earlier.then_some(Path::new(EARLIER)),
        limits: Limits::standing(),
        listener: &Outside,
    };
    Ok(super::run(&request.builtin, &context)?)
}

/// Tells the process that called.
struct Outside;

impl StepListener for Outside {
    fn on(&self, event: StepEvent) {
        let news = match event {
            StepEvent::StepLog { line, .. } => News::Log(line),
            StepEvent::StepProgress { done, total, .. } => News::Progress(done, total),
            StepEvent::Warning { message } => News::Warning(message),
            // The others are about fetching and scheduling, of which a step knows nothing.
            _ => return,
        };
        if let Ok(line) = serde_json::to_string(&news) {
            say(&line);
        }
    }
}
