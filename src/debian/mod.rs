//! The Debian archive's formats and dependency rules, pure.
//!
//! Input: bytes of Release, Packages and .deb files. Output: checked values. It must not fetch or write anything.

pub mod archive;
pub mod control;
pub mod copyright;
pub mod deb;
pub mod keyring;
pub mod mirror;
pub mod packages;
pub mod relation;
pub mod release;
pub mod solve;
pub mod version;
