//! Where the host sees a tree. This is the one file that knows a tree by a path of the host.

use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::{Tree, TreeError, resolve};
use crate::exec::sandbox;
use crate::world::{WorldError, fs};

/// A directory of the host that becomes a tree. It can be mounted and be a sandbox's root, but nothing can be joined to
/// it: for everything within there is [`Tree`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct HostPath(PathBuf);

impl HostPath {
    /// The path must belong to kiln alone.
    pub(crate) fn new(path: PathBuf) -> HostPath {
        HostPath(path)
    }

    /// Makes it an empty directory, whatever was there.
    pub(crate) fn clear(&self) -> Result<(), WorldError> {
        fs::remove_tree(&self.0)?;
        fs::create_dir_all(&self.0)
    }

    /// Mounts memory over it, for the mount namespace of this process; says whether that was possible.
    pub(crate) fn mount_memory(&self) -> bool {
        let options = std::ffi::CString::new(format!("mode=755,{}", sandbox::tree_options()));
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        options.is_ok_and(|options| rustix::mount::mount("tmpfs", &self.0, "tmpfs", flags, options.as_c_str()).is_ok())
    }

    /// As the root of a sandbox that may change it.
    pub(crate) fn writable(&self) -> sandbox::Root {
        sandbox::Root::Writable(self.0.clone())
    }

    /// Opens the tree; it is made when there is none, and its root has mode 0755, whatever the umask.
    pub(crate) fn open(&self) -> Result<Tree, TreeError> {
        let failed = |source| TreeError::Root { path: self.0.clone(), source };
        fs::create_dir_all(&self.0).map_err(|error| failed(std::io::Error::other(error)))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(rustix::fs::CWD, &self.0, flags, Mode::empty());
        let root = root.map_err(|error| failed(error.into()))?;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(|error| failed(error.into()))?;
        // Asked once, so that an old kernel is not mistaken for a damaged tree. Filters of containers say EPERM.
        match resolve(&root, ".".as_ref(), OFlags::PATH | OFlags::DIRECTORY) {
            Ok(root) => Ok(Tree { root: root.into(), kept: Kept::default() }),
            Err(error)
                if [Errno::NOSYS, Errno::PERM].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error()) =>
            {
                Err(TreeError::Kernel(error))
            }
            Err(error) => Err(failed(error)),
        }
    }
}
