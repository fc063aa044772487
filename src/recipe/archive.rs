//! `archive NAME { suite components repository keys }`: one suite of one Debian repository.

use crate::base::span::Span;

/// One suite of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The recipe's name for it; defaults to the suite.
    pub name: String,
    /// `trixie-backports`
    pub suite: String,
    /// `main`, ...
    pub components: Vec<String>,
    /// The repository's name on Debian's snapshot service and the key of the mirror table: `debian`, `debian-security`.
    pub repository: String,
    /// `amd64`
    pub architecture: String,
    /// Paths (in `Recipe::files`) of OpenPGP certificates, one of which must have signed `InRelease`.
    pub keys: Vec<String>,
    /// False accepts an `InRelease` past its `Valid-Until`, with a warning (for frozen mirrors).
    pub check_valid_until: bool,
    /// Like apt's pin: a package goes to the archive with the highest priority, then to the highest version.
    /// 500 unless said; below 500 (backports: 100) only when asked for by name, or when nothing else satisfies.
    pub priority: i32,
    /// Where it was declared.
    pub span: Span,
}
