//! Where a source's file is published, and the one spelling of it in locks.

use std::fmt;
use std::str::FromStr;

use crate::debian::archive::ArchiveRef;
use crate::debian::packages::is_inside;

/// Where a source's file is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePlace {
    /// At an address of the recipe.
    Url(String),
    /// In an archive of the lock.
    Archive {
        /// Which one, a key of [`super::Lock::archives`].
        archive: ArchiveRef,
        /// Path relative to the repository: `pool/main/...`.
        path: String,
    },
}

/// A text that spells no [`SourcePlace`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a URL nor ARCHIVE:PATH")]
pub struct NotAPlace(pub String);

impl SourcePlace {
    /// Its address, if that may be written down for others: [`public_url`].
    pub fn public_url(&self) -> Option<&str> {
        match self {
            SourcePlace::Url(url) => public_url(url),
            SourcePlace::Archive { .. } => None,
        }
    }

    /// The archive that has it, if one has.
    pub fn archive(&self) -> Option<&ArchiveRef> {
        match self {
            SourcePlace::Url(_) => None,
            SourcePlace::Archive { archive, .. } => Some(archive),
        }
    }
}

/// What of an address may be written down for others: nothing if it has a user's name or password, or characters that addresses
/// do not have. A query often is a token that opens the address, so it is left out, and so is a fragment.
pub fn public_url(url: &str) -> Option<&str> {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    let is_legal = url.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    (is_legal && !authority.contains('@')).then_some(url)
}

/// `https://kernel.example/linux.tar.xz`, `trixie:pool/main/l/linux/linux_6.12.orig.tar.xz`
impl fmt::Display for SourcePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourcePlace::Url(url) => f.write_str(url),
            SourcePlace::Archive { archive, path } => write!(f, "{archive}:{path}"),
        }
    }
}

/// What two slashes follow is a URL, whatever archives are called: a path within a repository begins with a name.
impl FromStr for SourcePlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<SourcePlace, NotAPlace> {
        let wrong = || NotAPlace(text.to_owned());
        let (before, after) = text.split_once(':').ok_or_else(wrong)?;
        if after.starts_with("//") {
            return Ok(SourcePlace::Url(text.to_owned()));
        }
        let archive = before.parse().map_err(|_| wrong())?;
        if is_inside(after) { Ok(SourcePlace::Archive { archive, path: after.to_owned() }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_even_where_an_archive_bears_the_name_of_its_scheme() {
        for text in ["https://mirror.example/l.tar", "https:pool/main/l", "trixie@20261121T021046Z:pool/l_1.dsc"] {
            assert_eq!(text.parse::<SourcePlace>().unwrap().to_string(), text);
        }
        let place = "https:pool/main/l".parse::<SourcePlace>().unwrap();
        assert_eq!(place.archive(), Some(&ArchiveRef::current("https")));
        assert_eq!("https://mirror.example/l".parse::<SourcePlace>().unwrap().archive(), None);
    }

    #[test]
    fn an_address_with_a_password_is_for_nobody_else() {
        let public = |text: &str| text.parse::<SourcePlace>().unwrap().public_url().map(str::to_owned);
        let url = "https://mirror.example/a@b/l.tar";
        assert_eq!(public(url).as_deref(), Some(url));
        for more in ["?token=secret", "#part", "?a@b#c", "?a=<b>"] {
            assert_eq!(public(&format!("{url}{more}")).as_deref(), Some(url), "{more}");
        }
        for text in [
            "https://me:secret@mirror.example/l?x",
            "https://me:secret@mirror.example/l",
            "https://mirror.example/a b",
            "trixie:pool/l",
        ] {
            assert_eq!(public(text), None, "{text}");
        }
    }

    #[test]
    fn what_leads_out_of_a_repository_is_no_place() {
        for text in ["", "trixie", "trixie:", ":pool/x", "trixie:/etc/passwd", "trixie:pool/../../x", "a b:pool/x"] {
            assert_eq!(text.parse::<SourcePlace>(), Err(NotAPlace(text.to_owned())));
        }
    }
}
