//! Relations between packages: `Depends`, `Provides`, `Breaks`, ... (Debian Policy, chapter 7).

use std::cmp::Ordering;

use super::version;

/// One alternative of a dependency: a name and which of its versions will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atom<'a> {
    /// The package's name, real or virtual.
    pub name: &'a str,
    /// `any`, `native` or an architecture, when qualified: `python3:any`.
    pub qualifier: Option<&'a str>,
    /// The demand on its version.
    pub constraint: Option<(Operator, &'a str)>,
}

/// Alternatives in order of preference; one must hold.
pub type Clause<'a> = Vec<Atom<'a>>;

/// How versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=` (and the ancient `<`)
    EarlierEqual,
    /// `=`
    Equal,
    /// `>=` (and the ancient `>`)
    LaterEqual,
    /// `>>`
    Later,
}

/// A relation that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a package relation: {0:?}")]
pub struct BadRelation(pub String);

impl Operator {
    /// Whether `candidate OP version` holds.
    pub fn holds(self, candidate: &str, version: &str) -> bool {
        let order = version::compare(candidate, version);
        match self {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

impl Atom<'_> {
    /// Whether this version of a package of that name will do.
    pub fn accepts(&self, candidate: &str) -> bool {
        self.constraint.is_none_or(|(operator, version)| operator.holds(candidate, version))
    }
}

impl std::fmt::Display for Atom<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        let sign = |operator| match operator {
            Operator::Earlier => "<<",
            Operator::EarlierEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterEqual => ">=",
            Operator::Later => ">>",
        };
        match self.constraint {
            Some((operator, version)) => write!(f, " ({} {version})", sign(operator)),
            None => Ok(()),
        }
    }
}

/// A whole field: clauses separated by commas, alternatives by bars. Empty parts (trailing commas) are passed over.
pub fn parse(field: &str) -> Result<Vec<Clause<'_>>, BadRelation> {
    parts(field, ',').map(|clause| parts(clause, '|').map(atom).collect()).collect()
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty())
}

/// `name[:qualifier] [(OP version)]`; architecture lists and build profiles only occur in source packages.
fn atom(text: &str) -> Result<Atom<'_>, BadRelation> {
    let bad = || BadRelation(text.chars().take(120).collect());
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '(').unwrap_or(text.len());
    let (head, rest) = (&text[..end], text[end..].trim());
    let (name, qualifier) = match head.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (head, None),
    };
    if !is_package_name(name) || qualifier.is_some_and(|qualifier| !is_package_name(qualifier)) {
        return Err(bad());
    }
    let constraint = if rest.is_empty() {
        None
    } else {
        let inside = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(bad)?;
        Some(constraint(inside.trim()).ok_or_else(bad)?)
    };
    Ok(Atom { name, qualifier, constraint })
}

fn constraint(text: &str) -> Option<(Operator, &str)> {
    let end = text.find(|c| !matches!(c, '<' | '>' | '='))?;
    let operator = match &text[..end] {
        "<<" => Operator::Earlier,
        "<=" | "<" => Operator::EarlierEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterEqual,
        ">>" => Operator::Later,
        _ => return None,
    };
    let version = text[end..].trim();
    version::is_valid(version).then_some((operator, version))
}

/// Lower-case letters, digits, `+`, `-`, `.`, beginning with a letter or digit (Debian Policy, section 5.6.1). Upper case
/// is let through, as dpkg does for old virtual packages.
pub fn is_package_name(name: &str) -> bool {
    let (Some(first), true) = (name.bytes().next(), name.len() <= 256) else { return false };
    first.is_ascii_alphanumeric() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-._".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_clauses_of_alternatives() {
        let field = parse("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, python3:any (>> 3~), x(<1),").unwrap();
        assert_eq!(field.len(), 4);
        assert_eq!(field[1].len(), 2);
        assert_eq!(field[2][0].qualifier, Some("any"));
        assert_eq!(field[3][0].constraint, Some((Operator::EarlierEqual, "1")));
        assert_eq!(field[0][0].to_string(), "libc6 (>= 2.38)");
        assert!(field[0][0].accepts("2.41-12") && !field[0][0].accepts("2.36"));
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in ["a b", "a (1)", "a (>= )", "a (>= 1", "(>= 1)", "a (=> 1)", "-a", "a:", "a (>= 1 2)", "../a"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn almost_relations_do_not_make_it_panic(text in "[a-c]{0,2}(:any)?[ (]{0,2}[<>=]{0,3} ?[0-9.~:-]{0,4}[)]?[,|é]?[a-c]{0,2}") {
            let _ = parse(&text);
        }
    }
}
