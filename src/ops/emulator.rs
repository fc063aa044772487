//! Runs the locked QEMU of a machine with arguments of the user's own: nothing but that QEMU is built or unpacked for it.

use std::path::{Path, PathBuf};

use super::error::{OpsError, UsageError};
use super::event::Guests;
use super::launch::{self, SOCKETS};
use super::load;
use super::options::{BuildOptions, RecipeOptions};
use super::session::Session;
use super::{machines, qemu_tree, realize};
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::guest::emulator::{self, BareQemu};
use crate::guest::event::{TestEvent, TestListener};
use crate::plan;

/// Which QEMU, and what it is to do.
#[derive(Debug, Clone, Default)]
pub struct EmulatorRequest {
    /// The machine whose QEMU it is; the first by name when not given.
    pub machine: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A QEMU that was found.
struct Found {
    emulator: BareQemu,
    version: String,
}

/// Runs it, and gives its exit code.
pub fn run(
    session: &Session<'_>,
    (recipe, options): (&RecipeOptions, &BuildOptions),
    request: &EmulatorRequest,
) -> Result<u8, OpsError> {
    let Found { emulator, version } = match recipe.path.is_dir() {
        true => {
            options.without_build(&recipe.path)?;
            of_directory(session, recipe.directory()?, request)?
        }
        false => of_recipe(session, (recipe, options), request)?,
    };
    let guests = Guests::of(session.listener);
    guests.on(TestEvent::Notice(&format!(
        "QEMU {version} of machine {}, with your arguments alone; it sees no files and no network of the host",
        emulator.machine
    )));
    let _running = Interruptible::start(RunningWork::Machines);
    Ok(emulator::run(&emulator, Path::new(SOCKETS), interrupt::flag(), &guests)?)
}

/// The QEMU of a directory that kiln built, which this store has.
fn of_directory(session: &Session<'_>, directory: &Path, request: &EmulatorRequest) -> Result<Found, OpsError> {
    let launches = launch::of_directory(session, directory, None)?;
    let launch = launch::chosen(&launches, request.machine.as_deref())?;
    let version = launch.description.qemu.clone();
    Ok(Found { emulator: request.emulator(&launch.machine, (launch.tree.clone(), launch.program.clone())), version })
}

fn of_recipe(
    session: &Session<'_>,
    (recipe, options): (&RecipeOptions, &BuildOptions),
    request: &EmulatorRequest,
) -> Result<Found, OpsError> {
    let ready = load::ready(session, recipe)?;
    load::any_machine(&ready.loaded)?;
    let all = &ready.loaded.recipe.machines;
    let machine = match &request.machine {
        Some(name) => all.get(name).ok_or_else(|| UsageError::no_such_machine(name, all.keys()))?,
        None => all.values().next().ok_or(UsageError::NoMachines)?,
    };
    let kind = &ready.plan.steps[ready.plan.qemu[&machine.name]].kind;
    let part = plan::restrict(&ready.plan, &|found| found == kind);
    realize::possible(&ready, &part)?;
    let realized = realize::only(&ready, &part, options)?;
    let at = part.position(kind).expect("a restricted plan has the step it was restricted to");
    let tree = qemu_tree::tree_with_qemu(&ready.store, realized.output(at, plan::id::TREE), machine)?;
    let version = machines::upstream(machines::qemu_version(&ready.lock, machine)?).to_owned();
    Ok(Found { emulator: request.emulator(&machine.name, (tree, qemu_tree::program(machine))), version })
}

impl EmulatorRequest {
    fn emulator(&self, machine: &str, (tree, program): (PathBuf, String)) -> BareQemu {
        BareQemu { machine: machine.to_owned(), tree, program, arguments: self.arguments.clone() }
    }
}
