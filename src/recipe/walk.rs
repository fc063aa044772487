//! What is in a directory that is the source of something: files, links, and directories with nothing in them; of a git working
//! tree, what git sees.
//!
//! Input: a directory, which is anybody's. Output: one call for each entry, by name within each directory. Links are never
//! followed, and what is neither a file, a directory nor a link is an error.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Stat};

use super::git::{GIT, Seen, WorkingTree, WorkingTreeError};
use crate::format::git::ignore::PathKind;
use crate::world::WorldError;
use crate::world::dir::{self, Dir};

/// Entries of a tree; Linux has a hundred thousand.
const MAX_ENTRIES: usize = 2_000_000;
/// Directories within directories: each level holds a descriptor.
const MAX_DEPTH: usize = 256;

/// Something in the directory.
pub struct WalkEntry<'a> {
    /// The directory that it is in.
    pub dir: &'a Dir,
    /// What it is called there.
    pub name: &'a OsStr,
    /// Relative to the root of the walk.
    pub path: &'a [u8],
    /// As it was when it was looked at.
    pub stat: &'a Stat,
    /// What it is.
    pub kind: WalkKind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkKind {
    /// A plain file.
    File,
    /// A symbolic link, whatever it leads to.
    Link,
    /// A directory with nothing in it. git knows none.
    EmptyDirectory,
}

/// Who is told of entries.
pub trait Visitor {
    /// What ends a walk.
    type Error: From<WalkError>;

    /// Before each entry is looked at, also if it turns out to be none that is seen.
    fn next(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// An entry.
    fn found(&mut self, entry: &WalkEntry<'_>) -> Result<(), Self::Error>;
}

/// Why a directory cannot be a source.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Something could not be read.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Its `.git` is none.
    #[error(transparent)]
    WorkingTree(#[from] WorkingTreeError),
    /// Neither a file, a directory nor a link.
    #[error("`{path}` is {noun}; only files, directories and symbolic links can be part of a source")]
    Odd {
        /// Where it is.
        path: String,
        /// What it is: `a named pipe`.
        noun: &'static str,
    },
    /// Too many files.
    #[error("too many files (limit {MAX_ENTRIES})")]
    Entries,
    /// Too many directories within each other.
    #[error("`{0}`: directories are nested too deeply (limit {MAX_DEPTH})")]
    Depth(String),
    /// A repository within the tree.
    #[error(
        "`{0}` is a git working tree of its own\n  help: move it elsewhere, or add its name to `.git/info/exclude`"
    )]
    Nested(String),
}

/// A walk that is about to begin.
pub struct Walk<'a> {
    root: &'a Dir,
    git: Option<WorkingTree>,
}

impl<'a> Walk<'a> {
    /// Reads what git knows of the directory, if it is the root of a working tree.
    pub fn new(root: &'a Dir) -> Result<Walk<'a>, WalkError> {
        Ok(Walk { root, git: WorkingTree::of(root)? })
    }

    /// Whether git decides what is seen.
    pub fn is_working_tree(&self) -> bool {
        self.git.is_some()
    }

    /// Goes through all of it.
    pub fn visit<V: Visitor>(self, visitor: &mut V) -> Result<(), V::Error> {
        let mut walking = Walking { git: self.git, visitor, entries: 0 };
        walking.directory(self.root, &mut Vec::new(), (0, Seen::All)).map(drop)
    }
}

struct Walking<'a, V> {
    git: Option<WorkingTree>,
    visitor: &'a mut V,
    entries: usize,
}

impl<V: Visitor> Walking<'_, V> {
    /// How many names there are. `path` is that of the directory, with a slash at its end unless it is the root's.
    fn directory(&mut self, dir: &Dir, path: &mut Vec<u8>, (depth, around): (usize, Seen)) -> Result<usize, V::Error> {
        if depth == MAX_DEPTH {
            return Err(WalkError::Depth(dir::shown(dir.path())).into());
        }
        if let Some(git) = &mut self.git {
            git.enter(dir, path).map_err(WalkError::from)?;
        }
        let names = dir.names(MAX_ENTRIES - self.entries).map_err(WalkError::from)?.ok_or(WalkError::Entries)?;
        self.entries += names.len();
        for name in &names {
            let length = path.len();
            path.extend_from_slice(name.as_bytes());
            self.entry((dir, name), path, (depth, around))?;
            path.truncate(length);
        }
        if let Some(git) = &mut self.git {
            git.leave();
        }
        Ok(names.len())
    }

    fn entry(
        &mut self,
        (dir, name): (&Dir, &OsStr),
        path: &mut Vec<u8>,
        (depth, around): (usize, Seen),
    ) -> Result<(), V::Error> {
        if self.git.is_some() && name == GIT {
            return Ok(());
        }
        self.visitor.next()?;
        let stat = dir.entry(name).map_err(WalkError::from)?;
        let found = FileType::from_raw_mode(stat.st_mode);
        let kind = if found == FileType::Directory { PathKind::Directory } else { PathKind::File };
        let seen = self.git.as_ref().map_or(Seen::All, |git| git.sees(path, kind, around));
        if seen == Seen::Nothing {
            return Ok(());
        }
        let kind = match found {
            FileType::Directory => {
                let below = dir.directory(name).map_err(WalkError::from)?;
                if self.git.is_some() && below.kind(GIT).is_ok() {
                    return Err(WalkError::Nested(dir::shown(below.path())).into());
                }
                path.push(b'/');
                if self.directory(&below, path, (depth + 1, seen))? > 0 || self.git.is_some() {
                    return Ok(());
                }
                path.pop();
                WalkKind::EmptyDirectory
            }
            FileType::Symlink => WalkKind::Link,
            FileType::RegularFile => WalkKind::File,
            // git sees neither sockets nor pipes.
            _ if self.git.as_ref().is_some_and(|git| !git.tracks(path, kind)) => return Ok(()),
            odd => {
                let path = dir::shown(&dir.path().join(name));
                return Err(WalkError::Odd { path, noun: dir::noun(odd) }.into());
            }
        };
        self.visitor.found(&WalkEntry { dir, name, path, stat: &stat, kind })
    }
}
