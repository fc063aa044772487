//! The QEMU of an artifact's machines: the steps that unpack it, from the lock and the manifest alone.
//!
//! Input: a lock and a manifest. Output: a plan of builtin steps whose inputs are packages of the lock. Their ids must be those of the
//! manifest: `kiln run DIR` finds QEMU by them, and so nothing but these packages can come to stand there.

use std::collections::BTreeSet;

use crate::deliver::launch::DELIVERED_QEMU;
use crate::deliver::manifest::Manifest;
use crate::lock::Lock;
use crate::ops::error::EmulatorProblem;
use crate::ops::locked;
use crate::plan::{self, Builder, Plan, StepKind};

/// Whether the directory has QEMU in it, so that `launch.sh` starts it.
pub(super) fn is_packed(manifest: &Manifest) -> bool {
    manifest.artifacts.keys().any(|name| name.rsplit('/').next() == Some(DELIVERED_QEMU))
}

/// The steps of all machines. A machine with a QEMU that a build made has none, where its directory has that QEMU in it.
pub(super) fn plan(lock: &Lock, manifest: &Manifest) -> Result<Plan, EmulatorProblem> {
    locked::belongs(lock, manifest)?;
    let mut builder = Builder::new(lock);
    let mut wanted = BTreeSet::new();
    for (machine, step) in &manifest.qemu {
        if manifest.built_qemu.contains_key(machine) {
            if is_packed(manifest) {
                continue;
            }
            return Err(EmulatorProblem::Built(machine.clone()));
        }
        let sets = lock.sets.keys().filter(|set| StepKind::Tools((*set).clone()).to_string() == *step);
        let set = sets.into_iter().next().ok_or_else(|| EmulatorProblem::NoSet(machine.clone()))?;
        if lock.sets[set].iter().any(|package| package.archive.is_local()) {
            return Err(EmulatorProblem::Brought(machine.clone()));
        }
        builder.tools(set);
        wanted.insert(step);
    }
    let ids = plan::id::by_name(&builder.plan);
    match wanted.iter().all(|step| ids.get(*step).is_some_and(|id| manifest.steps.get(*step) == Some(id))) {
        true => Ok(builder.plan),
        false => Err(EmulatorProblem::OtherBuild("its QEMU is not that of the lock")),
    }
}
