//! What is doubtful about a root file system: told by the step that sees it, and again by every build of the image.

use std::path::Path;

use super::job::Job;
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::plan::Statement;
use crate::plan::root::{BASE_WARNINGS, Finding, RootSpec, WARNINGS};
use crate::world::fs;

const LIMIT: u64 = 16 << 20;
/// So many are shown where they are errors.
const SHOWN: usize = 20;

/// Writes them to the step's log and its output.
pub(super) fn write(job: &Job<'_>, findings: &[Finding]) -> Result<(), RootError> {
    findings.iter().for_each(|finding| job.log(&format!("kiln: warning: {finding}")));
    let mut bytes = serde_json::to_vec_pretty(findings).expect("strings are JSON");
    bytes.push(b'\n');
    Ok(fs::write_atomically(&job.out.join(WARNINGS), &bytes)?)
}

/// What the base has, without what the recipe's own files replace.
pub(super) fn of_base(spec: &RootSpec, file: &Path) -> Result<Vec<Finding>, RootError> {
    let bytes = fs::read(file, LIMIT)?;
    let mut findings: Vec<Finding> =
        serde_json::from_slice(&bytes).map_err(|error| StepFailure::bug(format!("{BASE_WARNINGS}: {error}")))?;
    findings.retain(|finding| spec.files.iter().all(|file| Some(&file.path) != finding.path.as_ref()));
    admit(spec, &findings)?;
    Ok(findings)
}

/// An error where the recipe asks for one.
pub(super) fn admit(spec: &RootSpec, findings: &[Finding]) -> Result<(), RootError> {
    let Some(first) = findings.first().filter(|_| spec.strict) else { return Ok(()) };
    let shown: Vec<String> = findings.iter().take(SHOWN).map(|finding| format!("\n{finding}")).collect();
    let text = format!(
        "the image is `strict`, and {} of its files or packages are doubtful:{}",
        findings.len(),
        shown.concat()
    );
    let about = first.package.clone().map_or(Statement::Block, Statement::Package);
    Err(StepFailure::recipe(about, text).help("without `strict = true` these are warnings").into())
}
