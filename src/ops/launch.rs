//! From a recipe or a result directory to machines that can be started.
//!
//! What this store has just built is trusted: it is launched from what came out, not from files that are read back. A
//! directory that the user names is compared with its manifest first, all of it, and one difference is the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::build::{self, Built};
use super::error::{MismatchError, OpsError, UsageError};
use super::event::{Guests, OpsEvent};
use super::load::{self, Loaded, Ready};
use super::options::{BuildOptions, RecipeOptions};
use super::run_request::RunRequest;
use super::session::Session;
use super::sign::RequiredSignature;
use super::ssh_keys;
use super::{artifacts, beforehand, locked, machines, project, qemu_tree};
use crate::base::ByteSize;
use crate::deliver::check::{self, Checked, CheckedMachine};
use crate::deliver::launch::{LaunchFile, Place};
use crate::deliver::manifest::Manifest;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::guest::share::{Share, Sharer};
use crate::guest::{self, Launch};
use crate::machine::{Description, LaunchAdditions};
use crate::recipe::machine::Machine;
use crate::store::Store;
use crate::world::fs;

/// Sockets and overlays of a run: a short path, since a socket's may have 107 bytes.
pub(super) const SOCKETS: &str = "/tmp";

/// Machines that can be started, by name.
pub type Launches = BTreeMap<String, Launch>;

/// Builds a recipe, and makes its machines ready. One without machines is not built.
pub(super) fn of_recipe(ready: &Ready<'_>, options: &BuildOptions, out: &Path) -> Result<Launches, OpsError> {
    load::any_machine(&ready.loaded)?;
    let Built { manifest, realized } = build::build(ready, options, out)?;
    let mut launches = BTreeMap::new();
    for machine in ready.loaded.recipe.machines.values() {
        let found = CheckedMachine {
            launch: artifacts::launch_file(ready, &realized, machine)?,
            directory: out.join(artifacts::machine_directory(ready, &machine.name)),
            states: BTreeMap::new(),
            variables: None,
        };
        let tree = tree_of(&ready.store, &manifest, machine)?;
        launches.insert(machine.name.clone(), launch_of(found, tree)?);
    }
    Ok(launches)
}

/// The machines of a recipe, which is built first unless they could not run, or of a directory that kiln built, perhaps one
/// that must be signed.
pub fn named(
    session: &Session<'_>,
    recipe: &RecipeOptions,
    options: &BuildOptions,
    (signature, request): (Option<&RequiredSignature>, &RunRequest),
) -> Result<Launches, OpsError> {
    if recipe.path.is_dir() {
        options.without_build(&recipe.path)?;
        return of_directory(session, recipe.directory()?, signature);
    }
    unsigned(recipe, signature)?;
    to_run(&load::ready(session, recipe)?, options, (&project::result_path(&recipe.path), request))
}

/// Builds a recipe whose machines are to be run, unless it is known before that they could not be.
pub fn to_run(
    ready: &Ready<'_>,
    options: &BuildOptions,
    (out, request): (&Path, &RunRequest),
) -> Result<Launches, OpsError> {
    beforehand::run(ready, request)?;
    of_recipe(ready, options, out)
}

/// A recipe is built here, whoever has signed builds of it.
fn unsigned(recipe: &RecipeOptions, signature: Option<&RequiredSignature>) -> Result<(), UsageError> {
    signature.map_or(Ok(()), |_| Err(UsageError::SignedRecipe(recipe.path.clone())))
}

/// The machines of a directory that may come from anybody.
pub fn of_directory(
    session: &Session<'_>,
    directory: &Path,
    signature: Option<&RequiredSignature>,
) -> Result<Launches, OpsError> {
    let store = load::open_store(session.world)?;
    let (manifest, machines) = believed(session, &store, directory, signature)?;
    if machines.is_empty() {
        return Err(UsageError::without_machines(directory, manifest.images.keys(), manifest.kernels.keys()).into());
    }
    let mut launches = BTreeMap::new();
    for (name, found) in machines {
        let tree = tree_of(&store, &manifest, &found.launch.description.machine)?;
        launches.insert(name, launch_of(found, tree)?);
    }
    Ok(launches)
}

