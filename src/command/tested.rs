//! What became of the recipes that were tested: for scripts, and as one exit code.

use serde::Serialize;

use super::failure::Failure;
use crate::base::counted;
use crate::guest::TestReport;

/// What became of one recipe.
pub(super) enum Outcome {
    Tested(TestReport),
    Untested(Failure),
}

/// A recipe in the output of `--json`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Json<'a> {
    Tested(&'a TestReport),
    Untested {
        error: String,
        /// What a command with only this recipe would have ended with: it tells a mistake from a host that failed.
        exit_code: u8,
    },
}

impl Outcome {
    /// The report, or why there is none.
    pub(super) fn report(&self) -> Result<&TestReport, String> {
        match self {
            Outcome::Tested(report) => Ok(report),
            Outcome::Untested(failure) => Err(failure.text().trim_start_matches("error: ").trim_end().to_owned()),
        }
    }

    /// The same for `--json`.
    pub(super) fn json(&self) -> Json<'_> {
        let exit_code = match self {
            Outcome::Tested(_) => 0,
            Outcome::Untested(failure) => failure.code(),
        };
        self.report().map_or_else(|error| Json::Untested { error, exit_code }, Json::Tested)
    }
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
