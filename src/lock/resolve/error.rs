//! What can stop a resolution. Each names what was touched and the way out.

use crate::base::{Foreign, Timestamp};
use crate::debian::keyring::KeyError;
use crate::debian::mirror::MirrorError;
use crate::debian::packages::IndexError;
use crate::debian::release::ReleaseError;
use crate::debian::solve::Unsolvable;

/// A place that was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The URL.
    pub url: String,
    /// Its answer.
    pub reason: String,
}

/// A set without a solution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package set `{set}`: {source}")]
pub struct UnsolvedSet {
    /// The set.
    pub set: String,
    /// Why.
    pub source: Unsolvable,
}

/// No lock could be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The mirror configuration is wrong.
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    /// Nobody has a file.
    #[error(
        "cannot fetch {what}; tried:{}\n  help: set a mirror that has it: KILN_MIRROR=\"REPOSITORY=URL\"",
        list(tried)
    )]
    Unreachable {
        /// What was wanted.
        what: String,
        /// Every place asked.
        tried: Vec<Tried>,
    },
    /// The recipe lists no usable key.
    #[error("archive `{archive}`: {problem}\n  help: list the archive's OpenPGP certificates under `keys`")]
    Keys {
        /// The archive.
        archive: String,
        /// What is wrong.
        problem: String,
    },
    /// The signature does not count.
    #[error(
        "archive `{archive}`: {url}: {source}\n  help: if the archive changed its key, add the new certificate to the archive's `keys` after checking its fingerprint; otherwise use another mirror"
    )]
    Signature {
        /// The archive.
        archive: String,
        /// The file.
        url: String,
        /// Why not.
        source: KeyError,
    },
    /// The signed text makes no sense.
    #[error("archive `{archive}`: {url}: {source}")]
    Release {
        /// The archive.
        archive: String,
        /// The file.
        url: String,
        /// Why not.
        source: ReleaseError,
    },
    /// The file describes another suite.
    #[error("archive `{archive}`: {url} is for suite {found}, not {asked}", found = Foreign(found))]
    WrongSuite {
        /// The archive.
        archive: String,
        /// The file.
        url: String,
        /// The suite of the recipe.
        asked: String,
        /// What the file says it is.
        found: String,
    },
    /// Past its `Valid-Until`.
    #[error(
        "archive `{archive}`: {url} expired on {until} (now: {now}): the mirror is stale, or newer packages are being withheld\n  help: use another mirror; for an archive that is frozen on purpose say `check-valid-until = false` in the recipe"
    )]
    Expired {
        /// The archive.
        archive: String,
        /// The file.
        url: String,
        /// Its `Valid-Until`.
        until: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// Older than what is locked.
    #[error(
        "archive `{archive}`: {url} is dated {offered}, but the lock was made from one dated {locked}: the mirror is behind, or was rolled back\n  help: use another mirror, or wait; to go back on purpose, remove the lock"
    )]
    RolledBack {
        /// The archive.
        archive: String,
        /// The file.
        url: String,
        /// `Date` of the locked one.
        locked: Timestamp,
        /// `Date` of the offered one.
        offered: Timestamp,
    },
    /// The suite has no such component or architecture.
    #[error(
        "archive `{archive}` has no {index}; its components are: {components}\n  help: a repository without `dists` is flat: its `suite` is the directory with a `/` at the end, `./` for its own",
        components = Foreign(components)
    )]
    NoIndex {
        /// The archive.
        archive: String,
        /// What was looked for.
        index: String,
        /// What there is.
        components: String,
    },
    /// An index is signed, and unusable all the same.
    #[error("archive `{archive}`: {path}: {reason}", path = Foreign(path), reason = Foreign(reason))]
    Index {
        /// The archive.
        archive: String,
        /// Path relative to the suite's directory.
        path: String,
        /// Why.
        reason: String,
    },
    /// Sets have no solution.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unsolvable(Vec<UnsolvedSet>),
    /// Two sets of one name.
    #[error("duplicate package set `{0}`\n  help: rename one of the two")]
    SetTwice(String),
    /// `--update NAME` of a package that is in no set.
    #[error("cannot update {name}: it is not in any set of the lock{}", kernel_of(name, kernels))]
    NotLocked {
        /// What was named.
        name: String,
        /// The kernels of the recipe, whose sources are updated under their names.
        kernels: Vec<String>,
    },
    /// A source is not what the recipe says.
    #[error("`{owner}`: {problem}", problem = Foreign(problem))]
    Source {
        /// The kernel or image.
        owner: String,
        /// What is wrong.
        problem: String,
    },
}

/// The name under which a source is updated.
fn kernel_of(name: &str, kernels: &[String]) -> String {
    match name.strip_suffix("-source").filter(|kernel| kernels.iter().any(|known| known == kernel)) {
        Some(kernel) => {
            format!("\n  help: the source of a kernel is updated under the name of the kernel: `--update {kernel}`")
        }
        None => String::new(),
    }
}

fn list(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return " no mirror of this repository is known".to_owned();
    }
    tried.iter().map(|Tried { url, reason }| format!("\n  {}: {}", Foreign(url), Foreign(reason))).collect()
}

/// The words for an index that does not parse.
pub(super) fn index(archive: &str, path: &str, error: &IndexError) -> ResolveError {
    ResolveError::Index { archive: archive.to_owned(), path: path.to_owned(), reason: error.to_string() }
}
