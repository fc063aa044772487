//! A directory of the user's own in a sandbox: what is written there belongs to its owner, whoever runs the sandbox.
//!
//! A user's sandbox acts as that user, so a plain mount does. Root's sandbox has an id that nobody uses, and would see the
//! directory as a stranger: for it, the mount itself translates ids (idmapped mounts, `mount_setattr(2)`), so that the
//! sandbox's 0 is the directory's owner in there and nobody anywhere else. The files themselves are never given away.
//!
//! Every restriction is the kernel's, on the mount, and holds for mounts below it as well.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use serde::{Deserialize, Serialize};

use super::{SandboxError, ids};

/// What a sandbox may do in a directory of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryAccess {
    ReadOnly,
    Writable,
}

/// Which directory it is, wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryIdentity {
    device: u64,
    inode: u64,
}

impl DirectoryIdentity {
    pub fn of(data: &std::fs::Metadata) -> DirectoryIdentity {
        DirectoryIdentity { device: data.dev(), inode: data.ino() }
    }
}

/// A directory of the user's, and where it is inside. Set-uid bits count for nothing in it, and device nodes do not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDirectory {
    pub source: PathBuf,
    /// The directory that was looked at: another one in its place is refused.
    pub identity: DirectoryIdentity,
    /// Absolute path inside; created when missing.
    pub target: PathBuf,
    pub access: DirectoryAccess,
}

/// For root: what was opened, mounted at `at` for a sandbox whose 0 is `sandbox` outside.
pub(super) fn stage(opened: &OwnedFd, at: &Path, sandbox: u32) -> Result<(), SandboxError> {
    let what = || format!("show {} as its owner sees it", at.display());
    let data = rustix::fs::fstat(opened).map_err(|error| SandboxError::setup(what(), error))?;
    let users = namespace((data.st_uid, data.st_gid), sandbox)?;
    // A magic link leads to exactly what was opened. Without mounts below it.
    let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, path, flags);
    let tree = tree.map_err(|error| SandboxError::setup(what(), error))?;
    set_attributes(tree.as_fd(), libc::MOUNT_ATTR_IDMAP, Some(&users)).map_err(|error| match error {
        Errno::INVAL | Errno::NOSYS | Errno::PERM => SandboxError::setup(
            what(),
            "its file system or this kernel has no idmapped mounts; run kiln as the owner of the directory instead",
        ),
        other => SandboxError::setup(what(), other),
    })?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", rustix::fs::CWD, at, flags).map_err(|error| SandboxError::setup(what(), error))
}

/// Restricts what was mounted at `target`, and everything below it.
pub(super) fn restrict(directory: &HostDirectory, target: &Path) -> Result<(), SandboxError> {
    let what = || format!("protect {}", directory.source.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mounted = rustix::fs::open(target, flags, Mode::empty()).map_err(|error| SandboxError::setup(what(), error))?;
    let found = rustix::fs::fstat(&mounted).map_err(|error| SandboxError::setup(what(), error))?;
    if (DirectoryIdentity { device: found.st_dev, inode: found.st_ino }) != directory.identity {
        let reason = "another directory has taken its place since kiln looked at it";
        return Err(SandboxError::setup(format!("show {}", directory.source.display()), reason));
    }
    let readonly = match directory.access {
        DirectoryAccess::ReadOnly => libc::MOUNT_ATTR_RDONLY,
        DirectoryAccess::Writable => 0,
    };
    let attributes = readonly | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set_attributes(mounted.as_fd(), attributes, None).map_err(|error| match error {
        Errno::NOSYS => SandboxError::setup(what(), "sharing a directory needs Linux 5.12 or newer"),
        other => SandboxError::setup(what(), other),
    })
}

/// `mount_setattr(2)` of a mount and all below it.
fn set_attributes(mount: BorrowedFd<'_>, set: u64, users: Option<&OwnedFd>) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.map_or(0, |users| users.as_raw_fd() as u64),
    };
    // The clone of one mount has none below it, and ids of several cannot be translated at once.
    let flags = if users.is_some() { libc::AT_EMPTY_PATH } else { libc::AT_EMPTY_PATH | libc::AT_RECURSIVE };
    // SAFETY: the kernel reads the path and the structure, which live until it returns, and writes to neither.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

/// A user namespace in which these ids of the file system are the sandbox's. It lives as long as what is returned.
fn namespace((user, group): (u32, u32), sandbox: u32) -> Result<OwnedFd, SandboxError> {
    let failed = |error: Errno| SandboxError::setup("make a user namespace for a shared directory", error);
    let (made, make) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed)?;
    // SAFETY: this process has one thread, and the child calls nothing but what is async-signal-safe and allocates nothing.
    let child = match unsafe { libc::fork() } {
        0 => unsafe { wait_inside(make.as_raw_fd()) },
        child => rustix::process::Pid::from_raw(child).filter(|_| child > 0).ok_or_else(|| failed(last_error()))?,
    };
    drop(make);
    let namespace = match rustix::io::read(&made, &mut [0; 1]) {
        Ok(1) => ids::map_one(child.as_raw_pid() as u32, (user, group), sandbox).and_then(|()| {
            let path = format!("/proc/{}/ns/user", child.as_raw_pid());
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)
        }),
        _ => Err(failed(Errno::PERM)),
    };
    // What is open keeps it; the process was only needed to make it.
    let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    let _ = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
    namespace
}

/// The child of [`namespace`]: makes it, says so, and waits for its end.
///
/// # Safety
///
/// The process must be a fresh fork that does nothing else.
unsafe fn wait_inside(make: i32) -> ! {
    // SAFETY: these calls are async-signal-safe, and the byte that is written outlives the call.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::unshare(libc::CLONE_NEWUSER) == 0 && libc::write(make, c"n".as_ptr().cast(), 1) == 1 {
            loop {
                libc::pause();
            }
        }
        libc::_exit(1)
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
