//! Follows `import "path"` from the main file: every file once, imports before the files that import them.

use std::collections::BTreeMap;

use super::files::{Files, Refused};
use super::report::Diagnostics;
use crate::base::{Diagnostic, FileId, Span};
use crate::syntax::tree::{Entry, Expression, File, TextPart};

/// Files in one recipe, and imports in imports.
const MAX_FILES: usize = 256;
const MAX_CHAIN: usize = 64;

/// The parsed files of a recipe.
#[derive(Default)]
pub(super) struct Imports {
    /// In the order in which they are evaluated; the main file stands last.
    pub(super) files: Vec<File>,
    /// Where each file was imported first.
    pub(super) imported_at: BTreeMap<FileId, Span>,
    /// Whether some text could not be read whole.
    pub(super) partial: bool,
    done: BTreeMap<String, FileId>,
}

/// The chain of imports from the main file to the one being read.
struct Chain<'a> {
    key: &'a str,
    outer: Option<&'a Chain<'a>>,
    length: usize,
}

impl Imports {
    /// Reads the main file and everything it imports.
    pub(super) fn load(&mut self, files: &mut Files<'_>, key: &str, report: &Diagnostics) -> Result<FileId, Refused> {
        self.file(files, &Chain { key, outer: None, length: 1 }, report)
    }

    fn file(&mut self, files: &mut Files<'_>, chain: &Chain<'_>, report: &Diagnostics) -> Result<FileId, Refused> {
        let id = files.text(chain.key)?;
        self.done.insert(chain.key.to_owned(), id);
        let (file, mistakes) = crate::syntax::parse(id, files.sources.text(id));
        self.partial |= !mistakes.is_empty();
        mistakes.into_iter().for_each(|mistake| report.push(mistake));
        for entry in file.entries.iter().filter(|entry| entry.keyword.value == "import") {
            self.import(files, entry, chain, report);
        }
        self.files.push(file);
        Ok(id)
    }

    fn import(&mut self, files: &mut Files<'_>, entry: &Entry, chain: &Chain<'_>, report: &Diagnostics) {
        let Some((path, span)) = path(entry) else {
            let wrong = Diagnostic::new(entry.span, "an import names one file").label("not an import");
            report.push(wrong.hint("write `import \"lib/debian-13.kiln\"`"));
            return;
        };
        let key = match files.key(span.file, &path) {
            Ok(key) => key,
            Err(refused) => return refuse(report, span, refused),
        };
        if chain.contains(&key) {
            let wrong = Diagnostic::new(span, format!("`{path}` imports itself")).label("completes an import cycle");
            let circle = chain.describe(&key);
            report.push(wrong.hint(format!("the cycle is {circle}: move what both files need into a third one")));
            return;
        }
        if self.done.contains_key(&key) {
            return;
        }
        if chain.length >= MAX_CHAIN || self.done.len() >= MAX_FILES {
            let label = format!("at most {MAX_FILES} files, and {MAX_CHAIN} imports in imports");
            report.push(Diagnostic::new(span, "too many imports").label(label));
            return;
        }
        let inner = Chain { key: &key, outer: Some(chain), length: chain.length + 1 };
        // The place is known before the file is read, so that mistakes in it can name the chain.
        match self.file(files, &inner, report) {
            Ok(id) => drop(self.imported_at.insert(id, span)),
            Err(refused) => {
                self.partial = true;
                refuse(report, span, refused);
            }
        }
    }

    /// Adds to a mistake in an imported file how that file came to be read.
    pub(super) fn explain(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let mut file = diagnostic.span.file;
        while let Some(span) = self.imported_at.get(&file) {
            diagnostic = diagnostic.related(*span, "imported here");
            file = span.file;
        }
        diagnostic
    }
}

impl Chain<'_> {
    fn contains(&self, key: &str) -> bool {
        self.key == key || self.outer.is_some_and(|outer| outer.contains(key))
    }

    fn describe(&self, key: &str) -> String {
        let mut names = vec![format!("`{key}`")];
        let mut at = Some(self);
        while let Some(link) = at {
            names.push(format!("`{}`", link.key));
            at = link.outer.filter(|_| link.key != key);
        }
        names.reverse();
        names.join(" -> ")
    }
}

fn refuse(report: &Diagnostics, span: Span, Refused(message, hint): Refused) {
    let mut wrong = Diagnostic::new(span, message).label("cannot be imported");
    wrong.hint = hint;
    report.push(wrong);
}

/// `import "path"`, without interpolation: what is imported must not depend on parameters.
fn path(entry: &Entry) -> Option<(String, Span)> {
    let [argument] = entry.arguments.as_slice() else { return None };
    match &argument.value {
        Expression::Text(parts) if entry.assign.is_none() && entry.body.is_none() => match parts.as_slice() {
            [TextPart::Literal(path)] => Some((path.clone(), argument.span)),
            _ => None,
        },
        _ => None,
    }
}
