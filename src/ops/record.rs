//! What only a build can know goes into the lock once; from then on a build that gives other bits is an error.

use std::collections::BTreeMap;

use super::error::{MismatchError, OpsError, OutputMismatch};
use super::event::Notice;
use super::load::Ready;
use super::{ids, local, machines, project, written};
use crate::base::Digest;
use crate::exec::Realized;
use crate::exec::cache::ResultOrigin;
use crate::lock::{self, Lock, LockedKernel, LockedOutput};
use crate::machine::capability::facts;
use crate::plan::root::ROOT;
use crate::plan::{Artifact, ArtifactKind, ArtifactOwner, Input, Plan};
use crate::recipe::local::LocalOrigin;

/// Compares what came out with the lock, then adds what the lock did not know. `lock` has the users already.
pub(super) fn record(ready: &Ready<'_>, mut lock: Lock, realized: &Realized) -> Result<(), OpsError> {
    if let Some(origin) = local::used(&ready.loaded.recipe, realized) {
        ready.loaded.session.notice(Notice::Local { sources: realized.sources() });
        return match origin {
            LocalOrigin::CommandLine => Ok(()),
            LocalOrigin::Recipe => write(ready, lock, realized),
        };
    }
    let built = outputs(ready, realized);
    let wrong: Vec<OutputMismatch> =
        built.iter().filter_map(|(name, output)| differs(&ready.lock, name, output)).collect();
    if !wrong.is_empty() {
        return Err(MismatchError::Outputs(wrong).into());
    }
    // Neither bits that nobody has shown to be those of a build from nothing, nor the word of whoever owns a store below, are a fact
    // for a lock. What a trusted key has signed is.
    let is_below = |(_, origin): (usize, &ResultOrigin)| matches!(origin, ResultOrigin::Below { .. });
    let from_below = realized.taken().any(is_below);
    lock.outputs = if realized.incremental().next().is_some() {
        ready.loaded.session.notice(Notice::NotRecorded);
        ready.lock.outputs.clone()
    } else if from_below {
        if built != ready.lock.outputs {
            ready.loaded.session.notice(Notice::BelowNotRecorded);
        }
        ready.lock.outputs.clone()
    } else {
        built
    };
    for (name, config) in configs(ready, realized).into_iter().filter(|_| !from_below) {
        lock.kernels.entry(name).or_insert(LockedKernel { config: None, release: None }).config = Some(config);
    }
    write(ready, lock, realized)
}

/// Whether what came out differs from what the lock has.
pub(super) fn contradicts(ready: &Ready<'_>, realized: &Realized) -> bool {
    outputs(ready, realized).iter().any(|(name, output)| differs(&ready.lock, name, output).is_some())
}

/// Adds what does not depend on what came out.
fn write(ready: &Ready<'_>, mut lock: Lock, realized: &Realized) -> Result<(), OpsError> {
    lock.steps = realized.ids.clone();
    for machine in ready.loaded.recipe.machines.values() {
        let line = machines::command_line(&ready.loaded.recipe, &ready.lock, machine)?;
        if let Some(locked) = lock.machines.get_mut(&machine.name) {
            locked.asked = facts::summary(&line);
        }
    }
    if lock == ready.lock {
        return Ok(());
    }
    let text = lock::write(&lock);
    written::keep(&ready.store, &text);
    Ok(project::write_lock(&ready.loaded.lock_path, &text)?)
}

/// What a build of a plan records, by the names that the lock has for it.
pub(super) fn recorded(plan: &Plan) -> impl Iterator<Item = (String, Input)> {
    let named = plan.artifacts.iter().map(|artifact| {
        let directory = artifact.machine().map(|machine| format!("{machine}/")).unwrap_or_default();
        (format!("{directory}{}", artifact.file_name()), artifact.from.clone())
    });
    // The tree's own digest tells a mismatch of contents from one of the disk format around it.
    let roots = ids::roots(plan)
        .map(|(step, image)| (format!("{image}/{ROOT}"), Input::Output { step, name: ROOT.to_owned() }));
    named.chain(roots)
}

fn outputs(ready: &Ready<'_>, realized: &Realized) -> BTreeMap<String, LockedOutput> {
    recorded(&ready.plan).map(|(name, from)| (name, LockedOutput { file: realized.file(&from) })).collect()
}

fn differs(lock: &Lock, name: &str, built: &LockedOutput) -> Option<OutputMismatch> {
    let (built, locked) = (built.file, lock.outputs.get(name)?.file);
    (built != locked).then(|| OutputMismatch { name: name.to_owned(), built, locked })
}

fn configs(ready: &Ready<'_>, realized: &Realized) -> BTreeMap<String, Digest> {
    let machines = &ready.loaded.recipe.machines;
    let configs = ready.plan.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::KernelConfig);
    let config = |artifact: &Artifact| {
        let kernel = match &artifact.owner {
            ArtifactOwner::Machine(machine) => &machines.get(machine)?.kernel,
            ArtifactOwner::Kernel(kernel) => kernel,
            ArtifactOwner::Image(_) => return None,
        };
        Some((kernel.clone(), realized.file(&artifact.from).sha256))
    };
    configs.filter_map(config).collect()
}
