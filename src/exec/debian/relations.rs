//! The few dependency fields that matter once packages are chosen: `Replaces`, `Pre-Depends`, `Provides`.

use crate::debian::deb::Stanza;
use crate::debian::relation::{self, Operator};

/// One name of a dependency field with its version restriction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    restriction: Option<(Operator, String)>,
}

/// Every relation of a field, alternatives flattened. What follows no grammar names no package.
pub(crate) fn field(stanza: &Stanza, name: &str) -> Vec<Relation> {
    alternatives(stanza.get(name).unwrap_or_default())
}

fn alternatives(text: &str) -> Vec<Relation> {
    text.split([',', '|']).filter_map(one).collect()
}

/// A qualifier (`name:any`) restricts the architecture, of which a system here has one.
fn one(text: &str) -> Option<Relation> {
    let atom = relation::parse(text).ok()?.into_iter().flatten().next()?;
    let restriction = atom.constraint.map(|(operator, version)| (operator, version.to_owned()));
    Some(Relation { name: atom.name.to_owned(), restriction })
}

impl Relation {
    /// Whether a package of that name and version is meant.
    pub(crate) fn matches(&self, name: &str, version: &str) -> bool {
        self.name == name && self.restriction.as_ref().is_none_or(|(operator, bound)| operator.holds(version, bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_restrict() {
        let relation = one(" libc6:any (<< 2.41-3~) ").unwrap();
        assert!(relation.matches("libc6", "2.41-2"));
        assert!(!relation.matches("libc6", "2.41-3"));
        assert!(!relation.matches("libc7", "1"));
    }

    #[test]
    fn every_alternative_counts() {
        let names = alternatives("a (<< 2), b | c,, no relation, d").into_iter().map(|relation| relation.name);
        let names: Vec<String> = names.collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
