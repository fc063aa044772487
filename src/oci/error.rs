//! Why an artifact was not read or written.

use std::path::PathBuf;

use crate::base::{Digest, Foreign};
use crate::world::WorldError;

/// An artifact was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not a reference.
    #[error("`{}` is not a reference to an artifact: {problem}", Foreign(text))]
    Reference { text: String, problem: &'static str },
    /// There is no such artifact.
    #[error("{}: no such artifact{}", Foreign(what), others(tags))]
    NoArtifact {
        /// What was asked for.
        what: String,
        /// Tags that are there, as far as that is known.
        tags: Vec<String>,
    },
    /// A file, or the network, failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A server refused.
    #[error("{method} {}: http status: {status}{}", Foreign(url), said(words))]
    Status {
        method: &'static str,
        url: String,
        status: u16,
        /// What it said besides.
        words: String,
    },
    /// A server asks for something that kiln does not do.
    #[error("{}: {problem}", Foreign(url))]
    Server { url: String, problem: String },
    /// A manifest, an index or a layout that is none, or none of kiln's.
    #[error("{}: {problem}", Foreign(what))]
    Invalid { what: String, problem: String },
    /// Bytes that are not those of their descriptor.
    #[error(
        "{}: its {found_size} bytes have digest {found}, expected {expected} ({expected_size} bytes)",
        Foreign(what)
    )]
    Wrong { what: String, expected: Digest, expected_size: u64, found: Digest, found_size: u64 },
    /// A directory that no artifact is written to.
    #[error("{}: neither an OCI image layout nor an empty directory", Foreign(.0.display()))]
    NoLayout(PathBuf),
    /// A directory that holds no artifacts.
    #[error("{}: not an OCI image layout: it has no file `oci-layout`", Foreign(.0.display()))]
    NotLayout(PathBuf),
    /// The configuration of docker cannot be read.
    #[error("{}: {problem}", Foreign(file.display()))]
    Configuration { file: PathBuf, problem: String },
    /// A registry lets nobody in without credentials.
    #[error("{} asks for a login{}", Foreign(registry), hint(why))]
    Login {
        registry: String,
        /// Why there are no credentials.
        why: String,
    },
    /// Servers did not give a file.
    #[error("cannot fetch {}\n{}", Foreign(what), Foreign(answers))]
    Fetch { what: String, answers: String },
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", Foreign(words)) }
}

fn hint(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!("\n  help: {}", Foreign(why)) }
}

impl OciError {
    /// Whether what was read is not what it should be; otherwise a file, the network or the host failed.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, OciError::Invalid { .. } | OciError::Wrong { .. })
    }

    /// Whether it may be due to one artifact alone, and not to the host or the registry as a whole.
    pub fn is_of_one(&self) -> bool {
        match self {
            OciError::Status { status, .. } => *status < 500 && *status != 429,
            OciError::World(error) => !matches!(error, WorldError::File { .. }),
            OciError::NoArtifact { .. } | OciError::Server { .. } | OciError::Fetch { .. } => true,
            other => other.is_mismatch(),
        }
    }

    /// Whether kiln was asked for something that there is not.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            OciError::Reference { .. }
                | OciError::NoLayout(_)
                | OciError::NotLayout(_)
                | OciError::Configuration { .. }
        )
    }
}

/// Tags that are named.
const MAX_TAGS: usize = 8;

fn others(tags: &[String]) -> String {
    let named: Vec<String> = tags.iter().take(MAX_TAGS).map(|tag| Foreign(tag).to_string()).collect();
    match tags.len() {
        0 => String::new(),
        count if count > MAX_TAGS => format!("\n  help: its {count} tags begin with {}", named.join(", ")),
        _ => format!("\n  help: its tags: {}", named.join(", ")),
    }
}
