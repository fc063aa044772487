//! Steps that go on from where an earlier run of them ended: in its build directory, which the store kept.
//!
//! Such an incremental run has the bits of a run from nothing only as far as the programs in it know what they need not do
//! again. So its result is kept under a name of its own, where only those find it who ask for incremental results, until a run
//! from nothing gave the same bits; it is never a result like any other before.

use std::path::{Path, PathBuf};

use super::ExecError;
use super::event::StepEvent;
use super::fetch::interrupted;
use super::realize::Outputs;
use super::sandbox::Spec;
use super::step::Ready;
use crate::base::Digest;
use crate::plan::{IncrementalRun, id};
use crate::store::{Store, StoreError};
use crate::world::dir::Dir;
use crate::world::fs;

/// Under which names a step's incremental runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// The build directory: one for all runs that differ in the changing input alone.
    pub(super) directory: Digest,
    /// The result of this run.
    pub(super) result: Digest,
    /// The result of a run from nothing.
    pub(super) action: Digest,
}

/// How a step is run incremental.
#[derive(Clone, Copy)]
pub(super) struct KeptDirectory<'a> {
    how: &'a IncrementalRun,
    pub(super) names: Names,
}

impl<'a> KeptDirectory<'a> {
    /// `action` is that of the step, `apart` that of the same step without its changing input. What such a run sees
    /// instead of its inputs is part of both names: a kiln that has learned better starts from nothing.
    pub(super) fn new(how: &'a IncrementalRun, action: &Digest, apart: &Digest) -> KeptDirectory<'a> {
        let mut text = format!("incremental directory {apart} {}\n", how.directory);
        for (path, bytes) in &how.instead {
            text.push_str(&format!("{} {path}\n", Digest::of(bytes)));
        }
        let directory = Digest::of(text.as_bytes());
        let result = Digest::of(format!("incremental result {action} {directory}\n").as_bytes());
        KeptDirectory { how, names: Names { directory, result, action: *action } }
    }
}

/// The directory that the run can go on from, out of the reach of all others; it is lost when the run fails.
pub(super) fn take(ready: &Ready<'_>) -> Result<Option<PathBuf>, ExecError> {
    let Some(kept) = &ready.incremental else { return Ok(None) };
    let place = ready.store.scratch("incremental")?.join("directory");
    let taken = ready.store.take_incremental(&kept.names.directory, &place, ready.stop).map_err(interrupted)?;
    Ok(taken.then_some(place))
}

/// Puts the directory where the run looks for it.
pub(super) fn place(ready: &Ready<'_>, kept: &Path, out: &Path) -> Result<(), StoreError> {
    let Some(names) = &ready.incremental else { return Ok(()) };
    fs::rename(kept, &out.join(&names.how.directory)).map_err(|error| ready.store.failure(error))
}

/// Shows the run what it sees instead of its inputs.
pub(super) fn disguise(ready: &Ready<'_>, spec: &mut Spec) -> Result<(), StoreError> {
    let Some(kept) = &ready.incremental else { return Ok(()) };
    for (path, bytes) in &kept.how.instead {
        let target = Path::new(id::ROOT).join(id::IN).join(path);
        let source = ready.store.path(&ready.store.put(bytes)?)?;
        spec.mounts.iter_mut().filter(|mount| mount.target == target).for_each(|mount| mount.source = source.clone());
    }
    Ok(())
}

/// Keeps what a run that succeeded left, for the next one. That it cannot be kept costs time alone.
pub(super) fn keep(ready: &Ready<'_>, out: &Dir) {
    let Some(kept) = &ready.incremental else { return };
    let from = (out, kept.how.directory.as_str());
    if let Err(error) = ready.store.keep_incremental(&kept.names.directory, from, ready.stop) {
        let message = format!("the next run of step {} starts from nothing: {error}", ready.step.kind);
        ready.listener.on(StepEvent::Warning { message });
    }
}

/// Compares what an incremental run left with what a run from nothing left. Where it is the same it counts from now on like any
/// other result; where it is not, neither it nor the directory that it came from is used again.
pub(super) fn judge(store: &Store, names: &Names, incremental: &Outputs, clean: &Outputs) -> Result<bool, StoreError> {
    store.forget_result(&names.result)?;
    if incremental == clean {
        store.put_result(&names.action, clean)?;
    } else {
        store.drop_incremental(&names.directory, &super::interrupt::stopped)?;
    }
    Ok(incremental == clean)
}
