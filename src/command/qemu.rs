//! The locked QEMU is asked, before anything is built for it, whether it knows every property that it will be given.

use super::build;
use super::failure::Failure;
use super::load::Ready;
use super::machines;
use crate::base::render;
use crate::cli::RealizeArgs;
use crate::exec::Realized;
use crate::machine::Findings;
use crate::machine::capability::facts;
use crate::plan::qemu::{FACTS, Facts};
use crate::plan::{self, Input, StepKind};
use crate::recipe::machine::Machine;
use crate::world::fs;

/// No answer of a QEMU is larger.
const LIMIT: u64 = 4 << 20;

/// Unpacks and asks every QEMU of the recipe, unless the store knows its answers; what it does not know ends the command
/// with the recipe's lines.
pub fn ask(ready: &Ready, args: &RealizeArgs) -> Result<(), Failure> {
    let part = plan::restrict(&ready.plan, &|kind| matches!(kind, StepKind::QemuFacts(..)));
    let realized = build::realize_part(ready, &part, args)?;
    let recipe = &ready.loaded.recipe;
    let mut findings = Findings::default();
    for machine in recipe.machines.values() {
        let facts = answers(ready, &part, &realized, machine)?;
        let locked = machines::upstream(machines::qemu_version(&ready.lock, machine)?);
        if facts.version != locked {
            let (set, said) = (&machine.qemu.name, &facts.version);
            return Err(Failure::Differs(format!(
                "the QEMU of `{set}` is {locked} in the lock and calls itself {said}"
            )));
        }
        let line = machines::command_line(recipe, &ready.lock, machine)?;
        findings.errors.extend(facts::unknown(machine, &line, &facts));
    }
    if findings.errors.is_empty() {
        return Ok(());
    }
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    Err(Failure::Reported(render::render(&recipe.sources, &findings.errors, color)))
}

/// What a machine's QEMU answered.
fn answers(ready: &Ready, part: &plan::Plan, realized: &Realized, machine: &Machine) -> Result<Facts, Failure> {
    let tools = &ready.plan.steps[ready.plan.qemu[&machine.name]].kind;
    let reads = |step: &plan::Step| {
        matches!(&step.kind, StepKind::QemuFacts(_, arch) if *arch == machine.arch())
            && step.inputs.values().any(|input| match input {
                Input::Output { step, .. } => part.steps[*step].kind == *tools,
                Input::Fetched(_) | Input::Inline(_) => false,
            })
    };
    let at = part.steps.iter().position(reads).expect("lowering asks the QEMU of every machine");
    let file = realized.file(&Input::Output { step: at, name: FACTS.to_owned() });
    let path = ready.store.path(&file.sha256).map_err(Failure::world)?;
    serde_json::from_slice(&fs::read(&path, LIMIT).map_err(Failure::world)?).map_err(Failure::world)
}
