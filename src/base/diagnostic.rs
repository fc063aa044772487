//! A mistake of the user: where, what, and the way out. Never used for failures of the world.

use super::span::Span;

/// One mistake in a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// One sentence without a full stop.
    pub message: String,
    /// The exact words that are wrong.
    pub span: Span,
    /// What stands under the caret.
    pub label: String,
    /// Other places that matter: the first definition of a duplicate, the import chain.
    pub related: Vec<(Span, String)>,
    /// What to write instead.
    pub hint: Option<String>,
    /// What else is known: why something is refused, where a log is.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            hint: None,
            notes: Vec::new(),
        }
    }

    /// Adds the words under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    /// Adds what else is known.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
