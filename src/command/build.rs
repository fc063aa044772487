//! `kiln build RECIPE`: realizes the plan, delivers the artifacts, records or compares what came out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::deliver::{self, Delivery};
use super::failure::Failure;
use super::load::{self, Ready};
use super::{output, progress, project};
use crate::cli::{self, RealizeArgs};
use crate::exec::{self, ExecError, Realized};
use crate::lock::{self, LockedOutput};
use crate::recipe::machine::Machine;
use crate::share::launch;
use crate::share::manifest::{self, Manifest};
use crate::world::fs;

/// Carries the verb out.
pub fn run(args: &cli::Build) -> Result<(), Failure> {
    let ready = load::ready(&args.recipe)?;
    let out = args.out.clone().unwrap_or_else(|| project::result_path(&args.recipe.recipe));
    let (manifest, _) = build(ready, &args.realize, &out)?;
    if args.json { output::print(&manifest.write()) } else { summary(&out, &manifest) }
}

fn summary(out: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let lines: Vec<String> = manifest
        .artifacts
        .iter()
        .map(|(name, artifact)| format!("{}  {:>12}  {}\n", artifact.sha256, artifact.size, out.join(name).display()))
        .collect();
    output::print(&lines.concat())
}

/// Builds into a directory; the manifest, and what the build was made from.
pub fn build(mut ready: Ready, args: &RealizeArgs, out: &Path) -> Result<(Manifest, Ready), Failure> {
    let realized = realize(&ready, args)?;
    let deliveries = deliveries(&ready, &realized);
    let manifest = Manifest {
        format: manifest::FORMAT,
        recipe: ready.loaded.recipe.name.clone(),
        output_version: lock::OUTPUT,
        lock: lock::inputs_digest(&ready.lock),
        artifacts: deliver::artifacts(&deliveries),
        steps: realized.ids.clone(),
    };
    deliver::deliver(&ready.store, out, &deliveries, &manifest)?;
    record(&mut ready, &realized)?;
    Ok((manifest, ready))
}

/// Carries the plan out, telling progress on standard error.
pub fn realize(ready: &Ready, args: &RealizeArgs) -> Result<Realized, Failure> {
    let options = exec::Options { jobs: args.jobs, offline: args.offline, no_cache: args.no_cache };
    let listener = progress::listener();
    let mirrors = super::mirrors::mirrors(&ready.loaded.world)?;
    exec::realize(&ready.plan, &ready.store, &ready.loaded.world, &mirrors, &options, listener.as_ref()).map_err(
        |error| match error {
            ExecError::Interrupted => Failure::Interrupted,
            error => Failure::world(error),
        },
    )
}

/// Where a machine's files go: the result directory itself when the recipe has one machine.
pub fn machine_directory(ready: &Ready, machine: &str) -> PathBuf {
    if ready.loaded.recipe.machines.len() == 1 { PathBuf::new() } else { PathBuf::from(machine) }
}

fn deliveries(ready: &Ready, realized: &Realized) -> BTreeMap<String, Delivery> {
    let mut deliveries = BTreeMap::new();
    for artifact in &ready.plan.artifacts {
        let name = machine_directory(ready, &artifact.machine).join(&artifact.name);
        deliveries.insert(name.display().to_string(), Delivery::Blob(realized.file(&artifact.from)));
    }
    for machine in ready.loaded.recipe.machines.values() {
        let directory = machine_directory(ready, &machine.name);
        for (name, text, mode) in launch_files(ready, realized, machine) {
            deliveries.insert(directory.join(name).display().to_string(), Delivery::Text(text, mode));
        }
    }
    deliveries
}
