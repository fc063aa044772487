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
use super::sign::{config_file, state_directory};
use crate::exec::sandbox::{DirectoryAccess, DirectoryIdentity};
use crate::guest::share::Share;
use crate::machine::argv::MAX_SHARES;
use crate::store::Store;
use crate::syntax::lexeme::is_name;
use crate::world::dir::Dir;
use crate::world::{World, fs};

/// Where services of the host have their sockets.
const SERVICES: &str = "/run";
/// And where, below it, disks of the user are mounted.
const MEDIA: &str = "/run/media";

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
    let own = own(session.world);
    let shares = requests.iter().map(|request| found(request, &own).map_err(UsageError::from));
    Ok(shares.collect::<Result<_, _>>()?)
}

fn found(request: &ShareRequest, own: &[OwnPlace]) -> Result<Share, ShareError> {
    let ShareRequest { name, directory: given, access } = request;
    let refused = |reason: String| ShareError::Directory { name: name.clone(), directory: given.clone(), reason };
    let directory = given.canonicalize().map_err(|error| refused(error.to_string()))?;
    let data = fs::metadata(&directory).map_err(|error| refused(error.to_string()))?;
    if !data.is_dir() {
        return Err(refused("it is not a directory".to_owned()));
    }
    Dir::open(&directory).map_err(|error| refused(error.to_string()))?;
    let (services, media) = (without_links(Path::new(SERVICES)), without_links(Path::new(MEDIA)));
    let is_medium = directory != media && directory.starts_with(&media);
    if services.starts_with(&directory) || (directory.starts_with(&services) && !is_medium) {
        return Err(ShareError::Services { name: name.clone(), directory, place: services });
    }
    if *access == DirectoryAccess::Writable {
        apart(request, &directory, own)?;
    }
    Ok(Share { name: name.clone(), identity: DirectoryIdentity::of(&data), directory, access: *access })
}

/// What is kiln's own: where that is, without links, and what it is, in words.
struct OwnPlace(PathBuf, &'static str);

/// A guest that writes to the store decides what later builds are made of; one that writes to the directories of runs, whom
/// `kiln ssh` talks to and as what; one that writes to the user's configuration or the list of accepted builds, what is
/// trusted.
fn own(world: &dyn World) -> Vec<OwnPlace> {
    let places = [
        (Store::default_root(world), "kiln's store"),
        (Some(SOCKETS.into()), "the private directories of running machines"),
        (config_file(world, ""), "kiln's configuration, with the keys that are trusted"),
        (state_directory(world), "kiln's list of accepted builds"),
        (std::env::current_exe().ok(), "kiln itself"),
    ];
    places.into_iter().filter_map(|(place, what)| Some(OwnPlace(without_links(&place?), what))).collect()
}

fn apart(request: &ShareRequest, directory: &Path, own: &[OwnPlace]) -> Result<(), ShareError> {
    for OwnPlace(place, what) in own {
        // What lies in `/tmp` beside the directories of runs is the user's.
        let inside = directory.starts_with(place) && *place != without_links(Path::new(SOCKETS));
        if place.starts_with(directory) || inside {
            let (name, directory) = (request.name.clone(), directory.to_owned());
            return Err(ShareError::Own { name, directory, place: place.clone(), what });
        }
    }
    Ok(())
}

/// Where a path leads, as far as it is there: what is not may be made later.
fn without_links(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = |above: &Path| Some(above.canonicalize().ok()?.join(path.strip_prefix(above).ok()?));
    // A file joined with nothing would be called a directory.
    path.canonicalize().ok().or_else(|| path.ancestors().skip(1).find_map(real)).unwrap_or(path.clone())
}

#[cfg(test)]
mod tests;
