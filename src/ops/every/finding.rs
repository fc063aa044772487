//! One thing that is wrong, where, and whose it is.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::{Diagnostic, Foreign, SourceMap};
use crate::lock::Mismatch;
use crate::ops::error::{ErrorClass, OpsError};

/// Something that was found.
#[derive(Debug, Serialize)]
pub struct RecipeFinding {
    /// Whether the recipe fails by it.
    pub severity: FindingSeverity,
    /// Whose failure it is.
    #[serde(rename = "exit_code", serialize_with = "code")]
    pub class: ErrorClass,
    /// In which line of which file, where that is known.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<FindingPlace>,
    /// What is wrong; may have several lines.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Why, or where the reason can be looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// The recipe fails.
    Error,
    /// It passes, and somebody should know.
    Warning,
}

/// A place in a file.
#[derive(Debug, Serialize)]
pub struct FindingPlace {
    /// As the recipe or its import names it.
    #[serde(serialize_with = "path")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl RecipeFinding {
    /// What an operation says of its failure: each error of a recipe at its place.
    pub(super) fn of(error: OpsError, severity: FindingSeverity) -> Vec<RecipeFinding> {
        let class = error.class();
        match error.report() {
            Some(report) => {
                let finding = |diagnostic| RecipeFinding {
                    severity,
                    ..RecipeFinding::diagnostic(&report.sources, diagnostic, class)
                };
                report.diagnostics.iter().map(finding).collect()
            }
            None => {
                let text = error.to_string();
                let (message, help) = match text.split_once("\n  help: ") {
                    Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
                    None => (text, None),
                };
                vec![RecipeFinding { severity, class, place: None, message, help, notes: Vec::new() }]
            }
        }
    }

    pub(super) fn diagnostic(sources: &SourceMap, diagnostic: &Diagnostic, class: ErrorClass) -> RecipeFinding {
        let (line, column) = sources.position(diagnostic.span.file, diagnostic.span.start);
        let place = FindingPlace { file: sources.path(diagnostic.span.file).to_owned(), line, column };
        let message = match &*diagnostic.label {
            "" => diagnostic.message.clone(),
            label => format!("{}: {label}", diagnostic.message),
        };
        RecipeFinding {
            severity: FindingSeverity::Error,
            class,
            place: Some(place),
            message,
            help: diagnostic.hint.clone(),
            notes: diagnostic.notes.to_vec(),
        }
    }

    /// Bits that are not what they should be.
    pub(super) fn mismatch(message: String) -> RecipeFinding {
        RecipeFinding {
            severity: FindingSeverity::Error,
            class: ErrorClass::Mismatch,
            place: None,
            message,
            help: None,
            notes: Vec::new(),
        }
    }

    /// A way in which a lock is not the lock of its recipe.
    pub(super) fn not_up_to_date(mismatch: &Mismatch) -> RecipeFinding {
        RecipeFinding {
            severity: FindingSeverity::Error,
            class: ErrorClass::Recipe,
            place: None,
            message: format!("the lock is not up to date: {mismatch}"),
            help: Some("run `kiln lock` to update it".to_owned()),
            notes: Vec::new(),
        }
    }

    /// A recipe that has something to build and no lock.
    pub(super) fn not_locked(lock: &Path) -> RecipeFinding {
        let message = format!("no lock at {}", Foreign(lock.display()));
        let help = Some("`kiln lock` makes it; without one, nothing here can be verified".to_owned());
        RecipeFinding {
            severity: FindingSeverity::Warning,
            class: ErrorClass::Recipe,
            place: None,
            message,
            help,
            notes: Vec::new(),
        }
    }

    /// A file or directory that cannot be looked at.
    pub(super) fn unreadable(message: String) -> RecipeFinding {
        RecipeFinding {
            severity: FindingSeverity::Error,
            class: ErrorClass::Host,
            place: None,
            message,
            help: None,
            notes: Vec::new(),
        }
    }

    /// A link that is not followed: the file itself, or its lock.
    pub(super) fn leads_out(lock: Option<&Path>, outside: &str, severity: FindingSeverity) -> RecipeFinding {
        let lock = lock.map(|lock| format!("{}: ", Foreign(lock.display()))).unwrap_or_default();
        let message = format!("{lock}{outside}; it was not read");
        let help = Some("put the file itself into the tree".to_owned());
        RecipeFinding { severity, class: ErrorClass::Recipe, place: None, message, help, notes: Vec::new() }
    }

    /// A lock that no recipe belongs to.
    pub(super) fn no_recipe(recipe: &Path) -> RecipeFinding {
        let message = format!("the lock of {}, which is not there", Foreign(recipe.display()));
        let help = Some("remove the lock, or rename it as its recipe was renamed".to_owned());
        RecipeFinding {
            severity: FindingSeverity::Error,
            class: ErrorClass::Recipe,
            place: None,
            message,
            help,
            notes: Vec::new(),
        }
    }

    /// Which of [`RULES`] it breaks.
    pub(super) fn rule(&self) -> &'static str {
        RULES.iter().find(|(class, ..)| *class == self.class).map_or("recipe", |(_, id, _)| *id)
    }

    /// The message, why it is so, and what to do about it.
    pub fn text(&self) -> String {
        let notes = self.notes.iter().map(|note| format!("\n  note: {note}"));
        let help = self.help.iter().map(|help| format!("\n  help: {help}"));
        std::iter::once(self.message.clone()).chain(notes).chain(help).collect()
    }
}

/// What can be wrong, as the classes of errors tell it apart.
pub(super) const RULES: [(ErrorClass, &str, &str); 5] = [
    (ErrorClass::Recipe, "recipe", "The recipe, or the lock that belongs to it, is wrong."),
    (ErrorClass::Mismatch, "mismatch", "Bits are not what they should be."),
    (ErrorClass::Input, "input", "A package or a source is damaged or hostile, or a program of one failed."),
    (ErrorClass::Host, "host", "A file, a network or the host did not do what it was asked."),
    (ErrorClass::Bug, "bug", "Kiln contradicts itself."),
];

/// What a command with only this failure ends with.
fn code<S: serde::Serializer>(class: &ErrorClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(class.exit_code())
}

/// A path as text. What is not UTF-8 in it cannot be JSON.
pub(super) fn path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
