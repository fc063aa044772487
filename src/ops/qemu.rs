//! The locked QEMU is asked whether it knows every property that it will be given. A build that would be for nothing ends as soon
//! as that is known, whatever else of it runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{MismatchError, OpsError};
use super::load::Ready;
use super::machines;
use crate::base::Diagnostic;
use crate::exec::RefusedOutputs;
use crate::machine::Findings;
use crate::machine::capability::facts;
use crate::plan::qemu::{FACTS, Facts};
use crate::plan::{Input, StepKind};
use crate::recipe::machine::Machine;
use crate::recipe::qemu::{BuiltQemu, MachineQemu};
use crate::store::Output;
use crate::world::fs;

/// No answer of a QEMU is larger.
const LIMIT: u64 = 4 << 20;

/// What the QEMUs of a recipe have answered so far.
pub(super) struct Answers<'a> {
    ready: &'a Ready<'a>,
    /// By the step that asked.
    facts: Mutex<BTreeMap<usize, Facts>>,
    error: Mutex<Option<OpsError>>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(ready: &'a Ready<'a>) -> Answers<'a> {
        Answers { ready, facts: Mutex::default(), error: Mutex::default() }
    }

    /// Nobody has answered yet.
    pub(super) fn forget(&self) {
        lock(&self.facts).clear();
        *lock(&self.error) = None;
    }

    /// Hears what a step left. When all QEMUs have answered, what one of them does not know ends the build.
    pub(super) fn hear(&self, step: usize, outputs: &BTreeMap<String, Output>) -> Result<(), RefusedOutputs> {
        if !matches!(self.ready.plan.steps[step].kind, StepKind::QemuFacts(..)) {
            return Ok(());
        }
        self.compare(step, outputs).map_err(|error| {
            lock(&self.error).get_or_insert(error);
            RefusedOutputs
        })
    }

    /// Why the build was ended, with the recipe's lines.
    pub(super) fn error(self) -> Option<OpsError> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare(&self, step: usize, outputs: &BTreeMap<String, Output>) -> Result<(), OpsError> {
        let answer = read(self.ready, outputs)?;
        let mut known = lock(&self.facts);
        known.insert(step, answer);
        let recipe = &self.ready.loaded.recipe;
        let mut answers = Vec::new();
        for machine in recipe.machines.values() {
            match known.get(&asked(self.ready, machine)) {
                Some(facts) => answers.push((machine, facts)),
                // All errors are told at once.
                None => return Ok(()),
            }
        }
        judge(self.ready, &answers)
    }
}

/// Compares what machines need with what their QEMUs have answered.
fn judge(ready: &Ready<'_>, answers: &[(&Machine, &Facts)]) -> Result<(), OpsError> {
    let recipe = &ready.loaded.recipe;
    let mut findings = Findings::default();
    for (machine, facts) in answers {
        let locked = machines::upstream(machines::qemu_version(&ready.lock, machine)?);
        match &machine.qemu {
            _ if facts.version == locked => {}
            MachineQemu::Packages(set) => {
                let (set, locked, said) = (set.name.clone(), locked.to_owned(), facts.version.clone());
                return Err(MismatchError::QemuVersion { set, locked, said }.into());
            }
            MachineQemu::Built(built) => findings.errors.extend(other_version(built, facts)),
        }
        let line = machines::command_line(recipe, &ready.lock, machine)?;
        findings.errors.extend(facts::unknown(machine, &line, facts));
    }
    if findings.errors.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, findings.errors)) }
}

/// What is wrong where a recipe states another version than its QEMU has: rules and machine types follow from it.
fn other_version(built: &BuiltQemu, facts: &Facts) -> Option<Diagnostic> {
    let message = format!("QEMU `{}` says that it is version {}", built.name, facts.version);
    let wrong = Diagnostic::new(built.version.span, message).label("stated here");
    Some(wrong.hint(format!("write `version = \"{}\"`, and run `kiln lock`", facts.version)))
}

/// The step that asks a machine's QEMU.
fn asked(ready: &Ready<'_>, machine: &Machine) -> usize {
    let tree = ready.plan.qemu[&machine.name];
    let asks = |step: &crate::plan::Step| {
        matches!(&step.kind, StepKind::QemuFacts(_, arch) if *arch == machine.arch())
            && step.inputs.values().any(|input| matches!(input, Input::Output { step, .. } if *step == tree))
    };
    ready.plan.steps.iter().position(asks).expect("lowering asks the QEMU of every machine")
}

/// What a QEMU answered.
fn read(ready: &Ready<'_>, outputs: &BTreeMap<String, Output>) -> Result<Facts, OpsError> {
    let Some(Output::File { digest, .. }) = outputs.get(FACTS) else { unreachable!("the step declares a file") };
    let path = ready.store.path(digest)?;
    serde_json::from_slice(&fs::read(&path, LIMIT)?).map_err(|error| OpsError::parse(FACTS, error))
}

/// Answers and an error, which no panic leaves half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
