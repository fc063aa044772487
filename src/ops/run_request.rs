//! How machines are run: what the command line says of it.

use std::path::PathBuf;

use super::ssh_keys::KeyChoice;
use crate::base::ByteSize;
use crate::guest;
use crate::guest::gdb::GdbStub;
use crate::guest::host::HostResources;
use crate::machine::LaunchAdditions;

/// How machines are run.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// The machine on the terminal; the first by name when not given.
    pub machine: Option<String>,
    /// What executes the guest's instructions.
    pub accel: guest::AccelChoice,
    /// Keep what the guest writes in this file instead of throwing it away.
    pub keep: Option<PathBuf>,
    /// What every guest sees as the size of its disk, when not the image's own.
    pub disk_size: Option<ByteSize>,
    /// What the machine on the terminal has besides.
    pub additions: LaunchAdditions,
    /// How that machine is debugged.
    pub gdb: Option<GdbStub>,
    /// What the machines take of this host.
    pub host: HostResources,
    /// The recipe or result directory that the machines are of, so that other commands find them while they run.
    pub source: PathBuf,
    /// Who may log in over SSH, besides those whom the images know.
    pub keys: KeyChoice,
}

impl RunRequest {
    /// What the machine on the terminal has besides, with what its debugger needs.
    pub(super) fn additions_of_front(&self) -> LaunchAdditions {
        let mut additions = self.additions.clone();
        self.gdb.iter().for_each(|gdb| gdb.add_to(&mut additions));
        additions
    }
}
