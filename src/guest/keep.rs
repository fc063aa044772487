//! `--keep`: what a run leaves for the next one.
//!
//! A directory holds everything of all machines that would outlive a power cut: overlays of their disks, empty disks,
//! persistent memories with their labels, variables of the firmware, shared memories; and a record of what they were made
//! for. QEMU is shown the files one by one, so it cannot put a link or another file in their place; the directory may come
//! from anybody all the same, and a link in it is refused. A single file holds the writes to the disk of one machine.

mod directory;
mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use directory::KeepDirectory;

use super::event::{TestEvent, TestListener};
use super::launch::KeptFiles;
use super::{GuestError, Launch, overlay, state};
use crate::world::dir::Dir;
use crate::world::fs;

/// What is kept.
pub enum Keep {
    /// The disk of the machine on the terminal, in a file.
    Disk(PathBuf),
    /// Everything.
    All(KeepDirectory),
}

impl Keep {
    /// What `--keep PATH` means. The sandbox has another working directory, so the path becomes absolute.
    pub fn open(path: &Path) -> Result<Keep, GuestError> {
        check(path)?;
        let at = absolute(path)?;
        let is_image = at.extension().is_some_and(|extension| extension == "qcow2");
        match fs::metadata(&at) {
            Ok(found) if found.is_file() => Ok(Keep::Disk(at)),
            Ok(_) => Ok(Keep::All(KeepDirectory::open(at)?)),
            Err(_) if is_image => Ok(Keep::Disk(at)),
            Err(_) => {
                Dir::make(&at, 0o700)?;
                Ok(Keep::All(KeepDirectory::open(at)?))
            }
        }
    }
}

/// Refuses a path that nothing can be kept in, without a change to it. Whether what it keeps fits a machine is known once
/// that is built.
pub fn check(path: &Path) -> Result<(), GuestError> {
    let at = absolute(path)?;
    match fs::metadata(&at) {
        Ok(found) if found.is_file() => overlay::check(&at),
        Ok(found) if found.is_dir() => KeepDirectory::check(&at),
        Ok(found) if found.is_symlink() => Err(failed(&at, "it is a link that leads nowhere; give another name")),
        Ok(_) => Err(failed(&at, "it is neither a file nor a directory; give another name")),
        Err(_) => Ok(()),
    }
}

fn failed(path: &Path, reason: &str) -> GuestError {
    GuestError::Keep { path: path.to_owned(), reason: reason.to_owned() }
}

/// The file's directory is looked up first; the file may not exist yet.
fn absolute(path: &Path) -> Result<PathBuf, GuestError> {
    if path.exists() {
        return Ok(fs::context("resolve", path, path.canonicalize())?);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| failed(path, "not the name of a file"))?;
    Ok(fs::context("resolve", parent, parent.canonicalize())?.join(name))
}

/// What is kept of each machine, by its name; and what is told of what is kept, and of what is not.
pub fn files<'a>(
    keep: &mut Option<Keep>,
    (front, background): (&'a Launch, &[&'a Launch]),
    listener: &dyn TestListener,
) -> Result<BTreeMap<&'a str, KeptFiles>, GuestError> {
    let say = |text: &str| listener.on(TestEvent::Notice(text));
    let mut kept = BTreeMap::new();
    match keep {
        Some(Keep::All(directory)) => {
            for launch in std::iter::once(front).chain(background.iter().copied()) {
                kept.insert(launch.machine.as_str(), directory.files(launch)?);
            }
            let volatile = "the machines' ordinary memory and volatile CXL memory are not kept";
            say(&format!("keeping disks and what is persistent in {}; {volatile}", directory.path().display()));
            return Ok(kept);
        }
        Some(Keep::Disk(path)) => {
            kept.insert(front.machine.as_str(), KeptFiles { disk: path.clone(), ..KeptFiles::default() });
            say(&format!("keeping the disk of {} alone in {}; a directory keeps all", front.machine, path.display()));
        }
        None => {}
    }
    for launch in std::iter::once(front).chain(background.iter().copied()) {
        let state = state::of(launch)?;
        if !state.persistent().is_empty() {
            let names = state.persistent().join(", ");
            say(&format!(
                "persistent memory of {} ({names}) is lost when it ends; --keep DIR keeps it",
                launch.machine
            ));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
