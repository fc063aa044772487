//! The texts of locks as kiln wrote them: notes of the store by their checksums, which say what a hand has changed since.
//!
//! A note is believed only as far as it is the text of its checksum, and a store without one makes messages shorter, nothing else.

use crate::base::Digest;
use crate::lock;
use crate::store::Store;
use crate::world::World;

use super::load;

/// Keeps the text of a lock.
pub(super) fn keep(store: &Store, text: &str) {
    let Some(checksum) = lock::stated_checksum(text) else { return };
    if store.recall(&name(checksum)).is_none() {
        // A store that cannot be written to keeps nothing.
        drop(store.note(&name(checksum), text.as_bytes()));
    }
}

/// The text that an edited one was, if this user's store has it. No store is made for it.
pub(super) fn original(world: &dyn World, edited: &str) -> Option<String> {
    let checksum = lock::stated_checksum(edited)?;
    let is_there = Store::default_root(world).is_some_and(|root| root.is_dir());
    let store = is_there.then(|| load::open_store(world).ok()).flatten()?;
    let text = String::from_utf8(store.recall(&name(checksum))?).ok()?;
    lock::is_written(&text, checksum).then_some(text)
}

fn name(checksum: Digest) -> Digest {
    Digest::of(format!("kiln lock as it was written\n{checksum}\n").as_bytes())
}
