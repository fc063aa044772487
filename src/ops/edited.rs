//! What tells of a lock that was changed after kiln wrote it: which of its lines contradict others.
//!
//! Input: a recipe, and a lock with a checksum of other lines. Output: the error that names what was changed, as far as that
//! can be known: a checksum says that a line was changed, and not which.

use super::error::{LockEdit, LockError, OpsError};
use super::load::{self, Loaded};
use super::{machines, written};
use crate::lock::{self as locks, Lock, ReadError};
use crate::plan;

/// Lines that are named.
const MAX_LINES: usize = 10;
/// Steps that are named.
const MAX_STEPS: usize = 3;

/// The error of a lock, with more to say where it was edited.
pub(super) fn named(loaded: &Loaded<'_>, error: OpsError) -> OpsError {
    let OpsError::Lock(LockError::Read { path, source }) = &error else { return error };
    let text = load::lock_text(loaded.session.world, path).ok().flatten().unwrap_or_default();
    let found = match source {
        ReadError::Changed => locks::read_changed(&text).ok().map(|lock| traces(loaded, &lock, &text)),
        ReadError::Fact { .. } if !locks::has_sides(&text) => contradicted(loaded, &text, source),
        _ => None,
    };
    match found {
        Some(Traces { edit, line, words }) => {
            LockError::Edited { path: path.clone(), edit, line, traces: words }.into()
        }
        None => error,
    }
}

/// The lines of a fact that no lock may state.
fn contradicted(loaded: &Loaded<'_>, text: &str, error: &ReadError) -> Option<Traces> {
    let mut words = vec![error.to_string()];
    let line = match written::original(loaded.session.world, text) {
        Some(original) => {
            let lines = locks::compared(&original, text);
            words.extend(first(&lines));
            lines.first().map(|line| line.line)
        }
        None => {
            let (_, lost) = locks::salvage(text).ok()?;
            words.extend(first(&lost));
            lost.first().map(|lost| lost.line)
        }
    };
    line.is_some().then_some(Traces { edit: LockEdit::Hand, line, words })
}

/// What tells of a change.
struct Traces {
    edit: LockEdit,
    /// The first line that was changed, if that is known.
    line: Option<usize>,
    words: Vec<String>,
}

fn traces(loaded: &Loaded<'_>, lock: &Lock, text: &str) -> Traces {
    if locks::recipe_digest(&lock.recipe.files, &lock.recipe.params) != lock.recipe.digest {
        let mut words = vec!["its recipe digest is not that of the files and parameters that it lists".to_owned()];
        words.extend(mismatches(loaded, lock));
        return Traces { edit: LockEdit::Merge, line: None, words };
    }
    // What kiln wrote says it all.
    if let Some(original) = written::original(loaded.session.world, text) {
        let lines = locks::compared(&original, text);
        let line = lines.first().map(|line| line.line);
        return Traces { edit: LockEdit::Hand, line, words: first(&lines) };
    }
    let (odd, spelled) = (locks::odd_lines(lock, text), locks::compared(&locks::write(lock), text));
    let line = odd.first().map(|odd| odd.line).or(spelled.first().map(|line| line.line));
    let mut words = first(&odd);
    let others = mismatches(loaded, lock);
    // Only a lock that has all that its recipe asks for can be planned.
    words.extend(if others.is_empty() { inconsistent(loaded, lock) } else { others });
    // What is spelled otherwise than kiln spells it.
    words.extend(first(&spelled));
    if words.is_empty() {
        words.push(
            "recipe, steps, machines and paths agree with its other lines: changed was a line that none of them depends on, \
             such as a date or an index of an archive, why a package is there, or an output"
                .to_owned(),
        );
    }
    if line.is_none() {
        words.push("this store does not have it as `kiln lock` wrote it, so that the line is not known; `git diff` may show it".to_owned());
    }
    Traces { edit: LockEdit::Hand, line, words }
}

/// The first of what is to be told.
fn first<T: ToString>(all: &[T]) -> Vec<String> {
    let more = (all.len() > MAX_LINES).then(|| format!("and {} more lines", all.len() - MAX_LINES));
    all.iter().take(MAX_LINES).map(ToString::to_string).chain(more).collect()
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
