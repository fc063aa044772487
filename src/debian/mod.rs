//! The Debian archive's formats and dependency rules, pure.
//!
//! Input: bytes of Release, Packages and .deb files. Output: checked values. It must not fetch or write anything.

pub mod deb;
