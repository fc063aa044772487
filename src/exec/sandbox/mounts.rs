//! Arranges what a sandbox sees. Runs in pid 1, in a mount namespace of its own.
//!
//! A tmpfs becomes `/` with the host at `/host`; the new root is put together at `/root`; then that becomes `/` and
//! the host disappears. So every source is found whatever is mounted over what.

use std::fs::create_dir_all;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::limits::tmpfs_options;
use super::root::{provide, resolve};
use super::{Mount, Root, SandboxError};

const HOST: &str = "/host";
const NEW: &str = "/root";
/// Directories that a tmpfs may cover while the new root is put together; one of them is everywhere.
const PLACES: [&str; 5] = ["/tmp", "/run", "/mnt", "/var", "/usr"];

/// Device nodes that every sandbox has; they are the host's, for `mknod` is not allowed in user namespaces.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Files of `/proc` that change or show the machine as a whole.
const MACHINE_WIDE: [&str; 6] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi"];
/// Files of `/proc` that name the keys of the caller, whatever keyring a process has: they are empty inside.
const KEYS: [&str; 2] = ["keys", "key-users"];

/// What a process sees.
pub(super) struct View<'a> {
    pub(super) root: &'a Root,
    pub(super) mounts: &'a [Mount],
    pub(super) cwd: &'a Path,
}

/// What a mount is restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing can be changed.
    ReadOnly,
    /// Files can be changed.
    Writable,
    /// A device, which opens for reading and writing, and whose node stays as it is.
    Device,
}

/// Leaves the host behind.
pub(super) fn enter(view: &View<'_>) -> Result<(), SandboxError> {
    keep_private()?;
    let dir = place()?;
    tmpfs(&dir, 0o755)?;
    for name in [HOST, NEW] {
        directory(&dir.join(&name[1..]), 0o755)?;
    }
    let old = dir.join(&HOST[1..]);
    step("turn to a new root", rustix::process::pivot_root(&dir, &old))?;
    step("enter the new root", rustix::process::chdir("/"))?;
    match view.root {
        Root::ReadOnly(dir) => {
            tmpfs(Path::new(NEW), 0o755)?;
            provide(&on_host(dir), Path::new(NEW), &targets(view))?;
        }
        Root::Writable(dir) => {
            bind(&on_host(dir), Path::new(NEW))?;
            // The mount point was looked up before: what is seen through it is the mount.
            restrict(Path::new(NEW), Kind::Writable)?;
        }
        Root::Empty => tmpfs(Path::new(NEW), 0o755)?,
    }
    own_file_systems()?;
    view.mounts.iter().try_for_each(mount)?;
    if !matches!(view.root, Root::Writable(_)) {
        restrict(Path::new(NEW), Kind::ReadOnly)?;
    }
    step("enter the root", rustix::process::chdir(NEW))?;
    step("make it the root", rustix::process::pivot_root(".", "."))?;
    step("leave the host", rustix::mount::unmount(".", UnmountFlags::DETACH))?;
    step("enter the root", rustix::process::chdir("/"))
}

/// A directory to mount a tmpfs on.
pub(super) fn place() -> Result<PathBuf, SandboxError> {
    let found = PLACES.iter().map(PathBuf::from).find(|path| path.is_dir());
    found.ok_or_else(|| SandboxError::setup("find a directory to mount on", format!("none of {}", PLACES.join(", "))))
}

/// Every path that must exist before it can be mounted on, and whether it is a directory.
fn targets(view: &View<'_>) -> Vec<(PathBuf, bool)> {
    let own = ["/proc", "/dev", "/tmp"].map(|path| (PathBuf::from(path), true));
    let mut all: Vec<(PathBuf, bool)> = own.into();
    for mount in view.mounts {
        // What lies below an earlier mount is looked for in that one.
        if !all.iter().any(|(earlier, _)| mount.target.starts_with(earlier)) {
            all.push((mount.target.clone(), on_host(&mount.source).is_dir()));
        }
    }
    if !all.iter().any(|(target, _)| view.cwd.starts_with(target)) {
        all.push((view.cwd.to_owned(), true));
    }
    all
}

