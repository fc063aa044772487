//! Where checkers put mistakes: shared by reference, so that readers of nested blocks need no threading.

use std::cell::RefCell;

use crate::base::{Diagnostic, Span};

/// More mistakes than this help nobody.
pub(super) const LIMIT: usize = 100;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Diagnostics {
    partial: std::cell::Cell<bool>,
    /// Heads of blocks that extend something which is not there.
    incomplete: RefCell<Vec<Span>>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Diagnostics {
    /// Adds a mistake; the same words about the same place (a loop's body) are kept once.
    pub fn push(&self, diagnostic: Diagnostic) {
        let mut all = self.diagnostics.borrow_mut();
        let known = |old: &Diagnostic| old.span == diagnostic.span && old.message == diagnostic.message;
        if all.len() < LIMIT && !all.iter().any(known) {
            all.push(diagnostic);
        }
    }

    /// Adds the mistake that something is missing, unless a part of the text could not be read: it may stand there.
    pub fn push_absence(&self, diagnostic: Diagnostic) {
        if !self.partial.get() {
            self.push(diagnostic);
        }
    }

    /// Says that a part of the text could not be read.
    pub fn set_partial(&self) {
        self.partial.set(true);
    }

    /// Says that a block lacks what it should have taken from another: what is missing in it may be there.
    pub fn set_incomplete(&self, head: Span) {
        self.incomplete.borrow_mut().push(head);
    }

    /// Whether that was said of the block with this head.
    pub fn is_incomplete(&self, head: Span) -> bool {
        self.incomplete.borrow().contains(&head)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.borrow().is_empty()
    }

    /// Everything found so far, in the order of the files and of their lines.
    pub fn found(&self) -> Vec<Diagnostic> {
        let mut all = self.diagnostics.borrow().clone();
        all.sort_by_key(|diagnostic| diagnostic.span);
        all
    }

    /// Everything found, in the order of the files and of their lines.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut all = self.diagnostics.into_inner();
        all.sort_by_key(|diagnostic| diagnostic.span);
        all
    }
}
