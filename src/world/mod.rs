//! The only door to files, environment, clock and network.
//!
//! Input: what to touch. Output: bytes, or a [`WorldError`] that names the path or URL.
//! It must not know any kiln noun. Layers that decide something take a [`World`], so that tests can hand them
//! [`memory::MemoryWorld`]; layers that move bytes (store, exec) use the functions of [`fs`].

pub mod agent;
pub mod contents;
mod context;
pub mod dir;
pub mod download;
#[cfg(test)]
pub(crate) mod eventually;
mod exchange;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it is a file of the tests")]
#[path = "../../tests/suite/executable.rs"]
pub(crate) mod executable;
mod fill;
pub mod fs;
mod http;
mod keeper;
pub mod meminfo;
pub mod memory;
pub mod noted;
pub mod outlet;
pub mod output;
pub mod passphrase;
pub mod patience;
pub mod place;
pub mod plain;
pub mod real;
mod refusal;
mod remove;
mod socket;
pub mod sparse;
mod stream;
pub mod unfinished;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{Foreign, Timestamp};

pub use exchange::{HttpAnswer, HttpExchange, HttpMethod, NamedBy, is_same_server, joined_url};
pub use keeper::KeeperAnswer;
pub use output::OutputDirectory;
pub use real::RealWorld;

/// What a command may ask of the machine it runs on.
pub trait World: Sync {
    /// A whole file, refused when larger than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError>;
    /// Hands a file on piece by piece; how many bytes it has. An error when it changes meanwhile.
    fn stream(&self, path: &Path, out: &mut dyn Write) -> Result<u64, WorldError>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> bool;
    /// The path without links and `..`; an error when nothing is there.
    fn canonical(&self, path: &Path) -> Result<PathBuf, WorldError>;
    /// Opens a directory, which is not a link itself.
    fn directory(&self, path: &Path) -> Result<dir::Dir, WorldError>;
    /// The entries of a directory, sorted.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, WorldError>;
    /// An environment variable; `None` when unset, empty or not UTF-8.
    fn env(&self, name: &str) -> Option<String>;
    /// The wall clock: for expiry checks and progress, never for bits.
    fn now(&self) -> Timestamp;
    /// Lets time pass.
    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
    /// Asks a program that keeps logins for that of a server. A world of pages has no programs.
    fn keeper(&self, _program: &str, _server: &str) -> std::io::Result<KeeperAnswer> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    /// The user named these hosts: a recipe may name them, too, wherever they are.
    fn trust(&self, hosts: &mut dyn Iterator<Item = String>);
    /// Starts an HTTP GET.
    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError>;
    /// The same of a server that is of use only if its answer begins soon.
    fn get_within(&self, request: &HttpRequest<'_>, _time: Duration) -> Result<Response, WorldError> {
        self.get(request)
    }
    /// One HTTP request of any method, whose answer is small; redirects are the caller's to follow. It ends early when
    /// `stop` says so. A world of pages to read refuses.
    fn exchange(&self, exchange: &HttpExchange<'_>, _: &(dyn Fn() -> bool + Sync)) -> Result<HttpAnswer, WorldError> {
        let reason = "there is nothing but pages".to_owned();
        Err(WorldError::Refused { url: exchange.url.to_owned(), reason })
    }
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    pub url: &'a str,
    /// The first byte that is wanted.
    pub from: u64,
    /// Whose word the address is.
    pub stated: Stated,
    /// What the server is shown to let kiln in (`Authorization`). Where it redirects to another server, that one is not.
    pub authorization: Option<&'a str>,
}

/// Who says that an address is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// The user, with a mirror of theirs: it may be anywhere.
    User,
    /// A recipe, or the lock of one, which may come from anybody: its address must say by itself when it means a place
    /// that is not on the internet.
    Recipe,
}

/// The start of an answer to a GET.
pub struct Response {
    /// The first byte of the body within the whole file: `from`, or 0 when the server ignored the range.
    pub start: u64,
    /// Bytes in the body, when the server says so.
    pub length: Option<u64>,
    /// The body; the reader bounds it, since the server's word is not proof.
    pub body: Box<dyn Read + Send>,
}

/// Something outside kiln did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A file operation failed.
    #[error("cannot {verb} {path}: {source}", path = Foreign(path.display()))]
    File {
        /// `read`, `write`, `rename`, ...
        verb: &'static str,
        /// What it was tried on.
        path: PathBuf,
        source: std::io::Error,
    },
    /// A link stands on the way to where kiln writes.
    #[error("{path} is a symbolic link, which kiln does not write through: remove it, or pass the path that it points to", path = Foreign(path.display()))]
    Link { path: PathBuf },
    /// A file was written while it was read: what was read is neither the file as it was nor as it is.
    #[error("{path} changed while it was read", path = Foreign(path.display()))]
    Changed { path: PathBuf },
    /// A file is larger than anything of its kind should be.
    #[error("{path} is larger than {limit} bytes", path = Foreign(path.display()))]
    TooLarge { path: PathBuf, limit: u64 },
    /// A server refused, or could not be reached.
    #[error("cannot fetch {url}: {reason}", url = Foreign(url), reason = Foreign(reason))]
    Fetch {
        /// What was asked for.
        url: String,
        /// The server's or the network's words.
        reason: String,
        /// The server answered that there is no such file (404, 410).
        missing: bool,
    },
    /// A server has too much to do, or is asked too much (429, 502, 503, 504).
    #[error("cannot fetch {url}: {reason}", url = Foreign(url), reason = Foreign(reason))]
    Busy {
        /// What was asked for.
        url: String,
        reason: String,
        /// It counts requests, and there were too many (429).
        throttled: bool,
        /// How long it asks to be left alone, if it says so.
        after: Option<Duration>,
    },
    /// An address leads to where kiln does not go.
    #[error("cannot fetch {url}: {reason}", url = Foreign(url), reason = Foreign(reason))]
    Refused {
        /// What was asked for.
        url: String,
        reason: String,
    },
}

impl WorldError {
    /// Whether something else stands at a path than what was named it for: a pipe in the place of a file, a file in that of a directory.
    pub fn is_wrong_kind(&self) -> bool {
        use std::io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory};
        matches!(self, WorldError::File { source, .. } if matches!(source.kind(), InvalidInput | IsADirectory | NotADirectory))
    }

    /// Whether the system does not let this user do it.
    pub fn is_denied(&self) -> bool {
        matches!(self, WorldError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
    }
}
