//! What is doubtful about the images of a build: told by every build, also where the steps that saw it are cached.

use std::collections::BTreeMap;

use super::error::OpsError;
use super::event::Notice;
use super::ids;
use super::load::Ready;
use crate::exec::Realized;
use crate::plan::Input;
use crate::plan::root::{Finding, WARNINGS};
use crate::world::fs;

/// No step finds more.
const LIMIT: u64 = 4 << 20;

/// By image, a sentence each.
pub(super) fn of_images(ready: &Ready<'_>, realized: &Realized) -> Result<BTreeMap<String, Vec<String>>, OpsError> {
    let mut warnings = BTreeMap::new();
    for (step, image) in ids::roots(&ready.plan) {
        let file = realized.file(&Input::Output { step, name: WARNINGS.to_owned() });
        let bytes = fs::read(&ready.store.path(&file.sha256)?, LIMIT)?;
        let findings: Vec<Finding> =
            serde_json::from_slice(&bytes).map_err(|error| OpsError::parse(WARNINGS, error))?;
        for finding in &findings {
            ready.loaded.session.notice(Notice::Doubtful { image, finding });
        }
        if !findings.is_empty() {
            warnings.insert(image.to_owned(), findings.iter().map(Finding::to_string).collect());
        }
    }
    Ok(warnings)
}
