//! What a lock says otherwise than its recipe, in words and with its place there.

use std::fmt;

use crate::base::{Diagnostic, Foreign, Span};

/// The line of a lock that a mismatch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockLine {
    /// `recipe.files`
    pub table: &'static str,
    /// The key, as it is without quotes.
    pub key: String,
}

/// One way in which a lock is not the lock of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    text: String,
    /// The block of the recipe that the lock does not fulfil, if it is about one.
    span: Option<Span>,
    /// What to change there.
    hint: Option<String>,
    /// Where the lock says otherwise, if one line does.
    line: Option<LockLine>,
}

impl Mismatch {
    pub(super) fn new(text: impl Into<String>) -> Mismatch {
        Mismatch { text: text.into(), span: None, hint: None, line: None }
    }

    /// Of a block of the recipe.
    pub(super) fn at(span: Span, text: impl Into<String>) -> Mismatch {
        Mismatch { text: text.into(), span: Some(span), hint: None, line: None }
    }

    /// With what to change in that block.
    pub(super) fn hint(self, hint: impl Into<String>) -> Mismatch {
        Mismatch { hint: Some(hint.into()), ..self }
    }

    /// About a line of the lock.
    pub(super) fn line(self, table: &'static str, key: &str) -> Mismatch {
        Mismatch { line: Some(LockLine { table, key: key.to_owned() }), ..self }
    }

    /// The line of the lock that it is about, if it is about one.
    pub fn lock_line(&self) -> Option<&LockLine> {
        self.line.as_ref()
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
