//! Handing results to others.
//!
//! Input: a result directory. Output: a form somebody without kiln can use. It must not build.
pub mod check;
pub mod differ;
pub mod launch;
pub mod leak;
pub mod manifest;
pub mod plain;
