//! Listeners for a tree: warnings about a recipe become findings, instead of text among that of other recipes.

use std::sync::{Mutex, PoisonError};

use super::{FindingSeverity, RecipeFinding};
use crate::ops::error::ErrorClass;
use crate::ops::event::{OpsEvent, OpsListener};

/// Keeps warnings about a recipe; everything else is not worth telling while locks are compared.
#[derive(Default)]
pub(super) struct Warnings(Mutex<Vec<RecipeFinding>>);

impl Warnings {
    /// All of them.
    pub(super) fn found(self) -> Vec<RecipeFinding> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpsListener for Warnings {
    fn on(&self, event: OpsEvent<'_>) {
        let OpsEvent::Warnings { sources, warnings } = event else { return };
        let finding = |warning| RecipeFinding {
            severity: FindingSeverity::Warning,
            ..RecipeFinding::diagnostic(sources, warning, ErrorClass::Recipe)
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings.iter().map(finding));
    }
}

/// Hands on everything but warnings about a recipe.
pub(super) struct WithoutWarnings<'a>(pub(super) &'a dyn OpsListener);

impl OpsListener for WithoutWarnings<'_> {
    fn on(&self, event: OpsEvent<'_>) {
        if !matches!(event, OpsEvent::Warnings { .. }) {
            self.0.on(event);
        }
    }
}
