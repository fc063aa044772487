//! One mount at a time: what the view of a sandbox is put together from.

use std::fs::create_dir_all;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::SandboxError;
use super::limits::tmpfs_options;

/// Directories that a tmpfs may cover while the new root is put together; one of them is everywhere.
const PLACES: [&str; 5] = ["/tmp", "/run", "/mnt", "/var", "/usr"];

/// What a mount is restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountKind {
    /// Nothing can be changed.
    ReadOnly,
    /// Files can be changed.
    Writable,
    /// A device, which opens for reading and writing, and whose node stays as it is.
    Device,
}

/// A directory to mount a tmpfs on.
pub(super) fn place() -> Result<PathBuf, SandboxError> {
    let found = PLACES.iter().map(PathBuf::from).find(|path| path.is_dir());
    found.ok_or_else(|| SandboxError::setup("find a directory to mount on", format!("none of {}", PLACES.join(", "))))
}

/// The report of a source that cannot be shown.
pub(super) fn absent(source: &Path, error: Errno) -> SandboxError {
    let source = source.display();
    let reason = match error {
        Errno::NOENT | Errno::ACCESS => format!("{source} does not exist or is not accessible"),
        other => other.to_string(),
    };
    SandboxError::setup(format!("show {source}"), reason)
}

pub(super) fn make_file(path: &Path) -> std::io::Result<()> {
    create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    std::fs::OpenOptions::new().write(true).create_new(true).open(path).map(drop)
}

/// Shows `source` at `target`, which exists.
pub(super) fn bind(source: &Path, target: &Path) -> Result<(), SandboxError> {
    let bound = match rustix::mount::mount_bind(source, target) {
        // Mounts below it came from outside and may not be uncovered; then they come along.
        Err(Errno::INVAL) => rustix::mount::mount_bind_recursive(source, target),
        other => other,
    };
    step(&format!("show {} at {}", source.display(), target.display()), bound)
}

/// Restricts one mount, keeping the flags that a user namespace may not clear. Set-uid bits never count.
pub(super) fn restrict(target: &Path, kind: MountKind) -> Result<(), SandboxError> {
    let what = format!("protect {}", target.display());
    let now = rustix::fs::statvfs(target).map_err(|error| SandboxError::setup(&what, error))?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID;
    flags |= match kind {
        MountKind::ReadOnly => MountFlags::NODEV | MountFlags::RDONLY,
        MountKind::Writable => MountFlags::NODEV,
        MountKind::Device => MountFlags::NOEXEC | MountFlags::RDONLY,
    };
    for (has, keep) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ] {
        if now.contains(has) {
            flags |= keep;
        }
    }
    step(&what, rustix::mount::mount_remount(target, flags, ""))
}

/// An empty file to mount something on.
pub(super) fn empty_file(path: &Path) -> Result<(), SandboxError> {
    make_file(path).map_err(|error| SandboxError::setup(format!("make {}", path.display()), error))
}

/// A directory with exactly this mode.
pub(super) fn directory(path: &Path, mode: u32) -> Result<(), SandboxError> {
    let what = format!("make {}", path.display());
    step(&what, rustix::fs::mkdir(path, Mode::from_raw_mode(mode)))?;
    step(&what, rustix::fs::chmod(path, Mode::from_raw_mode(mode)))
}

pub(super) fn keep_private() -> Result<(), SandboxError> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    step("part from the host's mounts", rustix::mount::mount_change("/", flags))
}

pub(super) fn tmpfs(at: &Path, mode: u32) -> Result<(), SandboxError> {
    tmpfs_with(at, mode, Devices::Shut)
}

/// Whether device nodes in a file system open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Devices {
    /// They do.
    Open,
    /// They do not.
    Shut,
}

/// The same where device nodes may be wanted.
pub(super) fn tmpfs_with(at: &Path, mode: u32, devices: Devices) -> Result<(), SandboxError> {
    let options = format!("mode={mode:o},{}", tmpfs_options(at));
    let options = std::ffi::CString::new(options).map_err(|error| SandboxError::setup("tmpfs", error))?;
    let mut flags = MountFlags::NOSUID;
    if devices == Devices::Shut {
        flags |= MountFlags::NODEV;
    }
    let what = format!("mount a tmpfs on {}", at.display());
    step(&what, rustix::mount::mount("tmpfs", at, "tmpfs", flags, options.as_c_str()))
}

pub(super) fn step(what: &str, result: rustix::io::Result<()>) -> Result<(), SandboxError> {
    result.map_err(|error| SandboxError::setup(what, error))
}
