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
    pub label: Box<str>,
    /// Other places that matter: the first definition of a duplicate, the import chain.
    pub related: Vec<(Span, String)>,
    /// What to write instead.
    pub hint: Option<String>,
    /// What else is known: why something is refused, where a log is.
    pub notes: Box<[String]>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            message: message.into(),
            span,
            label: Box::default(),
            related: Vec::new(),
            hint: None,
            notes: Box::default(),
        }
    }

    /// Adds the words under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into().into();
        self
    }

    /// Adds another place.
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    /// Adds what else is known.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        let mut notes = std::mem::take(&mut self.notes).into_vec();
        notes.push(note.into());
        self.notes = notes.into();
        self
    }

    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
