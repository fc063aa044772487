//! What happens during an operation, told on standard error.

use std::sync::{PoisonError, RwLock};

use super::{notices, progress};
use crate::base::{ByteSize, Foreign, render, tell};
use crate::exec::event::{StepEvent, StepListener};
use crate::guest::event::TestEvent;
use crate::lock::resolve::Progress;
use crate::ops::event::{OpsEvent, OpsListener};

/// Tells everything.
#[derive(Default)]
pub struct Terminal {
    /// Progress of the plan that is carried out, from its start to its end.
    steps: RwLock<Option<Box<dyn StepListener + Send>>>,
}

impl Terminal {
    fn follow(&self, steps: Option<Box<dyn StepListener + Send>>) {
        // A panic elsewhere is no reason to hide progress.
        *self.steps.write().unwrap_or_else(PoisonError::into_inner) = steps;
    }
}

impl OpsListener for Terminal {
    fn on(&self, event: OpsEvent<'_>) {
        match event {
            OpsEvent::PlanStarted => self.follow(Some(progress::listener())),
            OpsEvent::PlanEnded => self.follow(None),
            OpsEvent::Step(event) => match self.steps.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
                Some(steps) => steps.on(event),
                None => aside(event),
            },
            OpsEvent::Resolve(progress) => resolve(progress),
            OpsEvent::Guest { recipe, event } => machine(recipe, &event),
            OpsEvent::Warnings { sources, warnings } => {
                let color = progress::is_drawn_on();
                tell::report(render::render_warnings(sources, warnings, color).trim_end());
            }
            OpsEvent::Reading { name, bytes } => {
                crate::tell!("checking {} ({})", Foreign(name), ByteSize(bytes).rounded());
            }
            OpsEvent::Pushing { done, total } => {
                crate::tell!("push: {} of {}", ByteSize(done).rounded(), ByteSize(total).rounded());
            }
            OpsEvent::Writing { name, form } => crate::tell!("writing {} as {form}", Foreign(name)),
            OpsEvent::Exporting { done, total } => {
                crate::tell!("export: {} of {}", ByteSize(done).rounded(), ByteSize(total).rounded());
            }
            OpsEvent::PackagesRead { done, total } => crate::tell!("packages read: {done} of {total}"),
            OpsEvent::Notice(notice) => notices::tell(notice),
        }
    }
}

/// What is worth a line although no plan is carried out: a registry is asked before the first download.
fn aside(event: StepEvent) {
    match event {
        StepEvent::Waiting(waiting) => crate::tell!("{}", progress::waited(&waiting)),
        StepEvent::Warning { message } => crate::tell!("warning: {message}"),
        _ => {}
    }
}

fn resolve(progress: Progress) {
    match progress {
        Progress::Archive { name } => crate::tell!("asking {name}"),
        Progress::Download { label, bytes } => crate::tell!("reading {label} ({})", ByteSize(bytes).rounded()),
        Progress::Solving { set } => crate::tell!("solving {set}"),
        Progress::Warning { message } => crate::tell!("warning: {message}"),
        Progress::Waiting(waiting) => crate::tell!("{}", progress::waited(&waiting)),
        Progress::Received { .. } => {}
    }
}

/// Lines about machines of several recipes begin with the recipe, since they come in between each other.
fn machine(recipe: Option<&str>, event: &TestEvent<'_>) {
    let of = recipe.map_or_else(String::new, |recipe| format!("{}: ", Foreign(recipe)));
    match event {
        TestEvent::Booting { machine, accel } => crate::tell!("{of}{machine}: booting under {}", accel.name()),
        TestEvent::Ready { machine, millis } => {
            crate::tell!("{of}{machine}: ready after {:.1} s", *millis as f64 / 1000.0);
        }
        TestEvent::TestStarted { title } => crate::tell!("{of}test: {}", Foreign(title)),
        TestEvent::TestFinished(result) => crate::tell!("{of}{}", result.text()),
        TestEvent::Notice(text) => crate::tell!("{of}{text}"),
    }
}
