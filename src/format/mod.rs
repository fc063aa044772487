//! Deterministic writers: tar, cpio, ext4, qcow2, partition tables, FAT, UEFI programs. Times, owners and ids are arguments.
//! Of git, which kiln never writes for, there are readers.
//!
//! Input: entries and streams. Output: bytes that depend on nothing else. It uses `base` only.

pub mod cdat;
pub mod chunks;
pub mod cpio;
pub mod disk;
pub mod dsse;
pub mod ext4;
pub mod fat;
pub mod git;
pub mod gpt;
pub mod linux;
pub mod qcow2;
pub mod signature;
pub mod swap;
pub mod tar;
pub mod uki;
pub mod vhd;
pub mod vmdk;
