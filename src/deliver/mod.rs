//! What a build hands over: the manifest of a result directory and the files that start its machines.
//!
//! Input: artifacts and the description of a machine, or a result directory from anybody. Output: files that somebody
//! without kiln can use, and the judgement whether a directory is what its manifest says. It must not build.

pub mod attestation;
pub mod check;
pub mod launch;
pub mod manifest;
pub mod plain;
pub mod statement;
