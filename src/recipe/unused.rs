//! Blocks of the recipe's own file that nothing refers to: legal, but surely not what their author had in mind.
//!
//! Blocks of imported files are there to be chosen from, and so is what another block extends.

use std::collections::BTreeSet;

use super::alone::Goals;
use super::scope::{Scope, noun};
use crate::base::Diagnostic;
use crate::base::source::FileId;

/// What other blocks refer to by name, and by whom such a block is used.
const KINDS: [(&str, &str); 7] = [
    ("archive", "no package set or image takes packages from it"),
    ("packages", "nothing takes its packages"),
    ("config", "no kernel names it in `configs`"),
    ("build", "no image, kernel, machine, QEMU or other build takes what it makes"),
    ("qemu", "no machine runs on it"),
    ("memory", "no machine has it"),
    ("network", "no machine joins it"),
];

/// Which blocks are whose.
pub(super) struct Own<'a> {
    /// The recipe's own file.
    pub(super) main: FileId,
    /// Kind and name of every block that another one extends.
    pub(super) extended: &'a BTreeSet<(String, String)>,
}

/// A warning for each. A file without machines may be there to be imported, so that what it offers is no mistake; what its
/// builds make is, if it has images that could take it.
pub(super) fn find(scope: &Scope, goals: &Goals, own: &Own<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let used = scope.used.borrow();
    for (kind, by) in KINDS {
        let is_library = scope.machines.is_empty() && (kind != "build" || goals.images.is_empty());
        let declared = scope.declared.get(kind).filter(|_| !is_library);
        for (name, span) in declared.into_iter().flatten().filter(|(_, span)| span.file == own.main) {
            let is_base = own.extended.contains(&(kind.to_owned(), name.clone()));
            if !is_base && !used.contains(&(kind, name.clone())) {
                let doubt = Diagnostic::new(*span, format!("{} `{name}` is never used", noun(kind))).label(by);
                found.push(doubt);
            }
        }
    }
    found.sort_by_key(|doubt| doubt.span);
    found
}
