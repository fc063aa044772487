//! Directories of the host in the guest, for one start: never a recipe's, and never in a lock.
//!
//! 9p is a file server inside QEMU. The guest knows its devices by their tags, so QEMU gives each a slot that is free once
//! all others have theirs.

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
    /// Where QEMU finds it.
    pub path: String,
    pub access: DirectoryAccess,
}

/// The options that attach them.
pub(super) fn options(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    launch.shares.iter().flat_map(|share| nine_p(machine, share)).collect()
}

/// The guest's owners and modes are the host's, as far as QEMU may set them: it is nobody but the directory's owner.
/// Mounts below the directory are other file systems, whose inode numbers must not be mixed up.
fn nine_p(machine: &Machine, share: &SharedDirectory) -> [QemuOption; 2] {
    let id = format!("share.{}", share.tag);
    let files = QemuOption::kind("-fsdev", "local").with("id", id.as_str()).with("path", share.path.as_str());
    let files = files.with("security_model", "none").with("multidevs", "remap");
    let files = match share.access {
        DirectoryAccess::ReadOnly => files.with("readonly", "on"),
        DirectoryAccess::Writable => files,
    };
    let device = QemuOption::kind("-device", "virtio-9p-pci").with("id", format!("{id}.device"));
    let device = device.with("bus", slot::bus(machine.chipset.value));
    [files, attached(machine, device).with("fsdev", id).with("mount_tag", share.tag.as_str())]
}
