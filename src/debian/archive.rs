//! Which state of which archive a package or a source comes from.
//!
//! Input: names that a recipe gives its archives. Output: [`ArchiveRef`], and its one spelling in locks.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::base::Timestamp;
use crate::syntax::lexeme::is_name;

/// An archive of a recipe, as it is when the lock is made or as it once was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRef {
    /// Its name in the recipe.
    pub name: String,
    /// When it was in the state that is meant; nothing for the state that the lock was made from.
    pub moment: Option<Timestamp>,
}

/// A text that spells no [`ArchiveRef`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the name of an archive nor NAME@TIMESTAMP")]
pub struct NotAnArchive(pub String);

impl ArchiveRef {
    /// The state of an archive that the lock is made from.
    pub fn current(name: impl Into<String>) -> ArchiveRef {
        ArchiveRef { name: name.into(), moment: None }
    }

    /// The state of an archive at an earlier moment.
    pub fn earlier(name: impl Into<String>, moment: Timestamp) -> ArchiveRef {
        ArchiveRef { name: name.into(), moment: Some(moment) }
    }

    /// What stands where the name of an archive does: no archive can bear it.
    pub const LOCAL: &'static str = "file:";

    /// The files that a recipe brings along, in the place of an archive.
    pub fn local() -> ArchiveRef {
        ArchiveRef::current(ArchiveRef::LOCAL)
    }

    /// Whether this is no archive, but the files that a recipe brings along.
    pub fn is_local(&self) -> bool {
        self.name == ArchiveRef::LOCAL
    }

    /// Whether this is the state that the lock is made from.
    pub fn is_current(&self) -> bool {
        self.moment.is_none()
    }

    /// Whether this is that state of the archive of this name.
    pub fn is_current_of(&self, name: &str) -> bool {
        self.is_current() && self.name == name
    }
}

/// `trixie`, `trixie@20261121T021046Z`.
impl fmt::Display for ArchiveRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.moment {
            Some(moment) => write!(f, "@{}", moment.snapshot()),
            None => Ok(()),
        }
    }
}

/// The names that the recipe language knows, so that what follows a name in a longer text never belongs to it.
impl FromStr for ArchiveRef {
    type Err = NotAnArchive;

    fn from_str(text: &str) -> Result<ArchiveRef, NotAnArchive> {
        let wrong = || NotAnArchive(text.to_owned());
        let (name, moment) = match text.split_once('@') {
            Some((name, moment)) => (name, Some(Timestamp::parse_snapshot(moment).ok_or_else(wrong)?)),
            None => (text, None),
        };
        if is_name(name) { Ok(ArchiveRef { name: name.to_owned(), moment }) } else { Err(wrong()) }
    }
}

/// The order of the spellings, in which locks list archives.
impl Ord for ArchiveRef {
    fn cmp(&self, other: &ArchiveRef) -> Ordering {
        let begins = self.name.starts_with(&other.name) || other.name.starts_with(&self.name);
        if begins && (self.moment.is_some() || other.moment.is_some()) {
            return self.to_string().cmp(&other.to_string());
        }
        // Names that differ in a character decide by themselves.
        self.name.cmp(&other.name)
    }
}

impl PartialOrd for ArchiveRef {
    fn partial_cmp(&self, other: &ArchiveRef) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_reads_back_and_others_do_not_read() {
        for text in ["trixie", "trixie-backports", "trixie@20261121T021046Z", "https"] {
            assert_eq!(text.parse::<ArchiveRef>().unwrap().to_string(), text);
        }
        for text in ["", "@20261121T021046Z", "trixie@", "trixie@now", "a:b", "a b", "a@b@c", "\u{1b}[1m", "../a"] {
            assert_eq!(text.parse::<ArchiveRef>(), Err(NotAnArchive(text.to_owned())));
        }
    }

    #[test]
    fn states_of_an_archive_stand_where_their_spelling_stands() {
        let mut texts = [
            "trixie@20261121T021046Z",
            "trixie",
            "trixie-security",
            "trixie@20250101T000000Z",
            "trixie_own",
            "trixie-security@20250101T000000Z",
            "sid@20250101T000000Z",
            "trixieA@20250101T000000Z",
        ];
        let mut archives: Vec<ArchiveRef> = texts.iter().map(|text| text.parse().unwrap()).collect();
        archives.sort();
        texts.sort_unstable();
        assert_eq!(archives.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
    }
}