/// A machine that is not started: what its argv is written from.
pub struct Described {
    /// The machine.
    pub description: Description,
    /// Names of the files that fill places; empty before a build.
    pub files: BTreeMap<Place, String>,
}

/// The machines of a recipe as they would be built, or of a directory as it was.
pub fn described(
    session: &Session<'_>,
    recipe: &RecipeOptions,
    signature: Option<&RequiredSignature>,
) -> Result<BTreeMap<String, Described>, OpsError> {
    if recipe.path.is_dir() {
        let store = load::open_store(session.world)?;
        let (manifest, machines) = believed(session, &store, recipe.directory()?, signature)?;
        if machines.is_empty() {
            return Err(
                UsageError::without_machines(&recipe.path, manifest.images.keys(), manifest.kernels.keys()).into()
            );
        }
        let one = |(name, found): (String, CheckedMachine)| {
            let LaunchFile { description, artifacts } = found.launch;
            let files = artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect();
            (name, Described { description, files })
        };
        return Ok(machines.into_iter().map(one).collect());
    }
    unsigned(recipe, signature)?;
    let loaded = load::recipe(session, recipe)?;
    load::any_machine(&loaded)?;
    let lock = load::lock_of(&loaded)?;
    machines::judge(session, &loaded.recipe, &lock)?;
    let one = |machine: &Machine| {
        let description = machines::description(&loaded.recipe, &lock, machine)?;
        Ok((machine.name.clone(), Described { description, files: BTreeMap::new() }))
    };
    loaded.recipe.machines.values().map(one).collect()
}

/// A directory that is a build, whole and unchanged, and that has the signature which it must have: of the very manifest that
/// its files were compared with.
fn believed(
    session: &Session<'_>,
    store: &Store,
    directory: &Path,
    signature: Option<&RequiredSignature>,
) -> Result<(Manifest, BTreeMap<String, CheckedMachine>), OpsError> {
    locked::any_result(directory)?;
    let reading = |name: &str, bytes: u64| session.on(OpsEvent::Reading { name, bytes });
    let options = check::CheckOptions { remembered: Some(store), told: &reading };
    let Checked { manifest, machines, differences, files, .. } = check::check(directory, &options)?;
    match manifest {
        Some(manifest) if differences.is_empty() => {
            signature.map_or(Ok(()), |required| required.check(session, directory, (&manifest, files)))?;
            Ok((manifest, machines))
        }
        _ => Err(MismatchError::Directory { directory: directory.to_owned(), differences }.into()),
    }
}

/// QEMU's tree stands in the store under its step: where all inputs of that step are packages, its id never changes; of
/// one that a build made, the manifest has the id by itself.
///
/// A directory only says which step, so at worst it names another one that this store has carried out. Trees come from
/// steps that unpack packages, and from builds, and the tree's QEMU must be a plain file of it: what is started is a
/// QEMU that a recipe of this user, or of whoever owns a store below, has locked or built, never a file of the directory.
fn tree_of(store: &Store, manifest: &Manifest, machine: &Machine) -> Result<PathBuf, OpsError> {
    let name = &machine.name;
    let packaged = || manifest.qemu.get(name).and_then(|step| manifest.steps.get(step));
    let step = manifest.built_qemu.get(name).or_else(packaged);
    let outputs = step.and_then(|action| {
        let below = || store.result_below(action).map(|found| found.outputs);
        store.get_result(action).or_else(below)
    });
    qemu_tree::tree_with_qemu(store, outputs.as_ref().and_then(|outputs| outputs.get(crate::plan::id::TREE)), machine)
}

