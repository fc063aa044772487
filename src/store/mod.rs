//! Content-addressed bytes on disk: `cas/<sha256>` blobs, `ac/<sha256>` results, `tree/<sha256>` materialised trees.
//!
//! Input: bytes with a digest. Output: the same bytes, checked. It must not know what any blob means.
