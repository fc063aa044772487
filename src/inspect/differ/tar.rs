//! Two tar archives, member by member.

use super::entry::{self, Facts, Side};
use super::{Differences, Pair, streams};
use crate::format::tar::{TarEntry, TarEntryKind, TarReader};

pub(super) fn compare(place: &str, (one, two): Pair<'_>, depth: usize, found: &mut Differences) {
    let (mut one, mut two) = (TarReader::new(one), TarReader::new(two));
    let (mut left, mut right) = (None, None);
    let mut side = Side::Both;
    while !found.full() {
        if side != Side::Second {
            left = match one.next_entry() {
                Ok(entry) => entry.map(|entry| facts(&entry)),
                Err(error) => return found.add(place, error),
            };
        }
        if side != Side::First {
            right = match two.next_entry() {
                Ok(entry) => entry.map(|entry| facts(&entry)),
                Err(error) => return found.add(place, error),
            };
        }
        if left.is_none() && right.is_none() {
            return;
        }
        side = entry::missing(place, left.as_ref(), right.as_ref(), found);
        if let (Side::Both, Some(left), Some(right)) = (side, &left, &right) {
            let name = entry::within(place, &left.path);
            entry::compare(&name, left, right, found);
            if left.kind == "file" && right.kind == "file" {
                streams(&name, (Box::new(&mut one), Box::new(&mut two)), depth, found);
            }
        }
    }
}

fn facts(entry: &TarEntry) -> Facts {
    let (kind, link) = match &entry.kind {
        TarEntryKind::File => ("file".to_owned(), None),
        TarEntryKind::Directory => ("directory".to_owned(), None),
        TarEntryKind::Symlink(target) => {
            ("symbolic link".to_owned(), Some(String::from_utf8_lossy(target).into_owned()))
        }
        TarEntryKind::Hardlink(target) => ("hard link".to_owned(), Some(target.to_string())),
        other => (format!("{other:?}"), None),
    };
    let mut more: Vec<(String, String)> = link.map(|target| ("target".to_owned(), target)).into_iter().collect();
    more.extend(entry.xattrs.iter().map(|(name, value)| {
        let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        (format!("attribute {}", String::from_utf8_lossy(name)), value)
    }));
    Facts {
        path: entry.path.to_string(),
        kind,
        mode: entry.mode,
        owner: (entry.uid, entry.gid),
        mtime: entry.mtime,
        size: entry.size,
        more,
    }
}
