//! Deterministic writers: tar, cpio, qcow2, partition tables, FAT, UEFI programs. Times, owners and ids are arguments.
//!
//! Input: entries and streams. Output: bytes that depend on nothing else. It uses `base` only.

pub mod cpio;
pub mod fat;
pub mod gpt;
pub mod qcow2;
pub mod tar;
pub mod uki;
