//! A root that stays as it is and yet has every mount point: a tmpfs with the root's entries mounted on it.
//!
//! Where a mount point is missing deep down, the directories on the way become tmpfs directories whose other entries
//! are mounted one by one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirEntry, create_dir_all, read_dir};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::SandboxError;
use super::mount::{MountKind, bind, directory, empty_file, restrict};

/// Links followed in one path, as in the kernel.
const LINKS: usize = 40;

/// Mounts the entries of `from` on the empty tmpfs `to`, making each of `targets` (path, whether a directory).
pub(super) fn provide(from: &Path, to: &Path, targets: &[(PathBuf, bool)]) -> Result<(), SandboxError> {
    let mut needed = Vec::new();
    for (target, is_directory) in targets {
        let real = resolve(from, target)?;
        if let Ok(path) = real.strip_prefix(from) {
            needed.push((path.to_owned(), *is_directory));
        }
    }
    populate(from, to, &needed)
}

fn populate(from: &Path, to: &Path, needed: &[(PathBuf, bool)]) -> Result<(), SandboxError> {
    let failed = |error: std::io::Error| SandboxError::setup(format!("list {}", from.display()), error);
    let mut below: BTreeMap<OsString, Vec<(PathBuf, bool)>> = BTreeMap::new();
    for (path, is_directory) in needed {
        let mut parts = path.components();
        if let Some(first) = parts.next() {
            below.entry(first.as_os_str().to_owned()).or_default().push((parts.as_path().to_owned(), *is_directory));
        }
    }
    for entry in read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let needed = below.remove(&entry.file_name()).unwrap_or_default();
        show(&entry, &to.join(entry.file_name()), &needed)?;
    }
    for (name, rest) in below {
        for (path, is_directory) in rest {
            // Joining an empty path would add a slash, which a file cannot have.
            let path = if path.as_os_str().is_empty() { to.join(&name) } else { to.join(&name).join(path) };
            make(&path, is_directory)?;
        }
    }
    Ok(())
}

/// One entry of the root, as it is unless something below it is missing.
fn show(entry: &DirEntry, to: &Path, needed: &[(PathBuf, bool)]) -> Result<(), SandboxError> {
    let from = entry.path();
    let failed = |error: std::io::Error| SandboxError::setup(format!("look at {}", from.display()), error);
    let kind = entry.file_type().map_err(failed)?;
    if kind.is_symlink() {
        let target = std::fs::read_link(&from).map_err(failed)?;
        return rustix::fs::symlink(&target, to)
            .map_err(|error| SandboxError::setup(format!("link {}", to.display()), error));
    }
    if !kind.is_dir() {
        empty_file(to)?;
    } else {
        let mode = entry.metadata().map_err(failed)?.permissions().mode();
        directory(to, mode & 0o7777)?;
        if needed.iter().any(|(path, _)| !from.join(path).exists()) {
            return populate(&from, to, needed);
        }
    }
    bind(&from, to)?;
    restrict(to, MountKind::ReadOnly)
}

fn make(path: &Path, is_directory: bool) -> Result<(), SandboxError> {
    if path.exists() {
        return Ok(());
    }
    if !is_directory {
        return empty_file(path);
    }
    create_dir_all(path).map_err(|error| SandboxError::place(path, &error))
}

/// Where `path` leads within `root`, following links as a process would for which `root` is `/`; what does not exist
/// is taken as it is written.
pub(super) fn resolve(root: &Path, path: &Path) -> Result<PathBuf, SandboxError> {
    let mut rest: Vec<OsString> = parts(path);
    let (mut real, mut links) = (root.to_owned(), 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            if real != root {
                real.pop();
            }
            continue;
        }
        let next = real.join(&part);
        match std::fs::read_link(&next) {
            Ok(target) => {
                links += 1;
                if links > LINKS {
                    let reason = "too many links lead to it".to_owned();
                    return Err(SandboxError::Root { path: path.display().to_string(), reason });
                }
                if target.is_absolute() {
                    real = root.to_owned();
                }
                rest.extend(parts(&target));
            }
            Err(_) => real = next,
        }
    }
    Ok(real)
}

/// The parts of a path, last first.
fn parts(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<OsString> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect();
    parts.reverse();
    parts
}
