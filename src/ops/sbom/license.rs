//! Names of licences as Debian writes them, to expressions as SPDX writes them.
//!
//! Input: what a machine-readable copyright file says. Output: one SPDX licence expression, and the licences in it that are not on
//! SPDX's list. A name is translated only where Debian's format defines it as that licence, or where it is the name on SPDX's
//! list but for case; any other is kept under a name of the document's own (`LicenseRef-...`) with its text, not taken for the
//! licence that it resembles. The list is version 3.23: licences that are known by their names of there are in [`SAME`].

use std::collections::{BTreeMap, BTreeSet};

use super::model::{self, OtherLicense};
use crate::base::Digest;
use crate::debian::copyright::Copyright;

/// A licence expression, and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) expression: String,
    pub(super) others: BTreeMap<String, OtherLicense>,
}

/// All licences of a package's files: each of them holds for some file.
pub(super) fn declared(copyright: &Copyright) -> Declared {
    let mut others = BTreeMap::new();
    let mut terms = BTreeSet::new();
    for expression in &copyright.expressions {
        terms.insert(Phrase(expression).translate(&copyright.texts, &mut others));
    }
    let single = terms.len() == 1;
    let grouped = |term: &String| if single || !term.contains(" OR ") { term.clone() } else { format!("({term})") };
    let terms: Vec<String> = terms.iter().map(grouped).collect();
    Declared { expression: terms.join(" AND "), others }
}

/// `GPL-2+ or Artistic-2.0, and BSD-3-clause`: `and` binds closer than `or`, unless a comma stands before it.
struct Phrase<'a>(&'a str);

/// What parts a phrase, loosest first, and what SPDX writes for it.
const OPERATORS: [(&str, &str); 4] = [(", and ", " AND "), (", or ", " OR "), (" or ", " OR "), (" and ", " AND ")];

impl Phrase<'_> {
    fn translate(&self, texts: &BTreeMap<String, String>, others: &mut BTreeMap<String, OtherLicense>) -> String {
        let Some((word, operator)) = OPERATORS.iter().find(|(word, _)| self.0.contains(word)) else {
            return self.one(texts, others);
        };
        let parts = self.0.split(word).map(|part| {
            let part = Phrase(part.trim()).translate(texts, others);
            let other = if *operator == " AND " { " OR " } else { " AND " };
            if part.contains(other) { format!("({part})") } else { part }
        });
        parts.collect::<Vec<_>>().join(operator)
    }

    fn one(&self, texts: &BTreeMap<String, String>, others: &mut BTreeMap<String, OtherLicense>) -> String {
        let name = self.0.trim().trim_end_matches(',');
        if let Some(id) = spdx(name) {
            return id;
        }
        let text = texts.get(name).cloned();
        let key = Digest::of(format!("{name}\n{}", text.as_deref().unwrap_or_default()).as_bytes());
        let reference = format!("LicenseRef-debian-{}-{}", model::plain(name), &key.hex()[..8]);
        others.insert(reference.clone(), OtherLicense { name: name.to_owned(), text });
        reference
    }
}

/// SPDX's name of a licence that Debian's format defines, or that is spelled as SPDX spells it.
fn spdx(name: &str) -> Option<String> {
    if let Some(id) = SAME.iter().find(|id| id.eq_ignore_ascii_case(name)) {
        return Some((*id).to_owned());
    }
    if let Some((_, id)) = OTHERWISE.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(name)) {
        return Some((*id).to_owned());
    }
    gnu(name)
}

