//! Caches of steps: places that hold results of steps by action digest, signed by whoever carried the steps out.
//!
//! Input: places that the user names, trusted keys. Output: results for a build that takes them instead of
//! running steps. A cache is a directory, the same directory behind a web server that hands out files, or a repository of a container
//! registry that has each file as an artifact (see `registry.rs`):
//!
//! ```text
//! results/ACTION-KEY.json    what one key has signed of one action: the digests and sizes of its outputs
//! blobs/SHA256.zst           a file, or the messages of a tree
//! trees/SHA256.zst           the bytes of all files of a tree, see `store/pack.rs`
//! ```
//!
//! Nothing in a cache is believed: a result counts if a trusted key has signed it for this very action, and a byte enters
//! the store if it belongs to a digest in it. Whatever else a cache does costs a warning, and the step is built.

pub(super) mod config;
mod fetch;
pub(super) mod layout;
pub(super) mod place;
mod pour;
pub(super) mod registry;
pub(super) mod remember;
mod repository;
mod state;
pub(super) mod statement;
mod take;

pub use config::{CacheOptions, CacheUse};
pub use state::CacheMemory;
pub(super) use take::{CacheServices, Network, StepCaches};

use crate::base::Digest;

/// No result is larger.
pub(super) const RESULT_LIMIT: u64 = 1 << 20;
/// Bytes of the largest window that a compressed file may need: kiln's own need 2 MiB.
pub(super) const WINDOW_LOG: u32 = 25;

/// What files are called, relative to a cache's root.
pub(super) fn result_name(action: &Digest, key: &str) -> String {
    format!("{}-{key}.json", action.hex())
}

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("{}.zst", digest.hex())
}

/// The most bytes that so many can take when they are compressed: what kiln's compressor promises, and a little more.
pub(super) fn most_compressed(size: u64) -> u64 {
    size.saturating_add(size / 128).saturating_add(4096)
}
