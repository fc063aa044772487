//! Carries a plan out: fetches, builtin steps, sandboxes, in parallel, reporting events.
//!
//! Input: a [`crate::plan::Plan`], a store, a world. Output: digests of the artifacts. It must not decide what to do.

pub mod builtin;
pub mod event;
pub mod root;
pub mod sandbox;
