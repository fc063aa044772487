//! What a run takes of its host: what memory is made of, the CPUs that QEMU may use, a bridge.
//!
//! Input: options of the command line, the machines. Output: memory and CPUs that are there, or an error before anything
//! is started. None of this is part of a machine: the guest sees the same hardware, and another host has other resources,
//! so neither recipe nor lock knows it.

mod cpus;
mod lan;
mod memory;
mod owner;

use std::path::PathBuf;

pub use cpus::CpuSelection;
pub use lan::{Lan, check_cards};
pub use memory::{HostMemory, memory_of, renew, room_for};

use super::GuestError;
use super::network::bridge;
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

impl HostResources {
    /// Refuses what no machine could be given here, before anything is built for it.
    pub fn check(&self) -> Result<(), GuestError> {
        self.cpus.as_ref().map(CpuSelection::pin).transpose()?;
        self.bridge.as_ref().map(|_| bridge::check()).transpose()?;
        match &self.memory {
            MemorySource::Anonymous => Ok(()),
            MemorySource::Directory(path) => memory::directory(path).map(drop),
            MemorySource::HugePages(size) => memory::pool(*size).map(drop),
        }
    }
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
