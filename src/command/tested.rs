//! What became of the recipes that were tested: for scripts, and as one exit code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::failure::Failure;
use crate::base::Foreign;
use crate::guest::TestReport;
use crate::ops::{AfterRecipe, ErrorClass, RecipeTest};

/// What has become of each recipe so far, told as soon as it is known.
pub(super) struct Results<'a> {
    recipes: &'a [RecipeTest],
    outcomes: Mutex<BTreeMap<usize, Outcome>>,
    interrupted: AtomicBool,
}

impl<'a> Results<'a> {
    pub(super) fn of(recipes: &'a [RecipeTest]) -> Results<'a> {
        Results { recipes, outcomes: Mutex::default(), interrupted: AtomicBool::new(false) }
    }

    /// A recipe has ended. Called from any thread.
    pub(super) fn ended(&self, number: usize, result: Result<TestReport, Failure>) -> AfterRecipe {
        let name = Foreign(&self.recipes[number].name);
        match result {
            Ok(report) => {
                crate::tell!("{name}: {}", report.summary());
                let left = report.left;
                self.outcomes().insert(number, Outcome::Tested(report));
                if left { AfterRecipe::Stop } else { AfterRecipe::GoOn }
            }
            Err(failure) if failure.class() == ErrorClass::Interrupted => {
                self.interrupted.store(true, Ordering::Relaxed);
                AfterRecipe::Stop
            }
            // One recipe that cannot be tested hides nothing about the others.
            Err(failure) => {
                if self.recipes.len() > 1 {
                    failure.tell();
                    crate::tell!("{name}: not tested");
                }
                self.outcomes().insert(number, Outcome::Untested(failure));
                AfterRecipe::GoOn
            }
        }
    }

    /// Whether somebody wanted the end before all were tested.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Names and outcomes in the order of the command line, not in that of their ends.
    pub(super) fn in_order(self) -> Vec<(String, Outcome)> {
        let outcomes = std::mem::take(&mut *self.outcomes());
        outcomes.into_iter().map(|(number, outcome)| (self.recipes[number].name.clone(), outcome)).collect()
    }

    /// Whole outcomes, which no panic leaves half written.
    fn outcomes(&self) -> MutexGuard<'_, BTreeMap<usize, Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        None if failed > 0 => Err(Failure::mismatch(format!("{failed} tests failed"))),
        None if passed == 0 => Err(Failure::usage("no test was run")),
        None => Ok(()),
    }
}
