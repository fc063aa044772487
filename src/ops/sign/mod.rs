//! Signatures over result directories: made with keys that people have, and relied on if the key is trusted.

mod accepted;
mod check;
pub(in crate::ops) mod envelope;
mod key;
mod make;
mod trust;

pub(in crate::ops) use accepted::{Accepted, AcceptedKind, state_directory};
pub(super) use check::verify_known;
pub use check::{RequiredSignature, SignedReport, SignedRequest, Signer, verify};
pub use key::KeyFile;
pub(in crate::ops) use key::SigningKey;
pub use make::{SignRequest, sign};
pub(in crate::ops) use trust::{Key, Trust, config_file};

use std::path::Path;

use super::error::{MismatchError, OpsError, UsageError};
use super::event::OpsEvent;
use super::project;
use super::session::Session;
use super::verify::notices;
use crate::deliver::check::{self as directory_check, CheckOptions};
use crate::deliver::manifest::{self, Manifest};

/// The manifest of a directory that is a build, whole and unchanged, and how many files were compared.
pub(super) fn unchanged(session: &Session<'_>, directory: &Path) -> Result<(Manifest, usize), OpsError> {
    if let Some(reference) = project::reference(directory) {
        return Err(reference.into());
    }
    let has = |name: &str| directory.join(name).symlink_metadata().is_ok();
    if directory.is_dir() && !has(manifest::FILE) && !has(manifest::PARTIAL_FILE) {
        return Err(UsageError::NoResult(directory.to_owned()).into());
    }
    let reading = |name: &str, bytes: u64| session.on(OpsEvent::Reading { name, bytes });
    let checked = directory_check::check(directory, &CheckOptions { remembered: None, told: &reading })?;
    match checked.manifest {
        Some(manifest) if checked.differences.is_empty() => {
            notices(session, &manifest);
            Ok((manifest, checked.files))
        }
        _ => {
            let differences = checked.differences;
            Err(MismatchError::Changed { directory: directory.to_owned(), differences }.into())
        }
    }
}
