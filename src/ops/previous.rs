//! The lock that is there when one is made: what of its text counts.
//!
//! Input: a text. Output: a lock to resolve from. What a hand changed counts as far as it is a whole pin, of a merge what both sides
//! have, and of a text with parts that cannot be read the others. Of one that says nothing, the pins are moved only if that is asked
//! for.

use std::path::Path;

use super::error::{LockError, OpsError};
use super::event::Notice;
use super::session::Session;
use super::written;
use crate::lock::resolve::Update;
use crate::lock::{self, Lock, Lost, ReadError};

/// What a lock is made from.
#[derive(Default)]
pub(super) struct Previous {
    /// None if there is none, or if nothing of it counts.
    pub(super) lock: Option<Lock>,
    /// The text as kiln wrote it, where it was edited since and that is known.
    pub(super) original: Option<String>,
}

impl Previous {
    /// Reads a text, and tells what does not count of it.
    pub(super) fn read(session: &Session<'_>, path: &Path, text: &str, update: &Update) -> Result<Previous, OpsError> {
        let error = match lock::read(text) {
            Ok(lock) => return Ok(Previous { lock: Some(lock), original: None }),
            Err(error) => error,
        };
        let unread = match &error {
            ReadError::Conflict { .. } | ReadError::Doubled { .. } | ReadError::Fact { .. }
                if lock::has_sides(text) =>
            {
                match lock::settle(text) {
                    Ok((lock, settled)) => {
                        session.notice(Notice::LockSettled { path, error: &error, settled: &settled });
                        return Ok(Previous { lock: Some(lock), original: None });
                    }
                    Err(unread) => unread,
                }
            }
            ReadError::Format(_) => error,
            _ => match edited(session, path, text, &error) {
                Ok(previous) => return Ok(previous),
                Err(unread) => unread,
            },
        };
        if *update != Update::All {
            return Err(LockError::Read { path: path.to_owned(), source: unread }.into());
        }
        session.notice(Notice::LockIgnored { path, error: &unread });
        Ok(Previous::default())
    }
}

/// A text that somebody edited, or that another kiln wrote.
fn edited(session: &Session<'_>, path: &Path, text: &str, error: &ReadError) -> Result<Previous, ReadError> {
    let original = written::original(session.world, text);
    let before = original.as_deref().and_then(|text| lock::read(text).ok());
    if let (Some(before), true) = (&before, !matches!(error, ReadError::Output(_))) {
        let lock = match lock::read_changed(text) {
            Ok(now) => lock::mended(now, before),
            Err(_) => before.clone(),
        };
        return Ok(Previous { lock: Some(lock), original });
    }
    if matches!(error, ReadError::Changed) {
        let mut lock = lock::read_changed(text)?;
        let odd = lock::take_odd(&mut lock, text);
        session.notice(Notice::LockChanged { path, odd: &odd });
        return Ok(Previous { lock: Some(lock), original: None });
    }
    let (lock, lost): (Lock, Vec<Lost>) = lock::salvage(text)?;
    session.notice(Notice::LockSalvaged { path, error, lost: &lost });
    Ok(Previous { lock: Some(lock), original: None })
}
