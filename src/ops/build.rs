//! Builds a recipe into a directory: realizes the plan, delivers the artifacts, records or compares what came out.

use std::collections::BTreeMap;
use std::path::Path;

use super::artifacts::PackedQemus;
use super::error::{ErrorClass, OpsError};
use super::load::{self, Ready};
use super::options::BuildOptions;
use super::{artifacts, deliver, ids, leaks, local, packed_qemu, realize, record, steps, warnings, watch, witness};
use crate::base::Digest;
use crate::deliver::manifest::{self, Manifest};
use crate::exec::Realized;
use crate::lock::{self, Lock};
use crate::plan::StepKind;

/// What came of a build.
pub struct Built {
    /// What was delivered, as the directory's manifest says it.
    pub manifest: Manifest,
    /// Every step with its outputs.
    pub realized: Realized,
}

/// Whether a result directory has the QEMU of its machines in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QemuDelivery {
    /// Whoever starts them brings it along.
    #[default]
    None,
    /// It does, so that nothing else is needed.
    Packed,
}

/// Builds into a directory.
pub fn build(ready: &Ready<'_>, options: &BuildOptions, out: &Path) -> Result<Built, OpsError> {
    build_with(ready, options, (out, QemuDelivery::None))
}

/// Builds into a directory, with QEMU or without it. Where something changed or went in a store below meanwhile, the build is done again
/// without that store.
pub fn build_with(ready: &Ready<'_>, options: &BuildOptions, target: (&Path, QemuDelivery)) -> Result<Built, OpsError> {
    let mut below = ready.store.below().count();
    let (built, lock) = loop {
        let built = build_once(ready, options, target);
        let disturbed = || match &built {
            // Its tree was read.
            Ok(_) if target.1 == QemuDelivery::Packed => ready.store.was_disturbed_anywhere(),
            Ok(_) => ready.store.was_disturbed_in_files(),
            Err(error) => error.class() != ErrorClass::Interrupted && ready.store.was_disturbed_anywhere(),
        };
        if below == 0 || !disturbed() {
            break built?;
        }
        below -= 1;
    };
    // Only now is it known that what was read is what it was.
    record::record(ready, lock, &built.realized)?;
    witness::remember(&ready.store, (&built.manifest, &built.realized))?;
    steps::remember(&ready.store, (&built.manifest, &built.realized))?;
    Ok(built)
}

/// What was delivered, and the lock with what is recorded of it.
fn build_once(
    ready: &Ready<'_>,
    options: &BuildOptions,
    (out, qemu): (&Path, QemuDelivery),
) -> Result<(Built, Lock), OpsError> {
    if qemu == QemuDelivery::Packed {
        load::any_machine(&ready.loaded)?;
    }
    realize::possible(ready, &ready.plan)?;
    let judge = watch::BuildJudge::new(ready);
    let realized = realize::judged(ready, options, Some(&judge)).map_err(|error| judge.explained(error))?;
    leaks::check(ready, &realized, options.leaks)?;
    let (lock, realized) = ids::assign_ids(ready, realized, &options.caches)?;
    let qemus = match qemu {
        QemuDelivery::None => PackedQemus::new(),
        QemuDelivery::Packed => packed_qemu::pack(ready, &realized)?,
    };
    let deliveries = artifacts::deliveries(ready, &realized, &qemus)?;
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
        built_qemu: built_qemu(ready, &realized),
        images: artifacts::images(ready),
        kernels: artifacts::kernels(ready),
        qemu: ready.plan.qemu.iter().map(|(name, at)| (name.clone(), ready.plan.steps[*at].name())).collect(),
    };
    deliver::deliver(&ready.store, out, &deliveries, &manifest)?;
    Ok((Built { manifest, realized }, lock))
}

/// Ids of trees that depend on what a build left, and so on more than recipe and lock say.
fn built_qemu(ready: &Ready<'_>, realized: &Realized) -> BTreeMap<String, Digest> {
    let steps = ready.plan.qemu.iter().map(|(machine, at)| (machine, &ready.plan.steps[*at]));
    let built = steps.filter(|(_, step)| matches!(step.kind, StepKind::Qemu(_)));
    built.filter_map(|(machine, step)| Some((machine.clone(), *realized.actions.get(&step.name())?))).collect()
}
