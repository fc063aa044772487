//! Options of verbs that start machines: what these take of the host.

use std::path::PathBuf;

use clap::Args;

use super::shared::size;
use crate::base::ByteSize;
use crate::guest::host::{CpuSelection, HostResources, MemorySource};

/// Memory and CPUs of the host.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Make the machines' memory of files in a new directory below DIR, such as /dev/shm or a mounted hugetlbfs, which
    /// is removed afterwards, instead of anonymous memory
    #[arg(long, value_name = "DIR", conflicts_with = "hugepages")]
    pub memory_file: Option<PathBuf>,
    /// Make the machines' memory of huge pages of SIZE, such as 2MiB [default: the host's default size], which must have
    /// been reserved, instead of anonymous memory
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true, value_parser = size)]
    pub hugepages: Option<Option<ByteSize>>,
    /// Run QEMU on these CPUs of the host only, such as 2-5,8; without it, on all that kiln may use
    #[arg(long, value_name = "CPUS", value_parser = cpus)]
    pub pin: Option<CpuSelection>,
}

impl HostArgs {
    /// What the machines take, on their own network or on a bridge.
    pub fn resources(&self, bridge: Option<String>) -> HostResources {
        let memory = match (&self.memory_file, self.hugepages) {
            (Some(directory), _) => MemorySource::Directory(directory.clone()),
            (None, Some(size)) => MemorySource::HugePages(size),
            (None, None) => MemorySource::Anonymous,
        };
        HostResources { memory, cpus: self.pin.clone(), bridge }
    }
}

fn cpus(text: &str) -> Result<CpuSelection, String> {
    CpuSelection::parse(text).ok_or_else(|| "expected CPUs such as 0-3,8".to_owned())
}
