//! What has become of the recipes that `kiln test` tests side by side: told as each ends, and handed out in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::tested::Outcome;
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
