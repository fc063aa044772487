//! `--share`: directories of the host in a guest, for one run. Image and lock know nothing of them.
//!
//! Input: a directory that was looked at, and the machine's kernel. Output: what QEMU's sandbox is shown, what QEMU is told,
//! and a word on the kernel's command line from which systemd in the guest (254 and newer) makes a mount, so that the share is
//! at [`MOUNT_POINT`] without a byte in the image. (A credential, `fstab.extra`, would be shorter, but its kernel must have
//! `DMI_SYSFS`.)
//!
//! QEMU serves the files as the owner of the directory and nobody else, from a sandbox that has nothing of the host but this
//! directory: a link that the guest makes in it leads nowhere else. What is read-only is so by the kernel of the host.

use std::path::{Path, PathBuf};

use super::GuestError;
use crate::base::Foreign;
use crate::exec::sandbox::{DirectoryAccess, DirectoryIdentity, HostDirectory};
use crate::kconfig::dotconfig;
use crate::machine::Description;
use crate::machine::argv::SharedDirectory;
use crate::machine::rules::longest_kernel_line;
use crate::plan::ArtifactKind;
use crate::world::fs;

/// Where the guest has its shares, by their names.
pub const MOUNT_POINT: &str = "/mnt";
/// Where QEMU has them.
const INSIDE: &str = "/kiln/share";
/// Bytes of one message of 9p, as many as Linux takes over virtio: a message for each page would make every file slow.
const MAX_MESSAGE_BYTES: u32 = 500 << 10;
/// What a kernel needs for 9p over virtio.
const NINE_P: [&str; 2] = ["9P_FS", "NET_9P_VIRTIO"];

/// Where there is such a kernel.
const HELP: &str = "help: of Debian's kernels, linux-image-amd64 has both, linux-image-cloud-amd64 neither; one that is compiled \
                    has them with `option 9P_FS = y` and `option NET_9P_VIRTIO = y`";

/// A directory of the host that guests are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub name: String,
    /// Absolute, without links.
    pub directory: PathBuf,
    /// The directory that was looked at.
    pub identity: DirectoryIdentity,
    pub access: DirectoryAccess,
}

/// Refuses a machine whose kernel could not see a share; `artifacts` has the kernel's configuration.
pub fn check_kernel(machine: &str, artifacts: &Path) -> Result<(), GuestError> {
    let bytes = fs::read(&artifacts.join(ArtifactKind::KernelConfig.file_name()), dotconfig::LIMIT)?;
    let refused = |reason: String| GuestError::Share { machine: machine.to_owned(), reason };
    let config = dotconfig::read(&bytes).map_err(|error| refused(error.to_string()))?;
    let lacks: Vec<&str> = NINE_P.into_iter().filter(|option| config.value(option) == "n").collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.iter().map(|option| format!("CONFIG_{option}")).collect::<Vec<_>>().join(" and ");
    Err(refused(format!("--share needs a kernel with 9p over virtio, and this one lacks {lacks}\n  {HELP}")))
}

impl Share {
    /// What the sandbox of QEMU is shown.
    pub(super) fn in_sandbox(&self) -> HostDirectory {
        HostDirectory {
            source: self.directory.clone(),
            identity: self.identity,
            target: self.inside().into(),
            access: self.access,
        }
    }

    /// What QEMU is told.
    pub(super) fn in_argv(&self) -> SharedDirectory {
        SharedDirectory { tag: self.name.clone(), path: self.inside(), access: self.access }
    }

    fn inside(&self) -> String {
        format!("{INSIDE}/{}", self.name)
    }

    /// What systemd-fstab-generator(8) makes a mount of. A share that cannot be mounted does not keep the guest from booting. Files that programs
    /// map, as linkers do, need `cache=mmap`; nothing else is cached, since the host may change it.
    fn mount(&self) -> String {
        let access = match self.access {
            DirectoryAccess::ReadOnly => "ro,",
            DirectoryAccess::Writable => "",
        };
        let name = &self.name;
        format!(
            "systemd.mount-extra={name}:{MOUNT_POINT}/{name}:9p:{access}nofail,nosuid,nodev,trans=virtio,version=9p2000.L,\
             cache=mmap,msize={MAX_MESSAGE_BYTES}"
        )
    }

    /// What is told of it.
    pub(super) fn notice(&self, machine: &str) -> String {
        let access = match self.access {
            DirectoryAccess::ReadOnly => ", read-only",
            DirectoryAccess::Writable => "",
        };
        let (directory, name) = (Foreign(self.directory.display()), &self.name);
        format!("sharing {directory} with {machine} as {MOUNT_POINT}/{name}{access}, for this run only")
    }
}

/// Words for the end of the kernel's command line, if there is room for them beside the others that are added.
pub(super) fn kernel_words(
    shares: &[Share],
    described: &Description,
    others: &[String],
) -> Result<Vec<String>, GuestError> {
    let words: Vec<String> = shares.iter().map(Share::mount).collect();
    let added: usize = words.iter().chain(others).map(|word| word.len() + 1).sum();
    let (length, longest) = (described.kernel_line().len() + added, longest_kernel_line(&described.machine));
    match length > longest && !words.is_empty() {
        false => Ok(words),
        true => Err(GuestError::Share {
            machine: described.machine.name.clone(),
            reason: format!(
                "its kernel command line would have {length} bytes with what mounts the shares, and the kernel keeps \
                 {longest}; share fewer directories, with shorter names"
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
