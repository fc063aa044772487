//! What became of the recipes that were tested: for scripts, and as one exit code.

use std::collections::BTreeMap;

use serde::Serialize;

use super::failure::Failure;
use super::output;
use crate::base::counted;
use crate::cli;
use crate::guest::{TestReport, junit};
use crate::ops::{ExistingFile, TextTarget, WrittenText};

/// What became of one recipe.
pub(super) enum Outcome {
    Tested(TestReport),
    Untested(Failure),
}

/// A recipe in the output of `--json`.
#[derive(Serialize)]
#[serde(untagged)]
enum Json<'a> {
    Tested(&'a TestReport),
    Untested {
        error: String,
        /// What a command with only this recipe would have ended with: it tells a mistake from a host that failed.
        exit_code: u8,
    },
}

impl Outcome {
    /// The report, or why there is none.
    fn report(&self) -> Result<&TestReport, String> {
        match self {
            Outcome::Tested(report) => Ok(report),
            Outcome::Untested(failure) => Err(failure.text().trim_start_matches("error: ").trim_end().to_owned()),
        }
    }

    /// The same for `--json`.
    fn json(&self) -> Json<'_> {
        let exit_code = match self {
            Outcome::Tested(_) => 0,
            Outcome::Untested(failure) => failure.code(),
        };
        self.report().map_or_else(|error| Json::Untested { error, exit_code }, Json::Tested)
    }
}

/// The results for scripts.
pub(super) fn written(args: &cli::TestArgs, results: &[(String, Outcome)]) -> Result<(), Failure> {
    if let Some(path) = &args.junit {
        let suites: Vec<_> = results.iter().map(|(name, outcome)| (name.as_str(), outcome.report())).collect();
        let document = junit::documents(&suites);
        if TextTarget::open(path, ExistingFile::Replace)?.write(&document)? == WrittenText::Handed {
            output::print(&document)?;
        }
    }
    if args.json {
        let named: BTreeMap<&String, Json> = results.iter().map(|(name, outcome)| (name, outcome.json())).collect();
        output::json(&named)?;
    }
    Ok(())
}

/// What the command ends with: a recipe that could not be tested weighs more than a test that failed.
pub(super) fn verdict(results: Vec<(String, Outcome)>) -> Result<(), Failure> {
    let recipes = results.len();
    let (mut passed, mut failed, mut untested, mut first) = (0, 0, Vec::new(), None);
    for (name, outcome) in results {
        match outcome {
            Outcome::Tested(report) => {
                passed += report.counts().0;
                failed += report.counts().1;
            }
            Outcome::Untested(failure) => {
                untested.push(name);
                first.get_or_insert(failure);
            }
        }
    }
    match first {
        // One recipe alone fails as it would with any other command.
        Some(failure) if recipes == 1 => Err(failure),
        Some(failure) => {
            let names = untested.join(", ");
            let text = format!("{} of {recipes} recipes were not tested: {names}", untested.len());
            Err(Failure::Stated { class: failure.class(), text })
        }
        None if failed > 0 => Err(Failure::mismatch(format!("{} failed", counted(failed, "test")))),
        None if passed == 0 => Err(Failure::usage("no test was run")),
        None => Ok(()),
    }
}
