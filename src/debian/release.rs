//! `InRelease` or `Release`: what a suite is called, when it was made, and the digests of its indexes.

use std::collections::BTreeMap;

use super::control;
use crate::base::{Digest, Timestamp};

/// An index larger than this is refused, whatever is signed; the largest of Debian are a sixth of it.
pub const MAX_INDEX: u64 = 400 << 20;

/// The signed text of an `InRelease`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `stable-backports`
    pub suite: Option<String>,
    /// `trixie-backports`
    pub codename: Option<String>,
    /// When it was made.
    pub date: Timestamp,
    /// When it must not be believed any more.
    pub valid_until: Option<Timestamp>,
    /// Indexes can be fetched by digest.
    pub by_hash: bool,
    /// `Packages` of an architecture repeat what is for all architectures.
    pub all_is_included: bool,
    /// Component names.
    pub components: Vec<String>,
    /// Size and digest of every index, by path relative to the suite's directory.
    pub files: BTreeMap<String, (u64, Digest)>,
}

/// The text is not a Release file that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A field is missing.
    #[error("missing field {0}")]
    Missing(&'static str),
    /// A field says what it cannot say.
    #[error("{field}: {value:?} is not {expected}")]
    Bad {
        field: &'static str,
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Release {
    /// Reads the signed text.
    pub fn parse(text: &str) -> Result<Release, ReleaseError> {
        let field = |name| control::field(text, name);
        let date = field("Date").ok_or(ReleaseError::Missing("Date"))?;
        let yes = |name| field(name).is_some_and(|value| value == "yes");
        let all = field("No-Support-for-Architecture-all").is_some_and(|value| value == "Packages");
        let separate = field("Architectures").is_some_and(|list| list.split_whitespace().any(|word| word == "all"));
        Ok(Release {
            suite: field("Suite").map(str::to_owned),
            codename: field("Codename").map(str::to_owned),
            date: instant("Date", date)?,
            valid_until: field("Valid-Until").map(|value| instant("Valid-Until", value)).transpose()?,
            by_hash: yes("Acquire-By-Hash"),
            all_is_included: all || !separate,
            components: field("Components").unwrap_or("").split_whitespace().map(str::to_owned).collect(),
            files: table(field("SHA256").ok_or(ReleaseError::Missing("SHA256"))?)?,
        })
    }

    /// Whether the file is about the suite that was asked for: a mirror must not answer with another one. A file that does not
    /// say what it is about could be about any.
    pub fn is_suite(&self, suite: &str) -> bool {
        self.is_nameless() || [&self.suite, &self.codename].into_iter().flatten().any(|name| name == suite)
    }

    /// Whether it has neither a suite nor a code name.
    pub fn is_nameless(&self) -> bool {
        self.suite.is_none() && self.codename.is_none()
    }
}

fn instant(field: &'static str, value: &str) -> Result<Timestamp, ReleaseError> {
    Timestamp::parse_release(value).ok_or_else(|| bad(field, value, "a date such as Sat, 12 Sep 2026 07:55:41 UTC"))
}

fn bad(field: &'static str, value: &str, expected: &'static str) -> ReleaseError {
    ReleaseError::Bad { field, value: value.chars().take(120).collect(), expected }
}

/// Lines of digest, size and path.
fn table(text: &str) -> Result<BTreeMap<String, (u64, Digest)>, ReleaseError> {
    let mut files = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(digest), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
            return Err(bad("SHA256", line, "a digest, a size and a path"));
        };
        let digest = digest.parse().map_err(|_| bad("SHA256", line, "a line with a SHA-256"))?;
        let size = size.parse().map_err(|_| bad("SHA256", line, "a line with a size"))?;
        let path = path.trim_start_matches("./");
        // An index has no spaces in its name.
        if words.next().is_none() && super::packages::is_inside(path) {
            files.insert(path.to_owned(), (size, digest));
        } else if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(bad("SHA256", line, "a line with a path inside the suite"));
        }
        // Others, such as hidden files, are never asked for.
    }
    Ok(files)
}

/// `main/binary-amd64/by-hash/SHA256/...` of `main/binary-amd64/Packages.xz`.
pub fn by_hash(path: &str, digest: &Digest) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let slash = if directory.is_empty() { "" } else { "/" };
    format!("{directory}{slash}by-hash/SHA256/{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
        Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
        No-Support-for-Architecture-all: Packages\nComponents: main contrib\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages\n";

    #[test]
    fn the_fields_that_matter_are_read() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.date.to_string(), "2026-09-12T07:55:41Z");
        assert_eq!(release.components, ["main", "contrib"]);
        assert!(release.by_hash && release.all_is_included);
        assert!(release.is_suite("trixie") && release.is_suite("stable") && !release.is_suite("forky"));
        assert_eq!(release.files["main/binary-amd64/Packages"], (0, Digest::of(b"")));
        let hashed = by_hash("main/binary-amd64/Packages", &Digest::of(b""));
        assert!(hashed.starts_with("main/binary-amd64/by-hash/SHA256/e3b0c4"), "{hashed}");
    }

    #[test]
    fn a_path_that_climbs_out_or_a_bad_date_is_refused() {
        for (from, to) in [
            ("main/binary-amd64/Packages", "../../etc/passwd"),
            ("main/binary-amd64/Packages", "/etc/passwd"),
            ("main/binary-amd64/Packages", "a/./../b"),
            ("e3b0", "zzzz"),
            ("        0 ", " -1 "),
            ("Date: Sat, 12 Sep", "Date: Sat, 32 Sep"),
            ("SHA256:", "MD5Sum:"),
        ] {
            assert!(Release::parse(&TEXT.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn flat_repositories_and_nameless_ones_are_read() {
        let text = TEXT.replace("main/binary-amd64/Packages", "./Packages");
        let text = text
            + " e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 .refresh\n \
            e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 my file.txt\n";
        let release = Release::parse(&text).unwrap();
        assert_eq!(release.files.keys().collect::<Vec<_>>(), ["Packages"]);
        let nameless = Release::parse(&text.replace("Suite: stable\nCodename: trixie\n", "")).unwrap();
        assert!(nameless.is_nameless() && nameless.is_suite("trixie"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", field in "(Date|SHA256|Valid-Until)?") {
            let _ = Release::parse(&text);
            let _ = Release::parse(&TEXT.replace(&field, &text));
        }
    }
}
