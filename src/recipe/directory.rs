//! A directory of the host as one canonical archive: what a recipe brings along as a tree.
//!
//! Input: a directory. Output: a tar whose bytes follow from names, contents, links and modes alone: entries in the order of
//! their paths' bytes, without owners, times, hard links or extended attributes. Its digest names the tree. Names are bytes,
//! links are never followed, and what is neither a file, a directory nor a link is an error: leaving it out would drop
//! something that is there.
//!
//! Memory holds one directory's names for each level, however many files there are. What git sees of a working tree is packed as
//! a directory is that has nothing else: whoever has those files without `.git` has the same archive.

mod seen;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

use super::git::GIT;
use super::walk::WalkError;
use crate::format::tar::{TarEntry, TarEntryKind, TarError, TarPath, TarWriter};
use crate::world::contents::Reading;
use crate::world::dir::{self, Dir};
use crate::world::plain::Plain;
use crate::world::{WorldError, fs};

/// Entries of a tree.
const MAX_ENTRIES: usize = 2_000_000;
/// Directories within directories: each level holds a descriptor.
const MAX_DEPTH: usize = 256;

/// What becomes of permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modes {
    /// As Git keeps them: 0755 for directories and for files that their owner may execute, else 0644. A umask changes nothing.
    Executable,
    /// All of them, with set-user-id, set-group-id and sticky bits.
    Exact,
}

/// How much of a directory is part of the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeView {
    /// All of it.
    Whole,
    /// What git sees of a working tree.
    Git,
}

/// A directory, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Without links in it.
    pub path: PathBuf,
    /// What becomes of permission bits.
    pub modes: Modes,
    /// How much of it is read.
    pub view: TreeView,
    /// The names at its top.
    pub top: Vec<OsString>,
}

/// Why a directory cannot be read as a tree.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Something could not be read.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Neither a file, a directory nor a link.
    #[error("`{path}` is {noun}, which cannot be part of a tree")]
    Odd {
        /// Where it is.
        path: String,
        /// What it is: `a named pipe`.
        noun: &'static str,
    },
    /// Somebody wrote there.
    #[error("`{0}` changed while it was read")]
    Changed(String),
    /// Too many files.
    #[error("more than {MAX_ENTRIES} files")]
    Entries,
    /// Too many directories within each other.
    #[error("`{0}`: directories are nested more than {MAX_DEPTH} deep")]
    Depth(String),
    /// A working tree that nobody can read as git does.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A working tree without files.
    #[error("git sees no files in it: ignore files may leave out all of them")]
    Empty,
    /// A name or a target that an archive cannot hold.
    #[error(transparent)]
    Archive(#[from] TarError),
}

impl Directory {
    /// Looks at a directory that is open.
    pub fn of(dir: &Dir, modes: Modes) -> Result<Directory, DirectoryError> {
        let top = dir.names(MAX_ENTRIES)?.ok_or(DirectoryError::Entries)?;
        Ok(Directory { path: dir.path().to_owned(), modes, view: TreeView::Whole, top })
    }

    /// The same of a source: of a working tree, git decides what is in it.
    pub fn of_source(dir: &Dir, modes: Modes) -> Result<Directory, DirectoryError> {
        let whole = Directory::of(dir, modes)?;
        let view = if whole.is_working_tree() { TreeView::Git } else { TreeView::Whole };
        Ok(Directory { view, ..whole })
    }

    /// Whether git has something to say about it.
    pub fn is_working_tree(&self) -> bool {
        self.top.iter().any(|name| name == GIT)
    }

    /// Writes the archive.
    pub fn pack(&self, out: &mut dyn Write) -> Result<(), DirectoryError> {
        let root = Dir::open(&self.path)?;
        let writer = TarWriter::new(io::BufWriter::with_capacity(1 << 20, out));
        let mut packing = Packing { writer, modes: self.modes, entries: 0 };
        packing.append(TarPath::root(), TarEntryKind::Directory, &root.stat()?)?;
        match self.view {
            TreeView::Whole => packing.directory(&root, &TarPath::root(), 0)?,
            TreeView::Git => seen::pack(&mut packing, &root)?,
        }
        packing.writer.finish()?.flush().map_err(TarError::from)?;
        Ok(())
    }
}

