//! [`crate::plan::Builtin::Base`] and [`crate::plan::Builtin::Root`]: packages to a root file system.

use serde::de::DeserializeOwned;

use super::Context;
use crate::exec::event::Event;
use crate::exec::root::{Job, RootError, SPEC_LIMIT, Task, entry, input};
use crate::exec::sandbox::inside::REMOVE;
use crate::exec::sandbox::{self, Heard, Ids};
use crate::world::fs;

/// Name of [`inside`] among the functions that `main` registers.
pub const ENTRY: &str = "root";

/// What runs inside the user namespace.
pub fn inside(argument: &str) -> Result<(), String> {
    entry(argument)
}

/// Carries [`crate::plan::Builtin::Base`] out.
pub fn base(context: &Context<'_>) -> Result<(), RootError> {
    carry_out(context, Task::Base(spec(context, "base.json")?))
}

/// Carries [`crate::plan::Builtin::Root`] out.
pub fn run(context: &Context<'_>) -> Result<(), RootError> {
    carry_out(context, Task::Root(Box::new(spec(context, "root.json")?)))
}

fn spec<T: DeserializeOwned>(context: &Context<'_>, name: &str) -> Result<T, RootError> {
    let bytes = fs::read(input(context, name)?, SPEC_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|error| RootError::Broken(format!("{name}: {error}")))
}

fn carry_out(context: &Context<'_>, task: Task) -> Result<(), RootError> {
    let root = context.scratch.join("root");
    let elsewhere = context.elsewhere.map(std::path::Path::to_owned);
    let job = Job { task, inputs: context.inputs.clone(), root: root.clone(), out: context.out.to_owned(), elsewhere };
    let argument = serde_json::to_string(&job).map_err(|error| RootError::Broken(error.to_string()))?;
    let mut hear = |heard: Heard<'_>| match heard {
        Heard::Line(line) => hear(context, line),
        Heard::Notice(notice) => context.listener.on(Event::silent(context.step, notice)),
    };
    let result = sandbox::call_within(Ids::Range, (ENTRY, &argument), &context.limits, &mut hear);
    // Its files have owners whom only a process inside may act for.
    let paths = serde_json::to_string(&[&root]).map_err(|error| RootError::Broken(error.to_string()))?;
    // Only a tree that did not fit into memory left anything there.
    let left = root.exists() && std::fs::remove_dir(&root).is_err();
    let removed = if left { sandbox::call(Ids::Range, REMOVE, &paths, &mut |_| {}) } else { Ok(()) };
    result.and(removed).map_err(|error| RootError::Sandbox(error.to_string()))
}

/// Lines of progress are `DONE/TOTAL TEXT`.
fn hear(context: &Context<'_>, line: &str) {
    let step = context.step.to_owned();
    let counted = line.split_once(' ').and_then(|(count, text)| {
        let (done, total) = count.split_once('/')?;
        Some((done.parse().ok()?, total.parse().ok()?, text))
    });
    let Some((done, total, text)) = counted else {
        context.listener.on(Event::StepLog { step, line: line.to_owned() });
        return;
    };
    if text.starts_with("Setting up ") {
        context.listener.on(Event::StepProgress { step: step.clone(), done, total });
    }
    context.listener.on(Event::StepLog { step, line: text.to_owned() });
}
