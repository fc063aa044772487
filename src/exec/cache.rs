//! Results that others have: the seam between carrying a plan out and whoever asks caches and stores below one's own.
//!
//! Input: the digest of an action. Output: what somebody who is trusted says that it leaves behind, and the bytes of it in the
//! store. Which caches are asked, how, and whom to trust is the implementation's to know; that a step can be built instead of
//! taken, whatever a cache answers, is the realizer's.

use std::collections::BTreeMap;

use crate::base::{Digest, Foreign};
use crate::store::{Output, StoreError, Visibility};

/// A step whose result may be somebody else's.
#[derive(Clone, Copy)]
pub struct WantedResult<'a> {
    /// The resolved id of the step.
    pub action: Digest,
    /// The outputs that it declares.
    pub outputs: &'a [String],
    /// Who may read what it leaves, here; what only its owner may is asked from nobody without being told to.
    pub visibility: Visibility,
    /// Who is asked.
    pub places: ResultPlaces,
    /// Whether to give up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// Who is asked for a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultPlaces {
    /// Stores below, then caches.
    All,
    /// Stores below.
    Below,
}

/// Where a result came from, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum ResultOrigin {
    /// Somebody has signed it.
    Signed {
        /// The cache.
        cache: String,
        /// As the user calls who signed it.
        signer: String,
        /// Their key.
        key: String,
    },
    /// A store below this one has it, which is the word of its owner.
    Below {
        /// Where that store is.
        store_below: String,
    },
}

impl ResultOrigin {
    /// What can follow "that" or "which": `alice (SHA256:...) signed in CACHE`.
    pub fn words(&self) -> String {
        match self {
            ResultOrigin::Signed { cache, signer, key } => {
                format!("{} ({}) signed in {}", Foreign(signer), Foreign(key), Foreign(cache))
            }
            ResultOrigin::Below { store_below } => format!("the store below at {} has", Foreign(store_below)),
        }
    }
}

/// A result of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenResult {
    /// What the step leaves behind, by declared path; it need not be in the store.
    pub outputs: BTreeMap<String, Output>,
    /// Where it came from.
    pub origin: ResultOrigin,
}

/// Caches of steps, and stores below.
pub trait StepCache: Sync {
    /// A result of somebody who is trusted: taken before, or asked for now.
    fn result(&self, wanted: &WantedResult<'_>) -> Option<TakenResult>;
    /// A result that was taken before, or is in a store below; no cache is asked.
    fn remembered(&self, wanted: &WantedResult<'_>) -> Option<TakenResult>;
    /// Has all outputs of such a result be in the store; `false` where no cache has them.
    fn fetch(&self, wanted: &WantedResult<'_>, taken: &TakenResult) -> Result<bool, StoreError>;
}