struct Packing<W: Write> {
    writer: TarWriter<W>,
    modes: Modes,
    entries: usize,
}

/// In the order of an archive, what is in a directory does not follow the directory at once: `a`, `a-b`, `a/c`.
enum Part {
    Entry(OsString, Stat),
    Below(OsString, Stat),
}

impl<W: Write> Packing<W> {
    fn directory(&mut self, dir: &Dir, path: &TarPath, depth: usize) -> Result<(), DirectoryError> {
        if depth == MAX_DEPTH {
            return Err(DirectoryError::Depth(dir::shown(dir.path())));
        }
        for part in self.parts(dir)? {
            match part {
                Part::Entry(name, stat) => self.entry(dir, path.join(name.as_bytes())?, (&name, &stat))?,
                Part::Below(name, stat) => {
                    let below = dir.directory(&name)?;
                    let now = below.stat()?;
                    if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
                        return Err(DirectoryError::Changed(dir::shown(below.path())));
                    }
                    self.directory(&below, &path.join(name.as_bytes())?, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn parts(&mut self, dir: &Dir) -> Result<Vec<Part>, DirectoryError> {
        let names = dir.names(MAX_ENTRIES - self.entries)?.ok_or(DirectoryError::Entries)?;
        self.entries += names.len();
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            let stat = dir.entry(&name)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let key = [name.as_bytes(), b"/"].concat();
                parts.push((key, Part::Below(name.clone(), stat)));
            }
            parts.push((name.as_bytes().to_vec(), Part::Entry(name, stat)));
        }
        parts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }

    fn entry(&mut self, dir: &Dir, path: TarPath, (name, stat): (&OsStr, &Stat)) -> Result<(), DirectoryError> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.append(path, TarEntryKind::Directory, stat),
            FileType::Symlink => {
                let target = dir.link(name)?;
                self.append(path, TarEntryKind::Symlink(target.as_bytes().to_vec()), stat)
            }
            FileType::RegularFile => self.file(dir, path, (name, stat)),
            odd => Err(DirectoryError::Odd { path: dir::shown(&dir.path().join(name)), noun: dir::noun(odd) }),
        }
    }

    fn append(&mut self, path: TarPath, kind: TarEntryKind, stat: &Stat) -> Result<(), DirectoryError> {
        let mut entry = TarEntry::directory(path, self.mode(&kind, stat), 0);
        entry.kind = kind;
        Ok(self.writer.append_empty(&entry)?)
    }

    fn file(&mut self, dir: &Dir, path: TarPath, (name, stat): (&OsStr, &Stat)) -> Result<(), DirectoryError> {
        let place = dir.path().join(name);
        let changed = || DirectoryError::Changed(dir::shown(&place));
        let held = dir.look(name)?.filter(|held| held.is(stat)).ok_or_else(changed)?;
        let (file, size) = (held.open()?, held.stat().st_size as u64);
        let plain = Plain { file, size };
        let mut content = fs::context("read", &place, Reading::start(&plain))?;
        let entry = TarEntry::file(path, self.mode(&TarEntryKind::File, held.stat()), 0, size);
        match self.writer.append(&entry, &mut content) {
            // The archive's own words for it are about the archive.
            Err(_) if content.changed() => Err(changed()),
            Err(TarError::Io(error)) => Ok(fs::context("read", &place, Err(error))?),
            result => Ok(result?),
        }
    }

    fn mode(&self, kind: &TarEntryKind, stat: &Stat) -> u32 {
        match (kind, self.modes) {
            (TarEntryKind::Symlink(_), _) => 0o777,
            (_, Modes::Exact) => stat.st_mode & 0o7777,
            (TarEntryKind::File, Modes::Executable) if stat.st_mode & 0o100 == 0 => 0o644,
            (_, Modes::Executable) => 0o755,
        }
    }
}
