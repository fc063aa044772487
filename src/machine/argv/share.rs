//! Directories of the host in the guest, for one start: never a recipe's, and never in a lock.
//!
//! 9p is a file server inside QEMU; virtio-fs is one beside it (virtiofsd), which must see all of the guest's memory (`MemoryBacking`). The guest
//! knows its devices by their tags, so QEMU gives each a slot that is free once all others have theirs.

use super::device::attached;
use super::slot;
use super::{LaunchOptions, QemuOption};
use crate::exec::sandbox::DirectoryAccess;
use crate::recipe::machine::Machine;

/// More than anybody needs, and fewer than there are slots.
pub const MAX_SHARES: usize = 8;

/// A directory that a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedDirectory {
    /// The tag by which the guest mounts it.
    pub tag: String,
    pub access: DirectoryAccess,
    pub server: FileServer,
}

/// Who serves its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileServer {
    /// QEMU, which finds the directory at this path.
    Qemu { path: String },
    /// A process that listens at this socket.
    Virtiofsd { socket: String },
}

/// The options that attach them.
pub(super) fn options(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    launch.shares.iter().flat_map(|share| attach(machine, share)).collect()
}

/// 9p: the guest's owners and modes are the host's, as far as QEMU may set them: it is nobody but the directory's owner.
/// Mounts below the directory are other file systems, whose inode numbers must not be mixed up.
fn attach(machine: &Machine, share: &SharedDirectory) -> [QemuOption; 2] {
    let (id, tag) = (format!("share.{}", share.tag), share.tag.as_str());
    let device = |driver: &str| {
        let device = QemuOption::kind("-device", driver).with("id", format!("{id}.device"));
        attached(machine, device.with("bus", slot::bus(machine.chipset.value)))
    };
    match &share.server {
        FileServer::Qemu { path } => {
            let files = QemuOption::kind("-fsdev", "local").with("id", id.as_str()).with("path", path.as_str());
            let files = files.with("security_model", "none").with("multidevs", "remap");
            let files = match share.access {
                DirectoryAccess::ReadOnly => files.with("readonly", "on"),
                DirectoryAccess::Writable => files,
            };
            [files, device("virtio-9p-pci").with("fsdev", id.as_str()).with("mount_tag", tag)]
        }
        FileServer::Virtiofsd { socket } => {
            let files = QemuOption::kind("-chardev", "socket").with("id", id.as_str()).with("path", socket.as_str());
            [files, device("vhost-user-fs-pci").with("chardev", id.as_str()).with("tag", tag)]
        }
    }
}
