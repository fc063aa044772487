//! What a build puts into its result directory: the plan's artifacts, and for every machine the files that launch it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::deliver::Delivery;
use super::error::OpsError;
use super::load::Ready;
use super::machines;
use crate::deliver::launch::{self, LaunchArtifact, LaunchFile};
use crate::exec::Realized;
use crate::plan;
use crate::recipe::machine::Machine;

/// Where a machine's files go: the result directory itself when the recipe has one machine.
pub(super) fn machine_directory(ready: &Ready<'_>, machine: &str) -> PathBuf {
    if ready.loaded.recipe.machines.len() == 1 { PathBuf::new() } else { PathBuf::from(machine) }
}

/// Every file of the result directory, by its name there.
pub(super) fn deliveries(ready: &Ready<'_>, realized: &Realized) -> Result<BTreeMap<String, Delivery>, OpsError> {
    let mut deliveries = BTreeMap::new();
    for artifact in &ready.plan.artifacts {
        let name = machine_directory(ready, &artifact.machine).join(&artifact.name);
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
pub(super) fn launch_file(ready: &Ready<'_>, realized: &Realized, machine: &Machine) -> Result<LaunchFile, OpsError> {
    let files = ready.plan.artifacts.iter().filter(|artifact| artifact.machine == machine.name);
    let artifact = |artifact: &plan::Artifact| {
        let place = match artifact.name.as_str() {
            "vmlinuz" => launch::Place::Kernel,
            "initrd.img" => launch::Place::Initrd,
            "disk.qcow2" => launch::Place::Disk,
            "ovmf-code.fd" => launch::Place::FirmwareCode,
            "ovmf-vars.fd" => launch::Place::FirmwareVars,
            _ => return None,
        };
        let file = realized.file(&artifact.from);
        Some((place, LaunchArtifact { file: artifact.name.clone(), size: file.size, sha256: file.sha256 }))
    };
    let artifacts = files.filter_map(artifact).collect();
    let description = machines::description(&ready.loaded.recipe, &ready.lock, machine)?;
    Ok(LaunchFile { description, artifacts })
}
