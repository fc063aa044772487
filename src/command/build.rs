//! `kiln build RECIPE`: realizes the plan, delivers the artifacts, records or compares what came out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::deliver::{self, Delivery};
use super::failure::Failure;
use super::load::{self, Ready};
use super::{leaks, machines, mirrors, output, progress, project, qemu, record, settle};
use crate::cli::{self, RealizeArgs};
use crate::deliver::launch::{self, LaunchArtifact, LaunchFile};
use crate::deliver::manifest::{self, Manifest};
use crate::exec::event::StepListener;
use crate::exec::sandbox::{Limit, Limits};
use crate::exec::{self, ExecError, Incremental, Realized};
use crate::lock;
use crate::plan::step::Place;
use crate::plan::{self, Plan};
use crate::recipe::machine::Machine;
use crate::store::Store;
use crate::world::World;

/// What traces of the building machine mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warn {
    /// A warning.
    Only,
    /// The end of the build.
    Fail,
}

/// Carries the verb out.
pub fn run(args: &cli::Build) -> Result<(), Failure> {
    let ready = load::ready(&args.recipe)?;
    let out = args.out.clone().unwrap_or_else(|| project::result_path(&args.recipe.recipe));
    let (manifest, _) = build(&ready, &args.realize, &out)?;
    if args.json { output::json_text(&manifest.write()) } else { summary(&out, &manifest) }
}

fn summary(out: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let lines: Vec<String> = manifest
        .artifacts
        .iter()
        .map(|(name, artifact)| format!("{}  {:>12}  {}\n", artifact.sha256, artifact.size, out.join(name).display()))
        .collect();
    output::print(&lines.concat())
}

/// Builds into a directory; the manifest, and what came out.
pub fn build(ready: &Ready, args: &RealizeArgs, out: &Path) -> Result<(Manifest, Realized), Failure> {
    qemu::ask(ready, args)?;
    let realized = realize(ready, args)?;
    leaks::check(ready, &realized, if args.allow_leaks { Warn::Only } else { Warn::Fail })?;
    let (lock, realized) = settle::settle(ready, realized)?;
    let deliveries = deliveries(ready, &realized)?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        recipe: ready.loaded.recipe.name.clone(),
        output_version: lock::OUTPUT,
        lock: lock::inputs_digest(&lock),
        artifacts: deliver::artifacts(&deliveries),
        steps: realized.ids.clone(),
        incremental: realized.incremental().map(|at| ready.plan.steps[at].name()).collect(),
        qemu: ready.plan.qemu.iter().map(|(name, at)| (name.clone(), ready.plan.steps[*at].name())).collect(),
    };
    deliver::deliver(&ready.store, out, &deliveries, &manifest)?;
    record::record(ready, lock, &realized)?;
    Ok((manifest, realized))
}

/// Carries the plan out, telling progress on standard error.
pub fn realize(ready: &Ready, args: &RealizeArgs) -> Result<Realized, Failure> {
    realize_in(ready, &ready.plan, &ready.store, args)
}

/// The same, for whoever compares it with another build: also takes results of steps that went on from an earlier run,
/// and starts no such step.
pub fn realize_to_judge(ready: &Ready, args: &RealizeArgs) -> Result<Realized, Failure> {
    realize_telling(ready, (&ready.plan, &ready.store), (args, Incremental::Results), progress::listener().as_ref())
}

/// Carries out a part of the plan that the whole plan is carried out after: what is at hand is told by the whole.
pub fn realize_part(ready: &Ready, part: &Plan, args: &RealizeArgs) -> Result<Realized, Failure> {
    realize_telling(ready, (part, &ready.store), (args, incremental(args)), &progress::News(progress::listener()))
}

/// Carries a plan out in a store.
pub fn realize_in(ready: &Ready, plan: &Plan, store: &Store, args: &RealizeArgs) -> Result<Realized, Failure> {
    realize_telling(ready, (plan, store), (args, incremental(args)), progress::listener().as_ref())
}

