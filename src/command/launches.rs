//! From a recipe or a result directory to machines that can be started.
//!
//! What this store has just built is trusted: it is launched from what came out, not from files that are read back. A
//! directory that the user names is compared with its manifest first, all of it, and one difference is the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::build;
use super::failure::Failure;
use super::load::{self, Ready};
use crate::base::ByteSize;
use crate::base::Foreign;
use crate::cli::{self, RealizeArgs, RecipeArgs};
use crate::deliver::check::{self, Checked, CheckedMachine};
use crate::deliver::launch::{LaunchFile, Place};
use crate::deliver::manifest::Manifest;
use crate::guest::{self, GuestError, Launch};
use crate::recipe::machine::Machine;
use crate::store::{Output, Store};
use crate::world::held::Held;
use crate::world::{RealWorld, fs};

/// Where QEMU is in its tree.
fn program(machine: &Machine) -> String {
    format!("/usr/bin/{}", machine.arch().facts().qemu.program)
}

/// Builds a recipe, and makes its machines ready.
pub fn of_recipe(ready: &Ready, args: &RealizeArgs, out: &Path) -> Result<BTreeMap<String, Launch>, Failure> {
    let (manifest, realized) = build::build(ready, args, out)?;
    let mut launches = BTreeMap::new();
    for machine in ready.loaded.recipe.machines.values() {
        let found = CheckedMachine {
            launch: build::launch_file(ready, &realized, machine)?,
            directory: out.join(build::machine_directory(ready, &machine.name)),
            states: BTreeMap::new(),
            variables: None,
        };
        let tree = qemu_tree(&ready.store, &manifest, machine)?;
        launches.insert(machine.name.clone(), launch_of(found, tree)?);
    }
    Ok(launches)
}

/// The recipe or directory that the arguments name: its machines, by name.
pub fn named(args: &RecipeArgs, realize: &RealizeArgs) -> Result<BTreeMap<String, Launch>, Failure> {
    if args.recipe.is_dir() {
        let store = load::open_store(&RealWorld::default())?;
        return of_directory(&store, &args.recipe);
    }
    let ready = load::ready(args)?;
    of_recipe(&ready, realize, &super::project::result_path(&args.recipe))
}

/// The machines of a directory that may come from anybody.
pub fn of_directory(store: &Store, directory: &Path) -> Result<BTreeMap<String, Launch>, Failure> {
    let (manifest, machines) = believed(store, directory)?;
    let mut launches = BTreeMap::new();
    for (name, found) in machines {
        let tree = qemu_tree(store, &manifest, &found.launch.description.machine)?;
        launches.insert(name, launch_of(found, tree)?);
    }
    Ok(launches)
}

/// How the machines of such a directory are launched.
pub fn described(store: &Store, directory: &Path) -> Result<BTreeMap<String, LaunchFile>, Failure> {
    let (_, machines) = believed(store, directory)?;
    Ok(machines.into_iter().map(|(name, found)| (name, found.launch)).collect())
}

/// A directory that is a build, whole and unchanged.
fn believed(store: &Store, directory: &Path) -> Result<(Manifest, BTreeMap<String, CheckedMachine>), Failure> {
    let options = check::CheckOptions { remembered: Some(store), told: &reading };
    let Checked { manifest, machines, differences, .. } = check::check(directory, &options).map_err(Failure::world)?;
    match manifest {
        Some(manifest) if differences.is_empty() => Ok((manifest, machines)),
        _ => Err(Failure::Differs(format!(
            "{} is not as it was built, and nothing of it is started\n  {}",
            directory.display(),
            lines(&differences)
        ))),
    }
}

/// Differences, one a line below a sentence.
pub fn lines(differences: &[check::Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

/// Told before a large file is read.
pub fn reading(name: &str, bytes: u64) {
    crate::tell!("checking {} ({})", Foreign(name), ByteSize(bytes).rounded());
}

/// QEMU's tree stands in the store under its step: all inputs of that step are packages, so its id never changes.
///
/// A directory only says which step, so at worst it names another one that this store has carried out. Trees come from
/// steps that unpack packages and from nothing else, and the tree's QEMU must be a plain file of it: what is started is
/// a QEMU out of packages that a recipe of this user has locked and built with, never a file of the directory.
fn qemu_tree(store: &Store, manifest: &Manifest, machine: &Machine) -> Result<PathBuf, Failure> {
    let (name, program) = (&machine.name, program(machine));
    let step = manifest.qemu.get(name).and_then(|step| manifest.steps.get(step));
    let outputs = step.and_then(|action| store.get_result(action));
    let tree = match outputs.as_ref().and_then(|outputs| outputs.get(crate::plan::id::TREE)) {
        Some(Output::Tree { root, .. }) => store.tree(root).map_err(Failure::world)?,
        _ => {
            return Err(Failure::World(format!(
                "the QEMU of machine {name} is not in this store: `kiln build` the recipe, or use launch.sh with a QEMU of your own"
            )));
        }
    };
    match has_program(&tree, &program) {
        true => Ok(tree),
        false => Err(Failure::Differs(format!("what the manifest calls the QEMU of machine {name} has no {program}"))),
    }
}

/// Whether QEMU is a plain file of the tree, and no link leads there.
fn has_program(tree: &Path, program: &str) -> bool {
    let mut parts: Vec<&str> = program.split('/').filter(|part| !part.is_empty()).collect();
    let Some(name) = parts.pop() else { return false };
    let directory = parts.iter().try_fold(Held::open(tree).ok(), |held, part| Some(held?.below(part).ok()));
    directory.flatten().is_some_and(|held| held.plain(name).is_ok())
}

fn launch_of(found: CheckedMachine, tree: PathBuf) -> Result<Launch, Failure> {
    let CheckedMachine { launch: LaunchFile { description, artifacts }, directory, states, variables } = found;
    let machine = description.machine.name.clone();
    let disk = artifacts.get(&Place::Disk).map(|disk| disk.sha256);
    Ok(Launch {
        disk: disk.ok_or_else(|| Failure::Differs(format!("machine {machine} has no disk")))?,
        files: artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect(),
        program: program(&description.machine),
        artifacts: fs::context("resolve", &directory, directory.canonicalize()).map_err(Failure::world)?,
        machine,
        description,
        tree,
        states,
        variables,
    })
}

/// The accelerator that was asked for.
pub fn accel(asked: cli::Accel) -> guest::AccelChoice {
    match asked {
        cli::Accel::Auto => guest::AccelChoice::Auto,
        cli::Accel::Kvm => guest::AccelChoice::Kvm,
        cli::Accel::Tcg => guest::AccelChoice::Tcg,
    }
}

/// A flag that SIGINT, SIGTERM and SIGHUP set.
pub fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, flag.clone()).map_err(Failure::world)?;
    }
    Ok(flag)
}

/// A failure of the guest layer.
pub fn failure(error: GuestError) -> Failure {
    match error {
        GuestError::Interrupted => Failure::Interrupted,
        error @ GuestError::Guest { .. } => Failure::Differs(error.to_string()),
        error => Failure::world(error),
    }
}