fn own_file_systems() -> Result<(), SandboxError> {
    let at = |path: &str| existing(Path::new(path), true);
    proc(&at("/proc")?)?;
    tmpfs(&at("/tmp")?, 0o1777)?;
    let dev = at("/dev")?;
    tmpfs(&dev, 0o755)?;
    for name in DEVICES {
        let node = dev.join(name);
        empty_file(&node)?;
        bind(&Path::new(HOST).join("dev").join(name), &node)?;
        restrict(&node, Kind::Device)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        step(&format!("link /dev/{name}"), rustix::fs::symlink(target, dev.join(name)))?;
    }
    directory(&dev.join("shm"), 0o1777)?;
    tmpfs(&dev.join("shm"), 0o1777)?;
    directory(&dev.join("pts"), 0o755)?;
    let options = c"newinstance,ptmxmode=0666,mode=620";
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    step("mount /dev/pts", rustix::mount::mount("devpts", dev.join("pts"), "devpts", flags, options))
}

fn proc(at: &Path) -> Result<(), SandboxError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = rustix::mount::mount("proc", at, "proc", flags, None);
    if mounted == Err(Errno::PERM) {
        let reason = "Operation not permitted: a container that hides parts of /proc forbids it \
                      (Docker: `--security-opt systempaths=unconfined`)";
        return Err(SandboxError::setup("mount /proc", reason));
    }
    step("mount /proc", mounted)?;
    for name in MACHINE_WIDE {
        let path = at.join(name);
        if path.exists() {
            bind(&path, &path)?;
            restrict(&path, Kind::ReadOnly)?;
        }
    }
    for name in KEYS {
        let path = at.join(name);
        if path.exists() {
            bind(&Path::new(HOST).join("dev/null"), &path)?;
            restrict(&path, Kind::Device)?;
        }
    }
    Ok(())
}

fn mount(mount: &Mount) -> Result<(), SandboxError> {
    let source = on_host(&mount.source);
    if !source.exists() {
        return Err(absent(&mount.source, Errno::NOENT));
    }
    let target = existing(&mount.target, source.is_dir())?;
    bind(&source, &target)?;
    let kind = source.metadata().map(|data| data.file_type());
    let device = kind.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device());
    restrict(
        &target,
        match mount.readonly {
            _ if device => Kind::Device,
            true => Kind::ReadOnly,
            false => Kind::Writable,
        },
    )
}

/// The report of a source that cannot be shown.
pub(super) fn absent(source: &Path, error: Errno) -> SandboxError {
    let source = source.display();
    let reason = match error {
        Errno::NOENT | Errno::ACCESS => format!("{source} does not exist, or this user may not look there"),
        other => other.to_string(),
    };
    SandboxError::setup(format!("show {source}"), reason)
}

/// The path below the new root that `path` means inside, made when nothing is there.
fn existing(path: &Path, is_directory: bool) -> Result<PathBuf, SandboxError> {
    let target = resolve(Path::new(NEW), path)?;
    if !target.exists() {
        let made = if is_directory { create_dir_all(&target) } else { make_file(&target) };
        made.map_err(|error| SandboxError::place(path, &error))?;
    }
    Ok(target)
}

fn make_file(path: &Path) -> std::io::Result<()> {
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
pub(super) fn restrict(target: &Path, kind: Kind) -> Result<(), SandboxError> {
    let what = format!("protect {}", target.display());
    let now = rustix::fs::statvfs(target).map_err(|error| SandboxError::setup(&what, error))?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID;
    flags |= match kind {
        Kind::ReadOnly => MountFlags::NODEV | MountFlags::RDONLY,
        Kind::Writable => MountFlags::NODEV,
        Kind::Device => MountFlags::NOEXEC | MountFlags::RDONLY,
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

fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

fn step(what: &str, result: rustix::io::Result<()>) -> Result<(), SandboxError> {
    result.map_err(|error| SandboxError::setup(what, error))
}
