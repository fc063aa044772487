//! Where in a lock something is wrong with it, so that CI services can show it beside the line.

use std::path::Path;

use super::{FindingPlace, FindingSeverity, RecipeFinding, places};
use crate::lock::ReadError;
use crate::ops::error::{LockError, OpsError};
use crate::ops::load;
use crate::ops::session::Session;

/// What an operation says of its failure; each mistake at its place, and what is wrong with a lock in that file.
pub(super) fn findings(session: &Session<'_>, error: OpsError, severity: FindingSeverity) -> Vec<RecipeFinding> {
    let place = match &error {
        OpsError::Lock(error) => place(session, error),
        _ => None,
    };
    let mut findings = RecipeFinding::of(error, severity);
    if let (Some(place), [finding]) = (place, findings.as_mut_slice()) {
        finding.place = Some(place);
    }
    findings
}

fn place(session: &Session<'_>, error: &LockError) -> Option<FindingPlace> {
    let (path, line, column) = match error {
        LockError::Read { path, source: ReadError::Syntax { line, column, .. } } => (path, *line, *column),
        LockError::Read { path, source: ReadError::Changed } => (path, line_with(session, path, "checksum = "), 1),
        LockError::Read { path, source: ReadError::Fact { place, .. } } => {
            (path, line_with(session, path, &format!("[{place}]")), 1)
        }
        LockError::Read { path, .. } | LockError::Encoding(path) | LockError::OtherRecipe { path, .. } => (path, 1, 1),
        _ => return None,
    };
    Some(FindingPlace { file: places::from_here(session, path), line, column })
}

/// The first line that begins so; the first of all, where none does.
fn line_with(session: &Session<'_>, path: &Path, begin: &str) -> usize {
    let text = load::lock_text(session.world, path).ok().flatten().unwrap_or_default();
    text.lines().position(|line| line.starts_with(begin)).map_or(1, |number| number + 1)
}
