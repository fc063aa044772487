//! What is inside artifacts: how two of them differ, and what of this machine is left in one.
//!
//! Input: files. Output: differences and leaks, each with its place. It must not know recipes, locks or builds.

pub mod differ;
pub mod leak;
