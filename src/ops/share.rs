//! Which directories of the host a run shows to its guests: what `--share NAME=DIR[:ro]` means.
//!
//! Input: the words of the user. Output: directories that are there, by absolute paths without links, each with what tells it
//! from another one that may take its place later. Refused is what would let a guest change kiln itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{MAX_NAME_BYTES, OpsError, ShareError, UsageError};
use super::launch::SOCKETS;
use super::session::Session;
use crate::exec::sandbox::{DirectoryAccess, DirectoryIdentity};
use crate::guest::share::Share;
use crate::machine::argv::MAX_SHARES;
use crate::store::Store;
use crate::syntax::lexeme::is_name;
use crate::world::dir::Dir;
use crate::world::fs;

/// What the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRequest {
    /// By which the guest mounts it.
    pub name: String,
    /// As it was written.
    pub directory: PathBuf,
    /// Writable unless said.
    pub access: DirectoryAccess,
}

impl FromStr for ShareRequest {
    type Err = ShareError;

    /// A directory whose own name ends in `:ro` is written with `:rw` behind it.
    fn from_str(text: &str) -> Result<ShareRequest, ShareError> {
        let (name, rest) = text.split_once('=').ok_or(ShareError::Form)?;
        let (directory, access) = match (rest.strip_suffix(":ro"), rest.strip_suffix(":rw")) {
            (Some(directory), _) => (directory, DirectoryAccess::ReadOnly),
            (None, Some(directory)) => (directory, DirectoryAccess::Writable),
            (None, None) => (rest, DirectoryAccess::Writable),
        };
        if !is_name(name) || name.len() > MAX_NAME_BYTES {
            return Err(ShareError::Name(name.to_owned()));
        }
        if directory.is_empty() {
            return Err(ShareError::Form);
        }
        Ok(ShareRequest { name: name.to_owned(), directory: directory.into(), access })
    }
}

/// The directories that are meant.
pub fn directories(session: &Session<'_>, requests: &[ShareRequest]) -> Result<Vec<Share>, OpsError> {
    if requests.len() > MAX_SHARES {
        return Err(UsageError::from(ShareError::Many(requests.len())).into());
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = requests.iter().find(|request| !names.insert(&request.name)) {
        return Err(UsageError::from(ShareError::Twice(twice.name.clone())).into());
    }
    let store = Store::default_root(session.world);
    let shares = requests.iter().map(|request| found(request, store.as_deref()).map_err(UsageError::from));
    Ok(shares.collect::<Result<_, _>>()?)
}

fn found(request: &ShareRequest, store: Option<&Path>) -> Result<Share, ShareError> {
    let ShareRequest { name, directory: given, access } = request;
    let refused = |reason: String| ShareError::Directory { name: name.clone(), directory: given.clone(), reason };
    let directory = given.canonicalize().map_err(|error| refused(error.to_string()))?;
    let data = fs::metadata(&directory).map_err(|error| refused(error.to_string()))?;
    if !data.is_dir() {
        return Err(refused("it is not a directory".to_owned()));
    }
    Dir::open(&directory).map_err(|error| refused(error.to_string()))?;
    if *access == DirectoryAccess::Writable {
        apart(request, &directory, store)?;
    }
    Ok(Share { name: name.clone(), identity: DirectoryIdentity::of(&data), directory, access: *access })
}

/// A guest that writes to the store decides what later builds are made of; one that writes to the directories of runs, whom
/// `kiln ssh` talks to and as what.
fn apart(request: &ShareRequest, directory: &Path, store: Option<&Path>) -> Result<(), ShareError> {
    let own = [(store, "kiln's store"), (Some(Path::new(SOCKETS)), "the private directories of running machines")];
    for (place, what) in own.into_iter().filter_map(|(place, what)| Some((place?, what))) {
        let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
        // What lies in `/tmp` beside the directories of runs is the user's.
        let inside = directory.starts_with(&place) && place != Path::new(SOCKETS);
        if place.starts_with(directory) || inside {
            let (name, directory) = (request.name.clone(), directory.to_owned());
            return Err(ShareError::Own { name, directory, place, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