fn launch_of(found: CheckedMachine, tree: PathBuf) -> Result<Launch, OpsError> {
    let CheckedMachine { launch: LaunchFile { description, artifacts }, directory, states, variables } = found;
    let machine = description.machine.name.clone();
    let disk = artifacts.get(&Place::Disk).map(|disk| disk.sha256);
    Ok(Launch {
        disk: disk.ok_or_else(|| MismatchError::NoDisk(machine.clone()))?,
        files: artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect(),
        program: qemu_tree::program(&description.machine),
        artifacts: fs::context("resolve", &directory, directory.canonicalize())?,
        machine,
        description,
        tree,
        states,
        variables,
        credentials: Vec::new(),
        shares: Vec::new(),
        transport: Default::default(),
        disk_size: None,
        additions: LaunchAdditions::default(),
    })
}

/// Lets every guest see a disk of this size, which must not be less than its image's.
pub(super) fn enlarge(launches: &mut Launches, size: Option<ByteSize>) {
    for launch in launches.values_mut() {
        launch.disk_size = size.map(|size| size.0);
    }
}

/// Lets every guest see these directories of the host.
pub fn share(launches: &mut Launches, shares: &[Share]) -> Result<(), OpsError> {
    for launch in launches.values_mut().filter(|_| !shares.is_empty()) {
        let sharer = Sharer { machine: &launch.description.machine, artifacts: &launch.artifacts, tree: &launch.tree };
        launch.transport = guest::share::transport(sharer)?;
        launch.shares = shares.to_vec();
    }
    Ok(())
}

/// Refuses additions that a machine could not be tested with, before it is built; `tested` are the machines of the tests
/// that are to run.
pub(super) fn check_for_tests(
    ready: &Ready<'_>,
    tested: &BTreeSet<&str>,
    additions: &LaunchAdditions,
) -> Result<(), OpsError> {
    let Loaded { recipe, .. } = &ready.loaded;
    for machine in recipe.machines.values() {
        let description = machines::description(recipe, &ready.lock, machine)?;
        additions.check(&description).map_err(UsageError::from)?;
        if tested.contains(machine.name.as_str()) {
            guest::launch::test_words(&description, &additions.append)?;
        }
    }
    Ok(())
}

/// Runs machines, one of them on the terminal, until that one ends.
pub fn run(session: &Session<'_>, mut launches: Launches, options: &RunRequest) -> Result<(), OpsError> {
    enlarge(&mut launches, options.disk_size);
    let mut front = chosen(&launches, options.machine.as_deref())?.clone();
    front.additions = options.additions_of_front();
    front.additions.check(&front.description).map_err(UsageError::from)?;
    let background: Vec<&Launch> = launches.values().filter(|launch| launch.machine != front.machine).collect();
    let _running = Interruptible::start(RunningWork::Machines);
    let options = guest::run::RunOptions {
        accel: options.accel,
        keep: options.keep.clone(),
        base: PathBuf::from(SOCKETS),
        gdb: options.gdb.clone(),
        host: options.host.clone(),
        sources: sources(session, &options.source),
        ssh: ssh_keys::access(session, &options.keys, &options.source)?,
        interrupted: interrupt::flag(),
    };
    Ok(guest::run::run(&front, &background, &options, &Guests::of(session.listener))?)
}

/// The names by which a run is found: the recipe's or directory's own, and that of the directory that its result is in.
pub(super) fn sources(session: &Session<'_>, source: &Path) -> Vec<PathBuf> {
    let result = (!source.is_dir()).then(|| project::result_path(source));
    let names = std::iter::once(source.to_owned()).chain(result);
    names.filter_map(|name| session.world.canonical(&name).ok()).collect()
}

/// The machine of this name, or the first one.
pub(super) fn chosen<'a>(launches: &'a Launches, name: Option<&str>) -> Result<&'a Launch, UsageError> {
    match name {
        Some(name) => launches.get(name).ok_or_else(|| UsageError::no_such_machine(name, launches.keys())),
        None => launches.values().next().ok_or(UsageError::NoMachines),
    }
}
