//! What git sees of a directory: tracked files, and new ones that no ignore file leaves out. git itself takes no part.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::format::git::ignore::{self, IgnorePatterns, PathKind, Verdict};
use crate::format::git::index::{self, GitIndexError, TrackedPaths};
use crate::world::dir::Dir;
use crate::world::plain::{FileKind, Odd};
use crate::world::{WorldError, fs};

/// What makes a directory a working tree: a directory of its own, or a file that names one.
pub const GIT: &str = ".git";

/// Bytes of a `.git` that is a file, and of `commondir`.
const SMALL: u64 = 16 << 10;

/// Why nobody can say what git sees.
#[derive(Debug, thiserror::Error)]
pub enum WorkingTreeError {
    /// Something could not be read.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Its `.git` leads nowhere.
    #[error("its `.git` cannot be read: {0}")]
    Git(String),
    /// Its index is none that kiln knows.
    #[error(transparent)]
    Index(#[from] GitIndexError),
}

/// What git sees of a directory or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    All,
    /// An ignore file leaves it out, and only what is tracked is seen.
    Tracked,
    Nothing,
}

/// A working tree: what is tracked, and what ignore files say on the way to where the walk is.
#[derive(Debug)]
pub(super) struct WorkingTree {
    tracked: TrackedPaths,
    /// `.git/info/exclude`
    exclude: IgnorePatterns,
    /// Of the directories from the root to the one that is walked, with the length of each one's path and a slash.
    ignores: Vec<(usize, IgnorePatterns)>,
}

impl WorkingTree {
    /// The working tree whose root this is; `None` for a directory without `.git`.
    pub(super) fn of(root: &Dir) -> Result<Option<WorkingTree>, WorkingTreeError> {
        let (own, common) = match root.kind(GIT) {
            Err(Odd::Missing) => return Ok(None),
            Ok(FileKind::Directory) => (root.path().join(GIT), root.path().join(GIT)),
            Ok(FileKind::File) => linked(root)?,
            Ok(other) => return Err(WorkingTreeError::Git(format!("it is {}", other.words()))),
            Err(error) => return Err(WorkingTreeError::Git(error.to_string())),
        };
        // A repository that was moved away has files that git alone knows: without it, what is seen is not what git sees.
        let tracked = match small(&opened(&own)?, "index", index::MAX_BYTES)? {
            Some(bytes) => TrackedPaths::read(&bytes)?,
            None => TrackedPaths::default(),
        };
        let exclude = match opened(&common)?.kind("info") {
            Ok(FileKind::Directory) => small(&opened(&common.join("info"))?, "exclude", ignore::MAX_BYTES)?,
            _ => None,
        };
        let exclude = exclude.unwrap_or_default();
        Ok(Some(WorkingTree { tracked, exclude: IgnorePatterns::read(&exclude), ignores: Vec::new() }))
    }

    /// Goes into a directory, whose path has a slash at its end unless it is the root's.
    pub(super) fn enter(&mut self, dir: &Dir, path: &[u8]) -> Result<(), WorkingTreeError> {
        let text = match dir.plain(".gitignore") {
            // git does not read one that is a link.
            Err(Odd::Missing | Odd::Is(_)) => Vec::new(),
            Err(error) => return Err(WorkingTreeError::Git(format!("a .gitignore: {error}"))),
            Ok(plain) => fs::context("read", &dir.path().join(".gitignore"), plain.read(ignore::MAX_BYTES))?,
        };
        if text.len() as u64 > ignore::MAX_BYTES {
            let path = dir.path().join(".gitignore");
            return Err(WorldError::TooLarge { path, limit: ignore::MAX_BYTES }.into());
        }
        self.ignores.push((path.len(), IgnorePatterns::read(&text)));
        Ok(())
    }

    /// Leaves the directory that was entered last.
    pub(super) fn leave(&mut self) {
        self.ignores.pop();
    }

    /// What git sees of a path in a directory of which it sees this.
    pub(super) fn sees(&self, path: &[u8], kind: PathKind, around: Seen) -> Seen {
        match around {
            Seen::All if !self.ignores(path, kind) => Seen::All,
            _ if self.tracks(path, kind) => Seen::Tracked,
            _ => Seen::Nothing,
        }
    }

    /// Whether the index has it, or something in it.
    pub(super) fn tracks(&self, path: &[u8], kind: PathKind) -> bool {
        match kind {
            PathKind::Directory => self.tracked.has_below(path),
            PathKind::File => self.tracked.has(path),
        }
    }

    /// Whether an ignore file leaves it out.
    fn ignores(&self, path: &[u8], kind: PathKind) -> bool {
        let of_directories =
            || self.ignores.iter().rev().map(|(from, patterns)| patterns.verdict(&path[*from..], kind));
        let verdict = of_directories().find_map(|verdict| verdict).or_else(|| self.exclude.verdict(path, kind));
        verdict == Some(Verdict::Ignored)
    }
}

/// The two directories of a linked working tree: its own, and that of the repository.
fn linked(root: &Dir) -> Result<(PathBuf, PathBuf), WorkingTreeError> {
    let wrong = || WorkingTreeError::Git("it is no `gitdir: PATH`".to_owned());
    let text = small(root, GIT, SMALL)?.ok_or_else(wrong)?;
    let own = root.path().join(line(text.strip_prefix(b"gitdir: ").ok_or_else(wrong)?));
    let common = match small(&opened(&own)?, "commondir", SMALL)? {
        Some(text) => own.join(line(&text)),
        None => own.clone(),
    };
    Ok((own, common))
}

fn line(text: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(OsStr::from_bytes(text.strip_suffix(b"\n").unwrap_or(text)))
}

/// A directory of the repository, which has to be there.
fn opened(directory: &Path) -> Result<Dir, WorkingTreeError> {
    Dir::open_named(directory).map_err(|error| WorkingTreeError::Git(error.to_string()))
}

/// A plain file of a directory, if it is there.
fn small(directory: &Dir, name: &str, limit: u64) -> Result<Option<Vec<u8>>, WorkingTreeError> {
    let plain = match directory.plain(name) {
        Err(Odd::Missing) => return Ok(None),
        Err(error) => return Err(WorkingTreeError::Git(format!("{name}: {error}"))),
        Ok(plain) => plain,
    };
    let path = directory.path().join(name);
    let bytes = fs::context("read", &path, plain.read(limit))?;
    if bytes.len() as u64 > limit {
        return Err(WorldError::TooLarge { path, limit }.into());
    }
    Ok(Some(bytes))
}
