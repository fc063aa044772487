//! Where the recipes of a bundle go: a new directory that appears whole or not at all.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::RECIPES;
use super::entries::Entries;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath};
use crate::lock::Lock;
use crate::ops::error::{BundleError, EntryProblem, OpsError};
use crate::world::dir::Dir;
use crate::world::fs;

/// A directory under a name that nobody can guess, until it is finished.
pub(in crate::ops) struct NewDirectory {
    /// Where it is going to be.
    path: PathBuf,
    /// Where it is.
    pub(in crate::ops) stage: PathBuf,
    /// The permission bits that it is going to have.
    mode: u32,
    finished: bool,
}

/// Permission bits of a new directory, whatever the umask: what was closed to others in a bundle stays so.
const PRIVATE: u32 = 0o700;

impl NewDirectory {
    /// Begins a directory at a path where nothing is, or an empty directory.
    pub(in crate::ops) fn begin(path: &Path) -> Result<NewDirectory, OpsError> {
        let name = path.file_name().ok_or_else(|| BundleError::NoName(path.to_owned()))?;
        let mode = match path.symlink_metadata() {
            Ok(_) => empty(path).ok_or_else(|| BundleError::Taken(path.to_owned()))?,
            Err(_) => PRIVATE,
        };
        NewDirectory::make(path, name, mode)
    }

    /// Begins one beside a directory that is there and stays.
    pub(in crate::ops) fn beside(path: &Path) -> Result<NewDirectory, OpsError> {
        let name = path.file_name().ok_or_else(|| BundleError::NoName(path.to_owned()))?;
        NewDirectory::make(path, name, PRIVATE)
    }

    fn make(path: &Path, name: &OsStr, mode: u32) -> Result<NewDirectory, OpsError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let parent = fs::context("resolve", parent, parent.canonicalize())?;
        let stage = parent.join(format!(".kiln-{}.tmp", fs::random()?));
        Dir::make(&stage, PRIVATE)?;
        Ok(NewDirectory { path: parent.join(name), stage, mode, finished: false })
    }

    /// Gives it its name.
    pub(in crate::ops) fn finish(mut self) -> Result<(), OpsError> {
        Dir::open(&self.stage)?.set_mode(self.mode)?;
        let has_come = || self.path.symlink_metadata().is_ok() && empty(&self.path).is_none();
        fs::rename(&self.stage, &self.path).map_err(|error| match has_come() {
            true => BundleError::Made(self.path.clone()).into(),
            false => OpsError::from(error),
        })?;
        self.finished = true;
        Ok(())
    }
}

/// The permission bits of an empty directory; `None` if something else stands there.
fn empty(path: &Path) -> Option<u32> {
    let dir = Dir::open(path).ok()?;
    dir.names(0).ok()??;
    Some(dir.stat().ok()?.st_mode & 0o777)
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.finished {
            // The error that matters is the first one.
            let _ = fs::remove_tree(&self.stage);
        }
    }
}

/// The recipes as they are unpacked: what the lock does not name is refused before it is written.
pub(super) struct Recipes<'a> {
    dir: Dir,
    lock: &'a Lock,
    /// Directories that the recipe copies whole, and those of them whose modes count.
    trees: Vec<TarPath>,
    exact: Vec<TarPath>,
    /// Modes to be set in the end, deepest last: they may forbid to write.
    modes: Vec<(PathBuf, u32)>,
}

impl<'a> Recipes<'a> {
    pub(super) fn new(stage: &Path, lock: &'a Lock) -> Result<Recipes<'a>, OpsError> {
        let roots = |end: &str| -> Vec<TarPath> {
            let keys = lock.recipe.files.keys().filter_map(|key| key.strip_suffix(end));
            keys.filter_map(|key| TarPath::new(format!("{RECIPES}/{key}")).ok()).collect()
        };
        let exact = roots("//exact");
        let trees = roots("/").into_iter().chain(exact.iter().cloned()).collect();
        Ok(Recipes { dir: Dir::open(stage)?, lock, trees, exact, modes: Vec::new() })
    }

    /// Unpacks every entry below `recipes/`.
    pub(super) fn unpack(mut self, entries: &mut Entries) -> Result<(), OpsError> {
        while entries.peek()?.is_some_and(|entry| entry.path.parts().next() == Some(RECIPES.as_bytes())) {
            let Some(entry) = entries.take() else { break };
            self.allowed(&entry).map_err(|problem| entries.refuse(&entry.path, problem))?;
            self.put(entries, &entry)?;
        }
        for (path, mode) in self.modes.iter().rev() {
            self.dir.set_mode_below(path, *mode)?;
        }
        Ok(())
    }

    fn allowed(&self, entry: &TarEntry) -> Result<(), EntryProblem> {
        let in_tree = self.trees.iter().any(|tree| is_below(&entry.path, tree));
        let key = std::str::from_utf8(entry.path.as_bytes())
            .ok()
            .and_then(|path| path.strip_prefix(RECIPES)?.strip_prefix('/'));
        let named = key.is_some_and(|key| self.lock.recipe.files.contains_key(key));
        match entry.kind {
            TarEntryKind::Symlink(_) if !in_tree => Err(EntryProblem::Link),
            TarEntryKind::File if named => Ok(()),
            _ if in_tree => Ok(()),
            _ => Err(EntryProblem::NotLocked),
        }
    }

    fn put(&mut self, entries: &mut Entries, entry: &TarEntry) -> Result<(), OpsError> {
        let path = Path::new(OsStr::from_bytes(entry.path.as_bytes()));
        let exact = self.exact.iter().any(|tree| is_below(&entry.path, tree));
        if let TarEntryKind::Directory = entry.kind {
            self.dir.make_below(path)?;
        } else {
            self.dir.make_below(path.parent().unwrap_or(Path::new("")))?;
        }
        match &entry.kind {
            TarEntryKind::Symlink(target) => return Ok(self.dir.link_below(path, OsStr::from_bytes(target))?),
            TarEntryKind::File => {
                let mode = if entry.mode & 0o100 == 0 { 0o666 } else { 0o777 };
                let mut file = self.dir.create_below(path, mode)?;
                let failed =
                    |source| crate::world::WorldError::File { verb: "write", path: path.to_owned(), source }.into();
                entries.copy(&mut file, &failed)?;
                fs::context("write", path, file.flush())?;
            }
            _ => {}
        }
        if exact {
            self.modes.push((path.to_owned(), entry.mode));
        }
        Ok(())
    }
}

fn is_below(path: &TarPath, root: &TarPath) -> bool {
    let rest = path.as_bytes().strip_prefix(root.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
