//! What a build puts into its result directory: the plan's artifacts, those of images and kernels beside the manifest, and for every machine the files that launch it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::deliver::Delivery;
use super::error::OpsError;
use super::load::Ready;
use super::machines;
use crate::deliver::launch::{self, DeliveredQemu, LaunchArtifact, LaunchFile};
use crate::exec::Realized;
use crate::lock::LockedFile;
use crate::plan::{self, ArtifactOwner};
use crate::recipe::machine::Machine;

/// The QEMU of a machine as a file of the result directory.
pub(super) struct PackedQemu {
    /// Its name there.
    pub(super) name: String,
    pub(super) file: LockedFile,
    /// What `launch.sh` knows of it.
    pub(super) delivered: DeliveredQemu,
}

/// By machine; empty when none is delivered.
pub(super) type PackedQemus = BTreeMap<String, PackedQemu>;

/// Where a machine's files go: the result directory itself when the recipe has one machine.
pub(super) fn machine_directory(ready: &Ready<'_>, machine: &str) -> PathBuf {
    if ready.loaded.recipe.machines.len() == 1 { PathBuf::new() } else { PathBuf::from(machine) }
}

/// Every file of the result directory, by its name there.
pub(super) fn deliveries(
    ready: &Ready<'_>,
    realized: &Realized,
    qemus: &PackedQemus,
) -> Result<BTreeMap<String, Delivery>, OpsError> {
    let mut deliveries = BTreeMap::new();
    for artifact in &ready.plan.artifacts {
        let directory = artifact.machine().map(|machine| machine_directory(ready, machine)).unwrap_or_default();
        let name = directory.join(artifact.file_name());
        deliveries.insert(name.display().to_string(), Delivery::Blob(realized.file(&artifact.from)));
    }
    for machine in ready.loaded.recipe.machines.values() {
        let directory = machine_directory(ready, &machine.name);
        let launch = launch_file(ready, realized, machine)?;
        let qemu = qemus.get(&machine.name);
        deliveries.extend(qemu.map(|qemu| (qemu.name.clone(), Delivery::Blob(qemu.file))));
        let script = launch::script(&launch, qemu.map(|qemu| &qemu.delivered));
        for (name, text, mode) in [(launch::FILE, launch.json(), 0o644), (launch::SCRIPT, script, 0o755)] {
            deliveries.insert(directory.join(name).display().to_string(), Delivery::Text(text, mode));
        }
    }
    Ok(deliveries)
}

/// The files of images that no machine uses, by image.
pub(super) fn images(ready: &Ready<'_>) -> BTreeMap<String, String> {
    let image = |artifact: &plan::Artifact| match &artifact.owner {
        ArtifactOwner::Image(image) => Some((image.clone(), artifact.file_name())),
        ArtifactOwner::Machine(_) | ArtifactOwner::Kernel(_) => None,
    };
    ready.plan.artifacts.iter().filter_map(image).collect()
}

/// The files of kernels that no machine uses, by kernel.
pub(super) fn kernels(ready: &Ready<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut kernels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for artifact in &ready.plan.artifacts {
        if let ArtifactOwner::Kernel(kernel) = &artifact.owner {
            kernels.entry(kernel.clone()).or_default().insert(artifact.file_name());
        }
    }
    kernels
}

/// How a machine is launched from what came out.
pub(super) fn launch_file(ready: &Ready<'_>, realized: &Realized, machine: &Machine) -> Result<LaunchFile, OpsError> {
    let files = ready.plan.artifacts.iter().filter(|artifact| artifact.machine() == Some(&machine.name));
    let artifact = |artifact: &plan::Artifact| {
        let (place, file) = (launch::Place::of(artifact.kind)?, realized.file(&artifact.from));
        let name = artifact.kind.file_name().to_owned();
        Some((place, LaunchArtifact { file: name, size: file.size, sha256: file.sha256 }))
    };
    let artifacts = files.filter_map(artifact).collect();
    let description = machines::description(&ready.loaded.recipe, &ready.lock, machine)?;
    Ok(LaunchFile { description, artifacts })
}
