//! Opens a shell in the sandbox of a step: with its tools, its inputs and its environment, in an empty build directory or in
//! what its command left.
//!
//! The shell takes the command's place in the plan, so that everything before it is made as for a build; what it leaves is
//! thrown away.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{OpsError, UsageError};
use super::event::{OpsEvent, OpsListener};
use super::load::{self, Ready};
use super::options::{BuildOptions, RecipeOptions};
use super::realize;
use super::session::Session;
use crate::exec::event::StepListener;
use crate::exec::executor::{self, Executor, ExecutorError, LocalExecutor, Request};
use crate::exec::sandbox::SandboxError;
use crate::guest::terminal::TerminalConsole;
use crate::plan::{self, Plan, StepKind, Work};

/// Where the shell begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellStart {
    /// In an empty build directory.
    Fresh,
    /// In what the step's command left, whether it failed or not.
    AfterCommand,
}

/// Opens the shell, and waits for its end. `name` is a build of the recipe, or any step that runs in a sandbox.
pub fn shell(
    session: &Session<'_>,
    recipe: &RecipeOptions,
    options: &BuildOptions,
    (name, start): (&str, ShellStart),
) -> Result<(), OpsError> {
    let quiet = Quiet { listener: session.listener, ended: AtomicBool::new(false) };
    let session = Session { world: session.world, listener: &quiet };
    let mut ready = load::ready(&session, recipe)?;
    let kind = wanted(&ready, name)?;
    ready.plan = plan::restrict(&ready.plan, &|found| *found == kind);
    let terminal = session.world.env("TERM").unwrap_or_else(|| "dumb".to_owned());
    replace(&mut ready.plan, &kind, (start, terminal));
    let executor = ShellExecutor { step: kind.to_string(), quiet: &quiet, has_ended: AtomicBool::new(false) };
    let realized = realize::by(&ready, &executor, options);
    if executor.has_ended.load(Ordering::Relaxed) { Ok(()) } else { realized.map(drop) }
}

/// The step that a name means.
fn wanted(ready: &Ready<'_>, name: &str) -> Result<StepKind, UsageError> {
    let sandboxed = ready.plan.steps.iter().filter(|step| matches!(step.work, Work::Sandbox { .. }));
    let kinds: Vec<&StepKind> = sandboxed.map(|step| &step.kind).collect();
    let own = StepKind::Build(name.to_owned());
    let found = kinds.iter().find(|kind| ***kind == own || kind.to_string() == name);
    found.map(|kind| (*kind).clone()).ok_or_else(|| {
        let steps = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        UsageError::NoSuchStep { name: name.to_owned(), steps }
    })
}

/// Has the step start a shell instead of its command.
fn replace(plan: &mut Plan, kind: &StepKind, (start, terminal): (ShellStart, String)) {
    let at = plan.position(kind).expect("the plan was restricted to this step");
    let Work::Sandbox { argv, env, .. } = &mut plan.steps[at].work else { unreachable!("a step in a sandbox") };
    let when = if start == ShellStart::Fresh { "fresh" } else { "after" };
    let shell = ["/bin/sh", "-c", include_str!("shell.sh"), "sh", when].map(str::to_owned);
    *argv = match kind {
        // The names and variables that scripts of builds find are there.
        StepKind::Build(_) => {
            let script = plan::build::SCRIPT.map(str::to_owned);
            argv.iter().cloned().chain(shell).chain(script).collect()
        }
        _ => shell.into_iter().chain(argv.iter().cloned()).collect(),
    };
    env.insert("TERM".to_owned(), terminal);
    env.insert("PS1".to_owned(), format!("{kind} \\w\\$ "));
}

/// Carries one step out as a shell on the user's terminal.
struct ShellExecutor<'a> {
    step: String,
    quiet: &'a Quiet<'a>,
    /// Whether the shell ran to its end.
    has_ended: AtomicBool,
}

impl Executor for ShellExecutor<'_> {
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
        if request.step != self.step {
            return LocalExecutor.execute(request, listener);
        }
        self.quiet.end();
        let failed = |error: std::io::Error| SandboxError::setup("make a terminal", error);
        let (console, streams) = TerminalConsole::for_shell().map_err(failed)?;
        let mut shell = executor::spawn(request, streams)?;
        shell.wait()?;
        drop(console);
        self.has_ended.store(true, Ordering::Relaxed);
        // The step itself does not succeed: nothing that a shell left is a result.
        Err(ExecutorError::Interrupted)
    }
}

/// Passes events on until the terminal belongs to the shell.
struct Quiet<'a> {
    listener: &'a dyn OpsListener,
    ended: AtomicBool,
}

impl Quiet<'_> {
    fn end(&self) {
        self.listener.on(OpsEvent::PlanEnded);
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl OpsListener for Quiet<'_> {
    fn on(&self, event: OpsEvent<'_>) {
        if !self.ended.load(Ordering::Relaxed) {
            self.listener.on(event);
        }
    }
}
