//! What a run takes of its host: what memory is made of, the CPUs that QEMU may use, a bridge.
//!
//! Input: options of the command line, the machines. Output: memory and CPUs that are there, or an error before anything
//! is started. None of this is part of a machine: the guest sees the same hardware, and another host has other resources,
//! so neither recipe nor lock knows it.

mod cpus;
mod lan;
mod memory;

use std::path::PathBuf;

pub use cpus::{CpuSelection, Pinned};
pub use lan::Lan;
pub use memory::{HostMemory, MemoryDirectory, memory_of};

use crate::base::ByteSize;

/// What a run takes of its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostResources {
    /// What memory is made of.
    pub memory: MemorySource,
    /// The CPUs of the host that QEMU may use; all that kiln may use, when absent.
    pub cpus: Option<CpuSelection>,
    /// The bridge that machines are connected to instead of their user network.
    pub bridge: Option<String>,
}

/// Where memory comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MemorySource {
    /// Anonymous memory.
    #[default]
    Anonymous,
    /// Files in a new directory below this one.
    Directory(PathBuf),
    /// Huge pages of this size, or of the host's default size.
    HugePages(Option<ByteSize>),
}