fn incremental(args: &RealizeArgs) -> Incremental {
    if args.incremental { Incremental::Directories } else { Incremental::None }
}

fn realize_telling(
    ready: &Ready,
    (plan, store): (&Plan, &Store),
    (args, incremental): (&RealizeArgs, Incremental),
    listener: &dyn StepListener,
) -> Result<Realized, Failure> {
    let RealizeArgs { offline, jobs, no_cache, variation, .. } = *args;
    let limits = limits(&ready.loaded.world, &args.limits)?;
    let options = exec::ExecOptions { jobs, offline, no_cache, variation, incremental, limits };
    let known = mirrors::known(&ready.loaded.world)?;
    let addresses = |place: &Place| mirrors::addresses(&known, place);
    let result = exec::realize(plan, store, &ready.loaded.world, &addresses, &options, listener);
    result.map_err(|error| match error {
        ExecError::Interrupted => Failure::Interrupted,
        error => Failure::world(error),
    })
}

/// What a step may use: what the command line says, else the environment, else what the machine has.
fn limits(world: &dyn World, given: &[Limit]) -> Result<Limits, Failure> {
    let words = world.env("KILN_LIMITS").unwrap_or_default();
    let standing: Result<Vec<Limit>, _> = words.split_whitespace().map(str::parse).collect();
    let standing = standing.map_err(|error| Failure::Usage(format!("KILN_LIMITS: {error}")))?;
    Ok(standing.iter().chain(given).fold(Limits::default(), |limits, limit| limits.with(*limit)))
}

/// Where a machine's files go: the result directory itself when the recipe has one machine.
pub fn machine_directory(ready: &Ready, machine: &str) -> PathBuf {
    if ready.loaded.recipe.machines.len() == 1 { PathBuf::new() } else { PathBuf::from(machine) }
}

fn deliveries(ready: &Ready, realized: &Realized) -> Result<BTreeMap<String, Delivery>, Failure> {
    let mut deliveries = BTreeMap::new();
    for artifact in &ready.plan.artifacts {
        let name = machine_directory(ready, &artifact.machine).join(artifact.kind.file_name());
        deliveries.insert(name.display().to_string(), Delivery::Blob(realized.file(&artifact.from)));
    }
    for machine in ready.loaded.recipe.machines.values() {
        let directory = machine_directory(ready, &machine.name);
        let launch = launch_file(ready, realized, machine)?;
        for (name, text, mode) in
            [(launch::FILE, launch.json(), 0o644), (launch::SCRIPT, launch::script(&launch), 0o755)]
        {
            deliveries.insert(directory.join(name).display().to_string(), Delivery::Text(text, mode));
        }
    }
    Ok(deliveries)
}

/// How a machine is launched from what came out.
pub fn launch_file(ready: &Ready, realized: &Realized, machine: &Machine) -> Result<LaunchFile, Failure> {
    let files = ready.plan.artifacts.iter().filter(|artifact| artifact.machine == machine.name);
    let artifact = |artifact: &plan::Artifact| {
        let (place, file) = (launch::Place::of(artifact.kind)?, realized.file(&artifact.from));
        let name = artifact.kind.file_name().to_owned();
        Some((place, LaunchArtifact { file: name, size: file.size, sha256: file.sha256 }))
    };
    let artifacts = files.filter_map(artifact).collect();
    let description = machines::description(&ready.loaded.recipe, &ready.lock, machine)?;
    Ok(LaunchFile { description, artifacts })
}

/// Fetches files that the store lacks.
pub fn fetch(ready: &Ready, fetches: &[&plan::Fetch]) -> Result<(), Failure> {
    let listener = progress::listener();
    let known = mirrors::known(&ready.loaded.world)?;
    let addresses = |place: &Place| mirrors::addresses(&known, place);
    let missing = exec::fetch::missing(&ready.store, fetches.iter().copied());
    let never = || false;
    let fetcher = exec::fetch::Fetcher::new(&ready.store, &ready.loaded.world, &addresses, listener.as_ref(), &never);
    fetcher.fetch(&missing).map_err(Failure::world)
}
