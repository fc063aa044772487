//! The locked QEMU is asked, before anything is built for it, whether it knows every property that it will be given.

use super::error::{MismatchError, OpsError};
use super::load::Ready;
use super::options::BuildOptions;
use super::{machines, realize};
use crate::base::Diagnostic;
use crate::exec::Realized;
use crate::machine::Findings;
use crate::machine::capability::facts;
use crate::plan::qemu::{FACTS, Facts};
use crate::plan::{self, Input, StepKind};
use crate::recipe::machine::Machine;
use crate::recipe::qemu::{BuiltQemu, MachineQemu};
use crate::world::fs;

/// No answer of a QEMU is larger.
const LIMIT: u64 = 4 << 20;

/// Unpacks and asks every QEMU of the recipe, unless the store knows its answers; what it does not know ends the
/// operation with the recipe's lines.
pub(super) fn ask(ready: &Ready<'_>, options: &BuildOptions) -> Result<(), OpsError> {
    let part = plan::restrict(&ready.plan, &|kind| matches!(kind, StepKind::QemuFacts(..)));
    let realized = realize::part(ready, &part, options)?;
    let recipe = &ready.loaded.recipe;
    let mut findings = Findings::default();
    for machine in recipe.machines.values() {
        let facts = answers(ready, &part, &realized, machine)?;
        let locked = machines::upstream(machines::qemu_version(&ready.lock, machine)?);
        match &machine.qemu {
            _ if facts.version == locked => {}
            MachineQemu::Packages(set) => {
                let (set, locked) = (set.name.clone(), locked.to_owned());
                return Err(MismatchError::QemuVersion { set, locked, said: facts.version }.into());
            }
            MachineQemu::Built(built) => findings.errors.extend(other_version(built, &facts)),
        }
        let line = machines::command_line(recipe, &ready.lock, machine)?;
        findings.errors.extend(facts::unknown(machine, &line, &facts));
    }
    if findings.errors.is_empty() { Ok(()) } else { Err(OpsError::mistakes(&recipe.sources, findings.errors)) }
}

/// What is wrong where a recipe states another version than its QEMU has: rules and machine types follow from it.
fn other_version(built: &BuiltQemu, facts: &Facts) -> Option<Diagnostic> {
    let message = format!("QEMU `{}` says that it is version {}", built.name, facts.version);
    let wrong = Diagnostic::new(built.version.span, message).label("stated here");
    Some(wrong.hint(format!("write `version = \"{}\"`, and run `kiln lock`", facts.version)))
}

/// What a machine's QEMU answered.
fn answers(ready: &Ready<'_>, part: &plan::Plan, realized: &Realized, machine: &Machine) -> Result<Facts, OpsError> {
    let tools = &ready.plan.steps[ready.plan.qemu[&machine.name]].kind;
    let reads = |step: &plan::Step| {
        matches!(&step.kind, StepKind::QemuFacts(_, arch) if *arch == machine.arch())
            && step.inputs.values().any(|input| match input {
                Input::Output { step, .. } => part.steps[*step].kind == *tools,
                Input::Fetched(_) | Input::Inline(_) | Input::Local(_) => false,
            })
    };
    let at = part.steps.iter().position(reads).expect("lowering asks the QEMU of every machine");
    let file = realized.file(&Input::Output { step: at, name: FACTS.to_owned() });
    let path = ready.store.path(&file.sha256)?;
    serde_json::from_slice(&fs::read(&path, LIMIT)?).map_err(|error| OpsError::parse(FACTS, error))
}
