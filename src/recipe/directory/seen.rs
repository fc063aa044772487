//! Packs what git sees of a working tree: files, links, and the directories that they are in.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Stat;

use super::{DirectoryError, Packing};
use crate::format::tar::{TarEntryKind, TarPath};
use crate::recipe::walk::{Visitor, Walk, WalkEntry};
use crate::world::dir::Dir;

/// By path, which is the order of an archive: files and links as they were found, and directories.
#[derive(Default)]
struct SeenEntries(BTreeMap<TarPath, Option<Stat>>);

impl Visitor for SeenEntries {
    type Error = DirectoryError;

    fn found(&mut self, entry: &WalkEntry<'_>) -> Result<(), DirectoryError> {
        let path = TarPath::new(entry.path)?;
        let mut around = path.parent();
        while let Some(directory) = around.filter(|directory| !directory.is_root()) {
            around = directory.parent();
            if self.0.insert(directory, None).is_some() {
                break;
            }
        }
        self.0.insert(path, Some(*entry.stat));
        Ok(())
    }
}

pub(super) fn pack<W: Write>(packing: &mut Packing<W>, root: &Dir) -> Result<(), DirectoryError> {
    let mut seen = SeenEntries::default();
    Walk::new(root)?.visit(&mut seen)?;
    if seen.0.is_empty() {
        return Err(DirectoryError::Empty);
    }
    for (path, found) in seen.0 {
        let place = Path::new(OsStr::from_bytes(path.as_bytes())).to_owned();
        let Some(stat) = found else {
            packing.append(path, TarEntryKind::Directory, &root.directory(&place)?.stat()?)?;
            continue;
        };
        let dir = root.directory(place.parent().unwrap_or(Path::new("")))?;
        packing.entry(&dir, path, (place.file_name().unwrap_or_default(), &stat))?;
    }
    Ok(())
}
