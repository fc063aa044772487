//! `kiln check`: a recipe judged by everything that can be known without a network and without building.
//!
//! Input: a loaded recipe, and its lock if there is one. Output: whether the versions of the lock were part of the
//! judgement, or the errors.

use super::error::OpsError;
use super::event::OpsEvent;
use super::load::{self, Loaded};
use super::{local, machines};
use crate::lock;

/// What the machines of a recipe were judged by, besides the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// The versions of QEMU and Linux in an up-to-date lock.
    Locked,
    /// There is no lock, so versions are known only where the recipe names them.
    NoLock,
    /// There is a lock, but it is damaged or of another state of the recipe; its versions may be the wrong ones.
    OutdatedLock,
}

/// Judges every machine by all rules, and by the tables of versions where the lock tells them.
pub fn check(loaded: &Loaded<'_>) -> Result<Versions, OpsError> {
    let (session, recipe) = (&loaded.session, &loaded.recipe);
    let warnings = local::unopened(recipe);
    if !warnings.is_empty() {
        session.on(OpsEvent::Warnings { sources: &recipe.sources, warnings: &warnings });
    }
    let versions = match load::read_lock(session.world, &loaded.lock_path) {
        Ok(Some(lock)) if lock::satisfies(recipe, &lock).is_ok() => {
            machines::judge(session, recipe, &lock)?;
            return Ok(Versions::Locked);
        }
        Ok(None) => Versions::NoLock,
        // What is wrong with the lock is for the commands that need one to say.
        Ok(Some(_)) | Err(OpsError::Lock(_)) => Versions::OutdatedLock,
        Err(other) => return Err(other),
    };
    machines::judge_unlocked(session, recipe)?;
    Ok(versions)
}
