//! What a lock says otherwise than its recipe, in words and with its place there.

use std::fmt;

use crate::base::{Diagnostic, Foreign, Span};

/// One way in which a lock is not the lock of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    text: String,
    /// The block of the recipe that the lock does not fulfil, if it is about one.
    span: Option<Span>,
    /// What to change there.
    hint: Option<String>,
}

impl Mismatch {
    pub(super) fn new(text: impl Into<String>) -> Mismatch {
        Mismatch { text: text.into(), span: None, hint: None }
    }

    /// Of a block of the recipe.
    pub(super) fn at(span: Span, text: impl Into<String>) -> Mismatch {
        Mismatch { text: text.into(), span: Some(span), hint: None }
    }

    /// With what to change in that block.
    pub(super) fn hint(self, hint: impl Into<String>) -> Mismatch {
        Mismatch { hint: Some(hint.into()), ..self }
    }

    /// The mistake in the recipe that it is where the lock was made just now: what the archives have is not enough.
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let mut wrong = Diagnostic::new(self.span?, self.to_string()).label("resolved for this");
        wrong.hint = self.hint.clone();
        Some(wrong)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Foreign(&self.text).fmt(f)
    }
}