/// `GPL-2+`, `LGPL-2.1`, `GFDL-1.3+`, also as SPDX spells them: `GPL-2.0-or-later`.
fn gnu(name: &str) -> Option<String> {
    let (family, versions) = GNU.iter().find_map(|(family, versions)| {
        let prefix = name.get(..family.len()).filter(|prefix| prefix.eq_ignore_ascii_case(family))?;
        name[prefix.len()..].strip_prefix('-').map(|rest| (*family, (rest, *versions)))
    })?;
    let (rest, known) = versions;
    let endings = [("+", "-or-later"), ("-or-later", "-or-later"), ("-only", "-only")];
    let ending = endings.iter().find_map(|(ending, id)| Some((rest.strip_suffix(ending)?, *id)));
    let (version, ending) = ending.unwrap_or((rest, "-only"));
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    known.contains(&version.as_str()).then(|| format!("{family}-{version}{ending}"))
}

/// Families whose names end with `-only` or `-or-later` in SPDX, with their versions.
const GNU: [(&str, &[&str]); 4] = [
    ("AGPL", &["3.0"]),
    ("LGPL", &["2.0", "2.1", "3.0"]),
    ("GFDL", &["1.1", "1.2", "1.3"]),
    ("GPL", &["1.0", "2.0", "3.0"]),
];

/// Names that Debian's format defines and SPDX spells otherwise.
const OTHERWISE: [(&str, &str); 2] = [("Expat", "MIT"), ("CC0", "CC0-1.0")];

/// Names on SPDX's list 3.23, which Debian's packages use as they are, but for case. Its format defines only some of them.
const SAME: [&str; 37] = [
    "0BSD",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CPL-1.0",
    "EPL-1.0",
    "EPL-2.0",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "FTL",
    "ISC",
    "LPPL-1.3c",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "OFL-1.1",
    "PSF-2.0",
    "Python-2.0",
    "QPL-1.0",
    "Unicode-3.0",
    "Unlicense",
    "W3C",
    "WTFPL",
    "ZPL-2.1",
    "Zlib",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(of: &[&str]) -> String {
        let copyright =
            Copyright { expressions: of.iter().map(|one| (*one).to_owned()).collect(), ..Copyright::default() };
        declared(&copyright).expression
    }

    #[test]
    fn names_that_debian_defines_are_translated() {
        for (debian, spdx) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("gpl-3.0+", "GPL-3.0-or-later"),
            ("GPL-2.0-or-later", "GPL-2.0-or-later"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("AGPL-3", "AGPL-3.0-only"),
            ("Expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("zlib", "Zlib"),
            ("GPL-2+ or Artistic-2.0", "GPL-2.0-or-later OR Artistic-2.0"),
            ("GPL-2 or Expat and ISC", "GPL-2.0-only OR (MIT AND ISC)"),
            ("GPL-2 or Expat, and ISC", "(GPL-2.0-only OR MIT) AND ISC"),
        ] {
            assert_eq!(expression(&[debian]), spdx, "{debian}");
        }
        assert_eq!(expression(&["Expat or ISC", "GPL-2+"]), "GPL-2.0-or-later AND (MIT OR ISC)");
    }

    #[test]
    fn names_that_it_does_not_define_are_kept_with_their_text() {
        for name in ["GPL", "GPL-9", "MIT", "BSD", "public-domain", "GPL-2+ with OpenSSL exception", "GPL-2é", "ĞPL-2"]
        {
            let text = BTreeMap::from([(name.to_owned(), "words".to_owned())]);
            let found = declared(&Copyright { expressions: vec![name.to_owned()], texts: text });
            assert!(found.expression.starts_with("LicenseRef-debian-"), "{name}: {}", found.expression);
            let other = &found.others[&found.expression];
            assert_eq!((other.name.as_str(), other.text.as_deref()), (name, Some("words")));
        }
        assert_ne!(expression(&["a b"]), expression(&["a_b"]), "two names are two licences");
    }

    proptest::proptest! {
        #[test]
        fn no_name_gives_what_is_no_expression(text in "[A-Z+, .()\"\u{e9}or]{0,40}") {
            let found = expression(&[&text]);
            proptest::prop_assert!(found.chars().all(|c| c.is_ascii_alphanumeric() || "-. ()".contains(c)), "{}", found);
        }
    }
}
