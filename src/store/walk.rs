//! Lists what lies below a directory, with bounds: whoever filled it may have done so to no good end.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::{StoreError, TreeRefusal};
use crate::world::WorldError;
use crate::world::dir::{Dir, noun, shown};

/// Deeper directories are refused.
pub(super) const DEPTH: usize = 128;
/// So many files, directories and links are listed, and their paths may have so many bytes together.
pub(super) const ENTRIES: usize = 1 << 20;
const BYTES: usize = 256 << 20;

/// What a directory entry is.
#[derive(Debug)]
pub(super) enum Kind {
    Directory,
    File { executable: bool },
    Link(String),
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) stat: Stat,
}

/// Every entry below a directory by relative path, which sorts a directory before what it holds.
pub(super) type Entries = BTreeMap<String, Entry>;

/// Everything below `root`; refuses what a tree cannot hold.
pub(super) fn list(root: &Dir) -> Result<Entries, StoreError> {
    walk(&|path| root.directory(path))
}

/// [`list`] of a directory that is this user's: where the right to look was taken away, it is given back.
pub(super) fn list_own(root: &Dir) -> Result<Entries, StoreError> {
    walk(&|path| match root.directory(path) {
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            if let Some(found) = root.look(if path.is_empty() { "." } else { path })? {
                found.let_owner_in()?;
            }
            root.directory(path)
        }
        other => other,
    })
}

fn walk(open: &dyn Fn(&str) -> Result<Dir, WorldError>) -> Result<Entries, StoreError> {
    let mut entries = Entries::new();
    let mut bytes = 0;
    let mut waiting = vec![(String::new(), 0)];
    while let Some((prefix, depth)) = waiting.pop() {
        let directory = open(&prefix)?;
        let crowded = || refuse(&prefix, TreeRefusal::Entries(ENTRIES));
        for name in directory.names(ENTRIES - entries.len())?.ok_or_else(crowded)? {
            let refuse_it = |refusal| refuse(Path::new(&prefix).join(&name), refusal);
            let text = name.to_str().ok_or_else(|| refuse_it(TreeRefusal::Name))?;
            let path = if prefix.is_empty() { text.to_owned() } else { format!("{prefix}/{text}") };
            bytes += path.len();
            if bytes > BYTES {
                return Err(refuse_it(TreeRefusal::Paths(BYTES)));
            }
            let stat = directory.entry(&name)?;
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth == DEPTH => return Err(refuse_it(TreeRefusal::Depth)),
                FileType::Directory => {
                    waiting.push((path.clone(), depth + 1));
                    Kind::Directory
                }
                FileType::RegularFile => Kind::File { executable: stat.st_mode & 0o111 != 0 },
                FileType::Symlink => {
                    let target = directory.link(&name)?.into_string();
                    Kind::Link(target.map_err(|_| refuse_it(TreeRefusal::Target))?)
                }
                other => return Err(refuse_it(TreeRefusal::Kind(noun(other)))),
            };
            entries.insert(path, Entry { kind, stat });
        }
    }
    Ok(entries)
}

/// Where the directory itself lies for the moment means nothing to the user: it is left out.
fn refuse(path: impl AsRef<Path>, refusal: TreeRefusal) -> StoreError {
    StoreError::Tree { path: shown(path.as_ref()), refusal }
}
