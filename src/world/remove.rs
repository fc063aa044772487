//! Removing a whole tree, however deep: steps and guests make directories as they like, and a removal that goes down with
//! each level runs out of descriptors, or of its stack.

#![allow(clippy::disallowed_methods, reason = "part of the door that the ban points to")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::WorldError;
use super::context::{context, random};

/// Removes a file; it is no error when there is none.
pub fn remove_file(path: &Path) -> Result<(), WorldError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => context("remove", path, result),
    }
}

/// Removes a directory with everything in it, or a file, read-only or not; it is no error when there is none. Nobody
/// else may change the tree meanwhile.
pub fn remove_tree(path: &Path) -> Result<(), WorldError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if !found.is_dir() => return remove_file(path),
        _ => {}
    }
    let prefix = format!(".removing-{}", random()?);
    // Each directory is moved up to the top before what is in it is looked at, so that none is ever deep.
    let mut open = vec![path.to_owned()];
    let mut emptied = Vec::new();
    let mut moved = 0_u64;
    while let Some(directory) = open.pop() {
        for below in empty_of_files(&directory)? {
            // One that is empty needs no move, and most of a deep chain's last are.
            if fs::remove_dir(&below).is_ok() {
                continue;
            }
            let place = path.join(format!("{prefix}-{moved}"));
            moved += 1;
            let _ = unlock(&below);
            context("remove", &below, fs::rename(&below, &place))?;
            open.push(place);
        }
        emptied.push(directory);
    }
    // The top is the first, and the others are in it.
    emptied.into_iter().rev().try_for_each(|directory| match fs::remove_dir(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => context("remove", &directory, result),
    })
}

/// Removes all but directories; those are returned.
fn empty_of_files(directory: &Path) -> Result<Vec<PathBuf>, WorldError> {
    let mut below = Vec::new();
    // Where it is somebody else's, what follows says so.
    let _ = unlock(directory);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(below),
        entries => context("remove", directory, entries)?,
    };
    for entry in entries {
        let entry = context("remove", directory, entry)?;
        let path = entry.path();
        if context("remove", &path, entry.file_type())?.is_dir() {
            below.push(path);
        } else {
            remove_file(&path)?;
        }
    }
    Ok(below)
}

/// Lets the owner change a directory.
fn unlock(directory: &Path) -> std::io::Result<()> {
    let mode = fs::symlink_metadata(directory)?.permissions().mode();
    if mode & 0o700 == 0o700 { Ok(()) } else { fs::set_permissions(directory, fs::Permissions::from_mode(0o700)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_may_be_deeper_than_any_path_and_closed() {
        let top = std::env::temp_dir().join(format!("kiln-remove-{}", std::process::id()));
        fs::create_dir_all(top.join("a/closed")).unwrap();
        fs::write(top.join("a/closed/file"), "x").unwrap();
        fs::set_permissions(top.join("a/closed"), fs::Permissions::from_mode(0o0)).unwrap();
        let outside = top.with_extension("outside");
        fs::create_dir_all(outside.join("kept")).unwrap();
        std::os::unix::fs::symlink(&outside, top.join("a/link")).unwrap();
        // From the inside out: each new directory takes the one before.
        let (one, other) = (top.join("one"), top.join("other"));
        fs::create_dir(&one).unwrap();
        for _ in 0..20_000 {
            fs::create_dir(&other).unwrap();
            fs::rename(&one, other.join("d")).unwrap();
            fs::rename(&other, &one).unwrap();
        }
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let path = top.clone();
        small.spawn(move || remove_tree(&path)).unwrap().join().unwrap().unwrap();
        assert!(!top.exists() && outside.join("kept").exists());
        remove_tree(&outside).unwrap();
        remove_tree(&outside).unwrap();
    }
}
