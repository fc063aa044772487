//! Digests of files that did not change since an earlier build read them, so that a large tree need not be read again.
//!
//! A file is known by its state: device, inode, size, mode and both times. One that changed shortly before it was read is
//! not remembered, since it could change once more within the same tick of the clock.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::Stat;

use crate::base::Digest;
use crate::store::{Stamp, Store, StoreError};

/// Nanoseconds within which two states of a file may look the same; file systems count at least every two seconds.
const TICK: i128 = 2_000_000_000;

/// What is known of one tree.
pub(super) struct KnownFiles {
    name: Digest,
    before: BTreeMap<Vec<u8>, (Stamp, Digest)>,
    now: BTreeMap<Vec<u8>, (Stamp, Digest)>,
}

impl KnownFiles {
    /// What earlier builds remembered of the tree at a path.
    pub(super) fn of(store: &Store, root: &Path) -> KnownFiles {
        let name = Digest::of(format!("local source {}", root.display()).as_bytes());
        let text = store.recall(&name).unwrap_or_default();
        let before = text.split(|byte| *byte == 0).filter_map(fact).collect();
        KnownFiles { name, before, now: BTreeMap::new() }
    }

    /// The digest of a file in this state, if it is known.
    pub(super) fn digest(&mut self, path: &[u8], stat: &Stat) -> Option<Digest> {
        let (state, digest) = *self.before.get(path)?;
        if state != Stamp::from(stat) {
            return None;
        }
        self.now.insert(path.to_vec(), (state, digest));
        Some(digest)
    }

    /// Remembers the digest of a file that was in this state before it was read and after.
    pub(super) fn learn(&mut self, path: &[u8], stat: &Stat, digest: Digest) {
        self.now.insert(path.to_vec(), (Stamp::from(stat), digest));
    }

    /// Keeps what is known for the next build; `clock` is the time of a file that was made before the first was read.
    pub(super) fn keep(self, store: &Store, clock: &Stat) -> Result<(), StoreError> {
        if self.now == self.before {
            return Ok(());
        }
        let began = Stamp::from(clock).changed();
        let mut text = Vec::new();
        for (path, (stamp, digest)) in self.now {
            if stamp.newest() < began - TICK {
                text.extend(format!("{stamp} {digest} ").as_bytes());
                text.extend(path);
                text.push(0);
            }
        }
        store.note(&self.name, &text)
    }
}

fn fact(line: &[u8]) -> Option<(Vec<u8>, (Stamp, Digest))> {
    // The six numbers of a state, then the digest; the path may hold blanks.
    let (end, _) = line.iter().enumerate().filter(|(_, byte)| **byte == b' ').nth(5)?;
    let stamp = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    let mut words = line[end + 1..].splitn(2, |byte| *byte == b' ');
    let digest = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    Some((words.next()?.to_vec(), (stamp, digest)))
}
