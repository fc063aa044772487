//! `kiln verify`: these files are what the manifest says; every input still exists; building again gives the same bits.

use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::{launches, output, rebuild};
use crate::base::Foreign;
use crate::cli;
use crate::deliver::check::{self, Difference};

/// What was checked, and what was wrong.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many files were compared.
    pub checked: usize,
    /// One sentence each.
    pub wrong: Vec<String>,
    /// The same of a directory, for programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// Carries the verb out.
pub fn run(args: &cli::Verify) -> Result<(), Failure> {
    let target = &args.target;
    let report = match (args.rebuild, args.inputs) {
        (true, _) => rebuild::run(target)?,
        (_, true) => rebuild::inputs(target)?,
        _ if target.recipe.is_dir() => directory(&target.recipe)?,
        _ => {
            let message = "kiln verify takes a directory that kiln built; for a recipe say --rebuild or --inputs";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    if args.json {
        output::json(&report)?;
    }
    if report.wrong.is_empty() {
        return if args.json { Ok(()) } else { output::print(&format!("{} files: all good\n", report.checked)) };
    }
    let (wrong, checked) = (report.wrong.len(), report.checked);
    let differences = if wrong == 1 { "1 difference".to_owned() } else { format!("{wrong} differences") };
    Err(Failure::Differs(format!("{differences} in {checked} files\n  {}", report.wrong.join("\n  "))))
}

/// Compares a result directory with its manifest, reading every byte.
pub fn directory(directory: &Path) -> Result<Report, Failure> {
    let options = check::CheckOptions { remembered: None, told: &launches::reading };
    let found = check::check(directory, &options).map_err(Failure::world)?;
    for step in found.manifest.iter().flat_map(|manifest| &manifest.incremental) {
        let step = Foreign(step);
        crate::tell!("{step} went on from an earlier run; `kiln verify --rebuild RECIPE` proves its bits");
    }
    let wrong = found.differences.iter().map(ToString::to_string).collect();
    Ok(Report { checked: found.files, wrong, differences: found.differences })
}
