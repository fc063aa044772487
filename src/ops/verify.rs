//! Whether the files of a result directory are what its manifest says.

use std::path::Path;

use serde::Serialize;

use super::error::OpsError;
use super::event::{Notice, OpsEvent};
use super::session::Session;
use crate::deliver::check::{self, Difference};
use crate::deliver::manifest::Manifest;
use crate::recipe::local::LocalReader;

/// What was checked, and what was wrong.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    /// How many files were compared.
    pub checked: usize,
    /// One sentence each.
    pub wrong: Vec<String>,
    /// The same of a directory, for programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// Tells what a manifest says of its build that whoever relies on it should know.
pub(super) fn notices(session: &Session<'_>, manifest: &Manifest) {
    manifest.incremental.iter().for_each(|step| session.notice(Notice::Incremental { step }));
    let local = manifest.local.keys().map(|name| LocalReader::named(name));
    local.for_each(|reader| session.notice(Notice::LocalResult { reader: &reader }));
}

/// Compares a result directory with its manifest, reading every byte.
pub fn directory(session: &Session<'_>, directory: &Path) -> Result<VerifyReport, OpsError> {
    let reading = |name: &str, bytes: u64| session.on(OpsEvent::Reading { name, bytes });
    let options = check::CheckOptions { remembered: None, told: &reading };
    let found = check::check(directory, &options)?;
    found.manifest.iter().for_each(|manifest| notices(session, manifest));
    let wrong = found.differences.iter().map(ToString::to_string).collect();
    Ok(VerifyReport { checked: found.files, wrong, differences: found.differences })
}
