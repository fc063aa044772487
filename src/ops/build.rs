//! Builds a recipe into a directory: realizes the plan, delivers the artifacts, records or compares what came out.

use std::path::Path;

use super::error::OpsError;
use super::load::Ready;
use super::options::BuildOptions;
use super::{artifacts, deliver, ids, leaks, local, qemu, realize, record, warnings};
use crate::deliver::manifest::{self, Manifest};
use crate::exec::Realized;
use crate::lock;

/// What came of a build.
pub struct Built {
    /// What was delivered, as the directory's manifest says it.
    pub manifest: Manifest,
    /// Every step with its outputs.
    pub realized: Realized,
}

/// Builds into a directory.
pub fn build(ready: &Ready<'_>, options: &BuildOptions, out: &Path) -> Result<Built, OpsError> {
    realize::possible(ready, &ready.plan)?;
    qemu::ask(ready, options)?;
    let realized = realize::all(ready, options)?;
    leaks::check(ready, &realized, options.leaks)?;
    let (lock, realized) = ids::assign_ids(ready, realized)?;
    let deliveries = artifacts::deliveries(ready, &realized)?;
    let warnings = warnings::of_images(ready, &realized)?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        recipe: ready.loaded.recipe.name.clone(),
        output_version: lock::OUTPUT,
        lock: lock::inputs_digest(&lock),
        artifacts: deliver::artifacts(&deliveries),
        steps: realized.ids.clone(),
        incremental: realized.incremental().map(|at| ready.plan.steps[at].name()).collect(),
        local: local::digests(&realized),
        warnings,
        images: artifacts::images(ready),
        qemu: ready.plan.qemu.iter().map(|(name, at)| (name.clone(), ready.plan.steps[*at].name())).collect(),
    };
    deliver::deliver(&ready.store, out, &deliveries, &manifest)?;
    record::record(ready, lock, &realized)?;
    Ok(Built { manifest, realized })
}
