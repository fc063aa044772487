//! Results that were taken from caches, kept in the store apart from its own: each time one is used, its signature must count.
//!
//! So a result of a key that was revoked since, or that is not trusted with another recipe, is not used any more.

use serde::{Deserialize, Serialize};

use super::statement::{Judge, SignedResult, StepStatement};
use crate::base::Digest;
use crate::exec::cache::{ResultOrigin, TakenResult};
use crate::ops::sign::Key;
use crate::store::{Store, StoreError};

/// A note of the store: what was signed, and where it came from.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::ops) struct RememberedResult {
    pub(in crate::ops) cache: String,
    /// What the cache's file calls the key.
    pub(in crate::ops) signer: String,
    pub(in crate::ops) signed: SignedResult,
}

/// Under what name a result of others is kept: never that of the action itself, which is for the store's own results.
fn name(action: &Digest) -> Digest {
    Digest::of(format!("result of {action} that was taken from a cache").as_bytes())
}

/// Remembers a result. Garbage collection goes by the use of its outputs.
pub(in crate::ops) fn put(
    store: &Store,
    action: &Digest,
    (remembered, statement): (&RememberedResult, &StepStatement),
) -> Result<(), StoreError> {
    store.note(&name(action), &serde_json::to_vec(remembered).expect("strings are JSON"))?;
    store.put_result(&name(action), &statement.outputs())
}

/// Under what name it is kept that a key signs for this store.
fn own_name(action: &Digest, key: &str) -> Digest {
    Digest::of(format!("result of {action} in this store, signed by {key}").as_bytes())
}

/// Remembers that a key says of an action what this store itself has found.
pub(in crate::ops) fn own(store: &Store, action: &Digest, key: &Key) -> Result<(), StoreError> {
    store.note(&own_name(action, &key.shown()), b"")
}

/// Whether it does: the store and the key are one builder then.
pub(in crate::ops) fn is_own(store: &Store, action: &Digest, key: &str) -> bool {
    store.recall(&own_name(action, key)).is_some()
}

/// What was signed of an action, whoever is trusted now.
pub(in crate::ops) fn signed(store: &Store, action: &Digest) -> Option<RememberedResult> {
    serde_json::from_slice(&store.recall(&name(action))?).ok()
}

/// A result that was taken before and still counts.
pub(in crate::ops) fn get(store: &Store, judge: &Judge<'_>, action: &Digest) -> Option<TakenResult> {
    let outputs = store.get_result(&name(action))?;
    let RememberedResult { cache, signed, .. } = signed(store, action)?;
    let (statement, signer) = signed.judged(judge, action).ok()?;
    // A note is as good as its signature, and a result of the store as its note.
    if statement.outputs() != outputs {
        return None;
    }
    Some(TakenResult { outputs, origin: ResultOrigin::Signed { cache, signer: signer.name, key: signer.key } })
}
