//! How a tree differs from what a kept build directory was made from.

use std::collections::BTreeSet;

use super::{SourceEntry, SourceTree};
use crate::format::tar::TarPath;

/// What has to happen to the kept directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// New, or with other contents.
    pub(super) written: BTreeSet<TarPath>,
    /// Not there any more.
    pub(super) removed: BTreeSet<TarPath>,
}

/// From the entries that a directory has to those of a tree.
pub(super) fn changes(kept: &[SourceEntry], tree: &SourceTree) -> Changes {
    let mut changes = Changes::default();
    let (mut old, mut new) = (kept.iter().peekable(), tree.entries.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(before), Some(now)) if before.path == now.path => {
                if before != now {
                    changes.written.insert(now.path.clone());
                }
                old.next();
                new.next();
            }
            (Some(before), now) if now.is_none_or(|now| before.path < now.path) => {
                changes.removed.insert(before.path.clone());
                old.next();
            }
            (_, Some(now)) => {
                changes.written.insert(now.path.clone());
                new.next();
            }
            (Some(_), None) => unreachable!("without a new path the old one is first"),
        }
    }
}
