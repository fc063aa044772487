//! Where in a lock something is wrong with it, so that CI services can show it beside the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{FindingPlace, FindingSeverity, RecipeFinding, places};
use crate::lock::{LockLine, Mismatch, ReadError};
use crate::ops::error::{LockError, OpsError};
use crate::ops::load;
use crate::ops::session::Session;

/// What an operation says of its failure; each error at its place, and what is wrong with a lock in that file.
pub(super) fn findings(session: &Session<'_>, error: OpsError, severity: FindingSeverity) -> Vec<RecipeFinding> {
    let OpsError::Lock(wrong) = &error else { return RecipeFinding::of(error, severity) };
    let Some((path, lines)) = lines(session, wrong) else { return RecipeFinding::of(error, severity) };
    let file = places::from_here(session, path);
    let at = |line, column| Some(FindingPlace { file: file.clone(), line, column });
    if let LockError::OtherRecipe { mismatches, .. } = wrong {
        let finding = |(mismatch, line): (&Mismatch, &(usize, usize))| RecipeFinding {
            severity,
            place: at(line.0, line.1),
            ..RecipeFinding::not_up_to_date(mismatch)
        };
        return mismatches.iter().zip(&lines).map(finding).collect();
    }
    let (line, column) = lines.first().copied().unwrap_or((1, 1));
    // The place says which file it is.
    let name = format!("{}: ", path.display());
    let finding = |finding: RecipeFinding| {
        let message = finding.message.strip_prefix(&name).map(str::to_owned).unwrap_or(finding.message);
        RecipeFinding { place: at(line, column), message, ..finding }
    };
    RecipeFinding::of(error, severity).into_iter().map(finding).collect()
}

/// The lock, and line and column of each thing that is wrong.
fn lines<'a>(session: &Session<'_>, error: &'a LockError) -> Option<(&'a Path, Vec<(usize, usize)>)> {
    let text = |path: &Path| load::lock_text(session.world, path).ok().flatten().unwrap_or_default();
    let found = |path: &'a PathBuf, line: usize| Some((path.as_path(), vec![(line, 1)]));
    match error {
        LockError::Read { path, source: ReadError::Syntax { line, column, .. } } => {
            Some((path, vec![(*line, *column)]))
        }
        LockError::Read { path, source: ReadError::Conflict { line, .. } | ReadError::Doubled { line, .. } } => {
            found(path, *line)
        }
        LockError::Read { path, source: ReadError::Fact { place, .. } } => {
            found(path, line_with(&text(path), &format!("[{place}]")))
        }
        LockError::Edited { path, line: Some(line), .. } => found(path, *line),
        LockError::Read { path, source: ReadError::Changed } | LockError::Edited { path, .. } => {
            found(path, line_with(&text(path), "checksum = "))
        }
        LockError::OtherRecipe { path, mismatches } => Some((path, lines_of(&text(path), mismatches))),
        LockError::Read { path, .. } | LockError::Encoding(path) => found(path, 1),
        _ => None,
    }
}

/// The line of each fact; that of its table, where the lock does not have it. The lock is read once, however many there are.
fn lines_of(text: &str, mismatches: &[Mismatch]) -> Vec<(usize, usize)> {
    let (mut table, mut places) = ("", BTreeMap::new());
    for (number, line) in text.lines().enumerate() {
        let key = match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => {
                table = name;
                None
            }
            None => line.strip_prefix('"').and_then(|line| Some(line.split_once("\" = ")?.0)),
        };
        if key.is_some() || line.starts_with('[') {
            places.entry((table, key)).or_insert(number + 1);
        }
    }
    let place = |fact: &LockLine| {
        let key = (fact.table, Some(fact.key.as_str()));
        places.get(&key).or_else(|| places.get(&(fact.table, None))).copied()
    };
    mismatches.iter().map(|mismatch| (mismatch.lock_line().and_then(place).unwrap_or(1), 1)).collect()
}

/// The first line that begins so; the first of all, where none does.
fn line_with(text: &str, begin: &str) -> usize {
    text.lines().position(|line| line.starts_with(begin)).map_or(1, |number| number + 1)
}
