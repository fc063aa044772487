//! From a result directory to machines that can be started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::build;
use super::failure::Failure;
use super::load::{self, Ready};
use crate::cli::{self, RealizeArgs, RecipeArgs};
use crate::guest::{self, GuestError, Launch};
use crate::share::launch::{self, LaunchFile};
use crate::share::manifest::{self, Manifest};
use crate::store::{Output, Store};
use crate::world::{RealWorld, fs};

/// QEMU in its tree.
const PROGRAM: &str = "/usr/bin/qemu-system-x86_64";

/// Builds a recipe, and makes its machines ready.
pub fn of_recipe(ready: &Ready, args: &RealizeArgs, out: &Path) -> Result<BTreeMap<String, Launch>, Failure> {
    build::build(ready, args, out)?;
    of_directory(&ready.store, out)
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

/// The machines of a directory that kiln built.
pub fn of_directory(store: &Store, directory: &Path) -> Result<BTreeMap<String, Launch>, Failure> {
    let path = directory.join(manifest::FILE);
    let text = fs::read(&path, manifest::LIMIT).map_err(Failure::world)?;
    let manifest = Manifest::read(&text).map_err(|error| Failure::Differs(format!("{}: {error}", path.display())))?;
    let mut launches = BTreeMap::new();
    for name in manifest.artifacts.keys().filter(|name| name.ends_with("launch.json")) {
        let path = directory.join(name);
        let bytes = fs::read(&path, launch::LIMIT).map_err(Failure::world)?;
        let file =
            LaunchFile::read(&bytes).map_err(|error| Failure::Differs(format!("{}: {error}", path.display())))?;
        let tree = qemu_tree(store, &manifest, &file.machine)?;
        let artifacts = path.parent().unwrap_or(directory).to_owned();
        launches.insert(file.machine.clone(), launch_of(file, artifacts, tree)?);
    }
    Ok(launches)
}

/// QEMU's tree stands in the store under its step: all inputs of that step are packages, so its id never changes.
fn qemu_tree(store: &Store, manifest: &Manifest, machine: &str) -> Result<PathBuf, Failure> {
    let step = manifest.qemu.get(machine).and_then(|step| manifest.steps.get(step));
    let outputs = step.and_then(|action| store.get_result(action));
    match outputs.as_ref().and_then(|outputs| outputs.get(crate::plan::id::TREE)) {
        Some(Output::Tree { root, .. }) => store.tree(root).map_err(Failure::world),
        _ => Err(Failure::World(format!(
            "the QEMU of machine {machine} is not in this store: `kiln build` the recipe, or use launch.sh with a QEMU of your own"
        ))),
    }
}

fn launch_of(file: LaunchFile, artifacts: PathBuf, tree: PathBuf) -> Result<Launch, Failure> {
    let disk = file.artifacts.iter().find(|artifact| artifact.place == "disk");
    let disk = disk.ok_or_else(|| Failure::Differs(format!("launch.json of {} has no disk", file.machine)))?;
    Ok(Launch {
        disk: disk.sha256,
        files: file.artifacts.iter().map(|artifact| (artifact.place.clone(), artifact.file.clone())).collect(),
        blanks: file.empty.iter().map(|empty| (empty.file.clone(), empty.size)).collect(),
        machine: file.machine.clone(),
        argv: file.argv.clone(),
        program: PROGRAM.to_owned(),
        artifacts: fs::context("resolve", &artifacts, artifacts.canonicalize()).map_err(Failure::world)?,
        tree,
    })
}

/// The accelerator that was asked for.
pub fn accel(asked: cli::Accel) -> guest::Accel {
    match asked {
        cli::Accel::Auto => guest::Accel::Auto,
        cli::Accel::Kvm => guest::Accel::Kvm,
        cli::Accel::Tcg => guest::Accel::Tcg,
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
