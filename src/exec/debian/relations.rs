//! The few dependency fields that matter once packages are chosen: `Replaces`, `Pre-Depends`, `Provides`.

use debversion::Version;

use crate::debian::deb::Stanza;

/// One name of a dependency field with its version restriction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    restriction: Option<(String, Version)>,
}

/// Every relation of a field, alternatives flattened.
pub(crate) fn field(stanza: &Stanza, name: &str) -> Vec<Relation> {
    stanza.get(name).unwrap_or_default().split([',', '|']).filter_map(relation).collect()
}

fn relation(text: &str) -> Option<Relation> {
    let (name, rest) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    // `name:any` restricts the architecture, of which a system here has one.
    let name = name.trim().split(':').next().unwrap_or_default().to_owned();
    let restriction = match rest {
        None => None,
        Some(rest) => {
            let rest = rest.trim().trim_end_matches(')').trim();
            let (operator, version) = rest.split_at(rest.find(|c: char| !"<>=".contains(c))?);
            Some((operator.to_owned(), version.trim().parse().ok()?))
        }
    };
    (!name.is_empty()).then_some(Relation { name, restriction })
}

impl Relation {
    /// Whether a package of that name and version is meant.
    pub(crate) fn matches(&self, name: &str, version: &str) -> bool {
        if self.name != name {
            return false;
        }
        let Some((operator, bound)) = &self.restriction else { return true };
        let Ok(version) = version.parse::<Version>() else { return false };
        match operator.as_str() {
            "<<" => version < *bound,
            "<=" | "<" => version <= *bound,
            "=" => version == *bound,
            ">=" | ">" => version >= *bound,
            ">>" => version > *bound,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_restrict() {
        let relation = relation(" libc6:any (<< 2.41-3~) ").unwrap();
        assert!(relation.matches("libc6", "2.41-2"));
        assert!(!relation.matches("libc6", "2.41-3"));
        assert!(!relation.matches("libc7", "1"));
    }
}
