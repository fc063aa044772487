//! What tells of a lock that was changed after kiln wrote it: which of its lines contradict others.
//!
//! Input: a recipe, and a lock with a checksum of other lines. Output: the error that names what was changed, as far as that
//! can be known: a checksum says that a line was changed, and not which.

use super::error::{LockEdit, LockError, OpsError};
use super::load::{self, Loaded};
use super::machines;
use crate::lock::{self as locks, Lock, ReadError};
use crate::plan;

/// Steps that are named.
const MAX_STEPS: usize = 3;

/// The error of a lock, with more to say where it was edited.
pub(super) fn named(loaded: &Loaded<'_>, error: OpsError) -> OpsError {
    let OpsError::Lock(LockError::Read { path, source: ReadError::Changed }) = &error else { return error };
    let text = load::lock_text(loaded.session.world, path).ok().flatten();
    let Some(Ok(lock)) = text.as_deref().map(locks::read_changed) else { return error };
    let (edit, traces) = traces(loaded, &lock);
    LockError::Edited { path: path.clone(), edit, traces }.into()
}

fn traces(loaded: &Loaded<'_>, lock: &Lock) -> (LockEdit, Vec<String>) {
    if locks::recipe_digest(&lock.recipe.files, &lock.recipe.params) != lock.recipe.digest {
        let mut traces = vec!["its recipe digest is not that of the files and parameters that it lists".to_owned()];
        traces.extend(mismatches(loaded, lock));
        return (LockEdit::Merge, traces);
    }
    let mut traces = mismatches(loaded, lock);
    // Only a lock that has all that its recipe asks for can be planned.
    if traces.is_empty() {
        traces = inconsistent(loaded, lock);
    }
    if traces.is_empty() {
        traces.push(
            "recipe, steps and machines agree with its other lines: changed was a line that none of them depends on, such as \
             a date or an index of an archive, why a package is there, or an output"
                .to_owned(),
        );
    }
    (LockEdit::Hand, traces)
}

fn mismatches(loaded: &Loaded<'_>, lock: &Lock) -> Vec<String> {
    let wrong = locks::satisfies(&loaded.recipe, lock).err().unwrap_or_default();
    wrong.iter().map(ToString::to_string).collect()
}

/// Steps and machines that do not follow from the other lines.
fn inconsistent(loaded: &Loaded<'_>, lock: &Lock) -> Vec<String> {
    let now = plan::id::by_name(&plan::lower(&loaded.recipe, lock));
    let mut names: Vec<&String> =
        now.iter().filter(|(name, id)| lock.steps.get(*name) != Some(id)).map(|(name, _)| name).collect();
    names.extend(lock.steps.keys().filter(|name| !now.contains_key(*name)));
    let mut traces: Vec<String> = names
        .iter()
        .take(MAX_STEPS)
        .map(|name| format!("step `{name}` does not follow from what the lock pins"))
        .collect();
    if names.len() > MAX_STEPS {
        traces.push(format!("nor do {} more steps: the version, size, digest or order of a package, a source, a user or the seed was changed", names.len() - MAX_STEPS));
    }
    let machines = machines::locked(&loaded.recipe, lock).unwrap_or_default();
    let differs = |name: &&String| {
        let (Some(is), Some(should)) = (lock.machines.get(*name), machines.get(*name)) else { return true };
        (&is.qemu, &is.qemu_output, &is.machine_type, &is.argv)
            != (&should.qemu, &should.qemu_output, &should.machine_type, &should.argv)
    };
    traces.extend(machines.keys().filter(differs).map(|name| format!("machine `{name}` is not the recipe's")));
    traces
}
