//! What is known of a cache during one build: one that is down, slow or full of bad files is told of once and left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::config::CachePlace;
use crate::base::Foreign;
use crate::exec::event::{StepEvent, StepListener};

/// A cache with so many files that are not what they should be is left alone.
const MAX_BAD_FILES: u32 = 3;
/// So long, in all, results of a cache are waited for.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// What is known of caches, by their names: a build carries several plans out, and a cache that is down is asked in the first.
#[derive(Default)]
pub struct CacheMemory(Mutex<BTreeMap<String, Arc<Mutex<Known>>>>);

/// A cache and what is known of it.
pub(in crate::ops) struct KnownPlace {
    pub(in crate::ops) place: CachePlace,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    left_alone: bool,
    bad: u32,
    waited: Duration,
    /// Keys of results that do not count, and why.
    refused: BTreeSet<String>,
    taken: bool,
    concluded: bool,
}

impl KnownPlace {
    pub(in crate::ops) fn new(place: CachePlace, memory: &CacheMemory) -> KnownPlace {
        let mut memory = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.entry(place.name.clone()).or_default().clone();
        KnownPlace { place, known }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::ops) fn is_left_alone(&self) -> bool {
        self.known().left_alone
    }

    /// It does not answer.
    pub(in crate::ops) fn down(&self, why: &str, listener: &dyn StepListener) {
        if !std::mem::replace(&mut self.known().left_alone, true) {
            self.warn(&format!("{}; it is left alone for the rest of this build", Foreign(why)), listener);
        }
    }

    /// A file of it is not what it should be.
    pub(in crate::ops) fn bad(&self, why: &str, listener: &dyn StepListener) {
        let bad = {
            let mut known = self.known();
            known.bad += 1;
            known.bad
        };
        if bad <= MAX_BAD_FILES {
            self.warn(&format!("{why}; not used"), listener);
        }
        if bad == MAX_BAD_FILES {
            self.down(&format!("{bad} of its files are not what they should be"), listener);
        }
    }

    /// So long it was waited for.
    pub(in crate::ops) fn waited(&self, time: Duration, listener: &dyn StepListener) {
        let waited = {
            let mut known = self.known();
            known.waited += time;
            known.waited
        };
        if waited > MAX_WAIT {
            self.down(&format!("its answers took {} s in all", waited.as_secs()), listener);
        }
    }

    /// A result does not count because of who signed it.
    pub(in crate::ops) fn refused(&self, why: String) {
        let mut known = self.known();
        // Whoever writes a cache decides how many there are.
        if known.refused.len() < 8 {
            known.refused.insert(why);
        }
    }

    pub(in crate::ops) fn took(&self) {
        self.known().taken = true;
    }

    /// Says at the end of a build why nothing was taken from a cache that has results.
    pub(in crate::ops) fn conclude(&self, listener: &dyn StepListener) {
        let refused = {
            let mut known = self.known();
            let refused = if known.taken || known.concluded { BTreeSet::new() } else { known.refused.clone() };
            known.concluded |= !refused.is_empty();
            refused
        };
        if !refused.is_empty() {
            let refused: Vec<String> = refused.iter().map(|why| Foreign(why).to_string()).collect();
            self.warn(&format!("has results, but none that count: {}", refused.join("; ")), listener);
        }
    }

    fn warn(&self, what: &str, listener: &dyn StepListener) {
        let message = format!("cache {}: {what}", Foreign(&self.place.name));
        listener.on(StepEvent::Warning { message });
    }
}
