//! What has become of the recipes that `kiln test` tests side by side: told as each ends, and handed out in order.

use std::collections::BTreeMap;
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
    /// How somebody ended it before all were tested.
    interrupted: Mutex<Option<Failure>>,
}

impl<'a> Results<'a> {
    pub(super) fn of(recipes: &'a [RecipeTest]) -> Results<'a> {
        Results { recipes, outcomes: Mutex::default(), interrupted: Mutex::default() }
    }

    /// A recipe has ended. Called from any thread.
    pub(super) fn ended(&self, number: usize, result: Result<TestReport, Failure>) -> AfterRecipe {
        let name = Foreign(&self.recipes[number].name);
        match result {
            Ok(report) => {
                crate::tell!("{name}: {}", report.summary());
                let left = report.left;
                held(&self.outcomes).insert(number, Outcome::Tested(report));
                if left { AfterRecipe::Stop } else { AfterRecipe::GoOn }
            }
            Err(failure) if failure.class() == ErrorClass::Interrupted => {
                held(&self.interrupted).get_or_insert(failure);
                AfterRecipe::Stop
            }
            // One recipe that cannot be tested hides nothing about the others.
            Err(failure) => {
                if self.recipes.len() > 1 {
                    failure.tell();
                    crate::tell!("{name}: not tested");
                }
                held(&self.outcomes).insert(number, Outcome::Untested(failure));
                AfterRecipe::GoOn
            }
        }
    }

    /// Names and outcomes in the order of the command line, not in that of their ends; and how somebody ended it before all
    /// were tested, if somebody did.
    pub(super) fn in_order(self) -> (Vec<(String, Outcome)>, Option<Failure>) {
        let outcomes = std::mem::take(&mut *held(&self.outcomes));
        let named = outcomes.into_iter().map(|(number, outcome)| (self.recipes[number].name.clone(), outcome));
        (named.collect(), held(&self.interrupted).take())
    }
}

/// Whole values, which no panic leaves half written.
fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
