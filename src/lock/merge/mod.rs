//! A lock that git merged: what both sides pin.
//!
//! Input: the text of a lock that does not read, since it has conflict markers, lines of both sides, or packages that do not
//! belong together. Output: a [`Lock`] to resolve from, which is no lock of any recipe, and what became of the pins. Nothing is
//! fetched, and what the text says is not believed more than a lock is.

mod agree;
mod pins;

pub use agree::{Contested, Settled};
pub(super) use pins::{in_order, is_open, reopen};

use super::{Lock, ReadError, sides};

/// Whether a text has lines of two locks.
pub fn has_sides(text: &str) -> bool {
    sides::conflicts(text).is_some() || sides::doubled(text).is_some()
}

/// What the text pins, read as far as it can be. An error of the last side that does not read when none does.
pub fn settle(text: &str) -> Result<(Lock, Settled), ReadError> {
    let [ours, theirs] = sides::both(text).map(|side| pins::read(&side));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => Ok(agree::agreed(ours, theirs)),
        // One side alone is a lock all the same: nothing contradicts it, and nothing confirms it.
        (Ok(side), Err(_)) | (Err(_), Ok(side)) => {
            let (lock, settled) = agree::agreed(side.clone(), side);
            Ok((lock, Settled { agreed: 0, one_sided: settled.agreed, ..settled }))
        }
        (Err(_), Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
