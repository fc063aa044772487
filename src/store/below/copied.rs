//! Copies of what is used of a store whose owner is neither root nor this user.
//!
//! Input: what is held open of such a store. Output: the path of a copy in one's own store, whose bytes were checked.
//!
//! Such an owner may put another file where a checked one was and put it back, or write through a mapping of memory: no time tells of
//! either. So nothing is read by a path of that store, and what is checked is what is used.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Below;
use super::found::{Reading, Refused, because, directory, file, listed};
use crate::base::Digest;
use crate::store::blob::digest_of;
use crate::store::take::Taking;
use crate::store::tree::{content, still};
use crate::store::walk::{Entries, Kind};
use crate::store::{Presence, Store, StoreError, StoreLock};
use crate::world::dir::Dir;
use crate::world::{fs, sparse};

/// The directory that becomes a tree.
const TOP: &str = "tree";
/// Modes of its files until they are an object.
const PLAIN: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;

type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// A copy of a blob.
pub(super) fn blob(below: &Below, own: &Store, digest: &Digest, reading: &Reading<'_>) -> Result<PathBuf, Refused> {
    let (state, found) = file(below, digest, reading.size)?;
    let _alone = alone(own, digest, reading.stop)?;
    if own.holds(digest) {
        return Ok(own.blob_path(digest));
    }
    let path = own.session.path("below");
    let taken = copy((&found, state.size()), &path, reading.stop).and_then(|copy| {
        let (copied, _) = digest_of(&copy, &path, reading.stop)?;
        if copied == *digest { own.finish(&copy, &path, (*digest, false)).map(|()| None) } else { Ok(Some(copied)) }
    });
    // It has its name now, or is of no use.
    let _ = fs::remove_file(&path);
    match taken? {
        None => Ok(own.blob_path(digest)),
        Some(other) => Err(because(format!("its bytes have digest {other}"))),
    }
}

/// A copy of a tree.
pub(super) fn tree(below: &Below, own: &Store, root: &Digest, stop: Stop<'_>) -> Result<PathBuf, Refused> {
    let (held, dir) = directory(below, root)?;
    let (entries, _) = listed(&held, &dir)?;
    let _alone = alone(own, root, stop)?;
    if let Presence::Good(path) = own.check_own_tree(root)? {
        return Ok(path);
    }
    let scratch = own.scratch("below")?;
    let taken = copy_tree((&dir, &entries), &scratch.join(TOP), stop).and_then(|()| {
        let copied = content(&Dir::open(&scratch.join(TOP))?, stop)?;
        if copied == *root {
            own.take(&Dir::open(&scratch)?, TOP, Taking { private: false, stop })?;
        }
        Ok(copied)
    });
    // What cannot be removed now is swept with the session.
    let _ = fs::remove_tree(&scratch);
    match (taken?, own.check_own_tree(root)?) {
        (_, Presence::Good(path)) => Ok(path),
        (copied, _) => Err(because(format!("its files have digest {copied}"))),
    }
}

/// Keeps out whoever copies the same; callers hold locks of digests already, so this has a name of its own.
fn alone(own: &Store, digest: &Digest, stop: Stop<'_>) -> Result<StoreLock, StoreError> {
    own.lock(&Digest::of(format!("copy of {digest}").as_bytes()), stop)
}

/// A new file with the bytes of one that is open, which must have its size still: a hole is copied in no time, and read for years.
fn copy((from, size): (&File, u64), to: &Path, stop: Stop<'_>) -> Result<File, StoreError> {
    let copy = fs::create_new(to)?;
    let go_on = || if stop() { Err(std::io::ErrorKind::Interrupted.into()) } else { Ok(()) };
    match sparse::copy_while(from, &copy, &go_on) {
        Err(_) if stop() => Err(StoreError::Interrupted),
        copied => {
            fs::context("copy", to, copied)?;
            let now = fs::context("look at", to, copy.metadata())?.len();
            if now == size {
                Ok(copy)
            } else {
                Err(StoreError::Output("its size changed while it was read".to_owned()))
            }
        }
    }
}

fn copy_tree((from, entries): (&Dir, &Entries), to: &Path, stop: Stop<'_>) -> Result<(), StoreError> {
    fs::create_dir_all(to)?;
    let mut links = Vec::new();
    // A directory comes before what it holds.
    for (name, entry) in entries {
        let path = to.join(name);
        match &entry.kind {
            Kind::Directory => fs::create_dir_all(&path)?,
            Kind::Link(target) => links.push((path, target)),
            Kind::File { executable } => {
                let size = entry.stat.st_size.unsigned_abs();
                copy((&still(from, name, entry)?.open()?, size), &path, stop)?;
                fs::protect(&path, if *executable { EXECUTABLE } else { PLAIN }, None)?;
            }
        }
    }
    // Last, so that nothing is ever written through one.
    for (path, target) in links {
        fs::context("create link", &path, rustix::fs::symlink(target, &path).map_err(std::io::Error::from))?;
    }
    Ok(())
}
