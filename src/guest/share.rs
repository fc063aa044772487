//! `--share`: directories of the host in a guest, for one run. Image and lock know nothing of them.
//!
//! Input: a directory that was looked at, and the machine's kernel. Output: what QEMU's sandbox is shown, what QEMU is told,
//! and a word on the kernel's command line from which systemd in the guest (254 and newer) makes a mount, so that the share is
//! at [`MOUNT_POINT`] without a byte in the image. (A credential, `fstab.extra`, would be shorter, but its kernel must have
//! `DMI_SYSFS`.)
//!
//! QEMU, or virtiofsd beside it, serves the files as the owner of the directory and nobody else, from a sandbox that has nothing of the host but this
//! directory: a link that the guest makes in it leads nowhere else. What is read-only is so by the kernel of the host.

mod virtiofsd;

use std::path::{Path, PathBuf};

pub use virtiofsd::{FileServers, ServerPlaces};

use super::GuestError;
use crate::base::Foreign;
use crate::exec::sandbox::{DirectoryAccess, DirectoryIdentity, HostDirectory, Mount};
use crate::kconfig::dotconfig;
use crate::machine::Description;
use crate::machine::argv::{FileServer, SharedDirectory};
use crate::machine::rules::longest_kernel_line;
use crate::plan::ArtifactKind;
use crate::recipe::machine::Machine;
use crate::world::fs;

/// Where the guest has its shares, by their names.
pub const MOUNT_POINT: &str = "/mnt";
/// Where QEMU has them.
const INSIDE: &str = "/kiln/share";
/// Bytes of one message of 9p, as many as Linux takes over virtio: a message for each page would make every file slow.
const MAX_MESSAGE_BYTES: u32 = 500 << 10;
/// What a kernel needs for 9p over virtio.
const NINE_P: [&str; 2] = ["9P_FS", "NET_9P_VIRTIO"];
/// What a kernel needs for virtio-fs.
const VIRTIO_FS: &str = "VIRTIO_FS";

/// What stands in the way of a share, and the way out.
const NO_DAEMON: &str = "its kernel has virtio-fs and no 9p, and the packages of its QEMU have no virtiofsd, which --share needs \
                         then\n  help: add \"virtiofsd\" to them and run `kiln lock`, or take a kernel with 9p, such as Debian's \
                         linux-image-amd64";
const NO_FILE_SYSTEM: &str = "its kernel has neither 9p over virtio (CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO) nor virtio-fs \
                              (CONFIG_VIRTIO_FS), of which --share needs one\n  help: Debian's linux-image-amd64 has both; a \
                              compiled kernel has 9p with `option 9P_FS = y` and `option NET_9P_VIRTIO = y`";
const BOUNCED: &str = "its kernel has virtio-fs and no 9p, and virtiofsd cannot reach CXL memory that is emulated (`bounce = \
                       true`)\n  help: take a kernel with 9p, such as Debian's linux-image-amd64";

const NO_CONFIG: &str = "its kernel comes out of a build without its configuration, so kiln cannot know how the guest reaches a \
                         share\n  help: let the build leave it, and write `config = output \"config\" from BUILD` in the kernel";

/// How a guest reaches its shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// QEMU itself serves them.
    #[default]
    NineP,
    /// A virtiofsd of QEMU's packages serves each.
    VirtioFs,
}

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

/// A machine that is to see shares.
#[derive(Debug, Clone, Copy)]
pub struct Sharer<'a> {
    pub machine: &'a Machine,
    /// Has the configuration of its kernel.
    pub artifacts: &'a Path,
    /// The packages of its QEMU.
    pub tree: &'a Path,
}

/// How the kernel of a machine can reach shares; an error says what it lacks.
pub fn transport(sharer: Sharer<'_>) -> Result<Transport, GuestError> {
    let refused = |reason: String| GuestError::Share { machine: sharer.machine.name.clone(), reason };
    let path = sharer.artifacts.join(ArtifactKind::KernelConfig.file_name());
    if fs::is_missing(&path) {
        return Err(refused(NO_CONFIG.to_owned()));
    }
    let bytes = fs::read(&path, dotconfig::LIMIT)?;
    let config = dotconfig::read(&bytes).map_err(|error| refused(error.to_string()))?;
    let has = |option: &str| config.value(option) != "n";
    match (NINE_P.into_iter().all(has), has(VIRTIO_FS), virtiofsd::is_in(sharer.tree)) {
        (true, ..) => Ok(Transport::NineP),
        (false, true, true) if sharer.machine.bounce => Err(refused(BOUNCED.to_owned())),
        (false, true, true) => Ok(Transport::VirtioFs),
        (false, true, false) => Err(refused(NO_DAEMON.to_owned())),
        (false, false, _) => Err(refused(NO_FILE_SYSTEM.to_owned())),
    }
}

/// What the sandbox of QEMU is shown of servers beside it, by the directory of its run.
pub(super) fn server_sockets((shares, transport): (&[Share], Transport), run: &Path) -> Option<Mount> {
    (transport == Transport::VirtioFs && !shares.is_empty()).then(|| virtiofsd::mount(run))
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
    pub(super) fn in_argv(&self, transport: Transport) -> SharedDirectory {
        let server = match transport {
            Transport::NineP => FileServer::Qemu { path: self.inside() },
            Transport::VirtioFs => FileServer::Virtiofsd { socket: virtiofsd::socket(&self.name) },
        };
        SharedDirectory { tag: self.name.clone(), access: self.access, server }
    }

    fn inside(&self) -> String {
        format!("{INSIDE}/{}", self.name)
    }

    /// What systemd-fstab-generator(8) makes a mount of. A share that cannot be mounted does not keep the guest from booting. Files that programs
    /// map, as linkers do, need `cache=mmap`; nothing else is cached, since the host may change it.
    fn mount(&self, transport: Transport) -> String {
        let access = match self.access {
            DirectoryAccess::ReadOnly => "ro,",
            DirectoryAccess::Writable => "",
        };
        let (kind, more) = match transport {
            Transport::NineP => ("9p", format!(",trans=virtio,version=9p2000.L,cache=mmap,msize={MAX_MESSAGE_BYTES}")),
            Transport::VirtioFs => ("virtiofs", String::new()),
        };
        let name = &self.name;
        format!("systemd.mount-extra={name}:{MOUNT_POINT}/{name}:{kind}:{access}nofail,nosuid,nodev{more}")
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
    (shares, transport): (&[Share], Transport),
    described: &Description,
    others: &[String],
) -> Result<Vec<String>, GuestError> {
    let words: Vec<String> = shares.iter().map(|share| share.mount(transport)).collect();
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
