//! Arranges what a sandbox sees. Runs in pid 1, in a mount namespace of its own.
//!
//! A tmpfs becomes `/` with the host at `/host`; the new root is put together at `/root`; then that becomes `/` and
//! the host disappears. So every source is found whatever is mounted over what.

use std::fs::create_dir_all;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::limits::tmpfs_options;
use super::root::{provide, resolve};
use super::{Mount, Root, SandboxError, Spec};

const HOST: &str = "/host";
const NEW: &str = "/root";

/// Device nodes that every sandbox has; they are the host's, for `mknod` is not allowed in user namespaces.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Files of `/proc` that change or show the machine as a whole.
const MACHINE_WIDE: [&str; 6] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi"];

/// Leaves the host behind.
pub(super) fn enter(spec: &Spec) -> Result<(), SandboxError> {
    let (Root::ReadOnly(dir) | Root::Writable(dir)) = &spec.root;
    keep_private()?;
    tmpfs(dir, 0o755)?;
    for name in [HOST, NEW] {
        directory(&dir.join(&name[1..]), 0o755)?;
    }
    let old = dir.join(&HOST[1..]);
    step("turn to a new root", rustix::process::pivot_root(dir, &old))?;
    step("enter the new root", rustix::process::chdir("/"))?;
    match &spec.root {
        Root::ReadOnly(dir) => {
            tmpfs(Path::new(NEW), 0o755)?;
            provide(&on_host(dir), Path::new(NEW), &targets(spec))?;
        }
        Root::Writable(dir) => {
            bind(&on_host(dir), Path::new(NEW))?;
            // The mount point was looked up before: what is seen through it is the mount.
        }
    }
    own_file_systems()?;
    spec.mounts.iter().try_for_each(mount)?;
    if matches!(spec.root, Root::ReadOnly(_)) {
        read_only(Path::new(NEW))?;
    }
    step("enter the root", rustix::process::chdir(NEW))?;
    step("make it the root", rustix::process::pivot_root(".", "."))?;
    step("leave the host", rustix::mount::unmount(".", UnmountFlags::DETACH))?;
    step("enter the root", rustix::process::chdir("/"))
}

/// For a function of kiln: the host's files, but the processes of this namespace.
pub(super) fn refresh_proc() -> Result<(), SandboxError> {
    keep_private()?;
    proc(Path::new("/proc"))
}

/// Every path that must exist before it can be mounted on, and whether it is a directory.
fn targets(spec: &Spec) -> Vec<(PathBuf, bool)> {
    let own = ["/proc", "/dev", "/tmp"].map(|path| (PathBuf::from(path), true));
    let mut all: Vec<(PathBuf, bool)> = own.into();
    for mount in &spec.mounts {
        // What lies below an earlier mount is looked for in that one.
        if !all.iter().any(|(earlier, _)| mount.target.starts_with(earlier)) {
            all.push((mount.target.clone(), on_host(&mount.source).is_dir()));
        }
    }
    if !all.iter().any(|(target, _)| spec.cwd.starts_with(target)) {
        all.push((spec.cwd.clone(), true));
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
            read_only(&path)?;
        }
    }
    Ok(())
}

fn mount(mount: &Mount) -> Result<(), SandboxError> {
    let source = on_host(&mount.source);
    if !source.exists() {
        let reason = format!("{} does not exist, or {} may not look there", mount.source.display(), "this user");
        return Err(SandboxError::setup(format!("show {}", mount.target.display()), reason));
    }
    let target = existing(&mount.target, source.is_dir())?;
    bind(&source, &target)?;
    if mount.readonly { read_only(&target) } else { Ok(()) }
}

/// The path below the new root that `path` means inside, made when nothing is there.
fn existing(path: &Path, is_directory: bool) -> Result<PathBuf, SandboxError> {
    let target = resolve(Path::new(NEW), path)?;
    if !target.exists() {
        let made = if is_directory { create_dir_all(&target) } else { make_file(&target) };
        made.map_err(|error| SandboxError::setup(format!("make {}", path.display()), error))?;
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

/// Refuses writing through one mount, keeping the flags that a user namespace may not clear.
pub(super) fn read_only(target: &Path) -> Result<(), SandboxError> {
    let what = format!("protect {}", target.display());
    let now = rustix::fs::statvfs(target).map_err(|error| SandboxError::setup(&what, error))?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (has, keep) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
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

fn keep_private() -> Result<(), SandboxError> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    step("part from the host's mounts", rustix::mount::mount_change("/", flags))
}

fn tmpfs(at: &Path, mode: u32) -> Result<(), SandboxError> {
    let options = format!("mode={mode:o},{}", tmpfs_options(at));
    let options = std::ffi::CString::new(options).map_err(|error| SandboxError::setup("tmpfs", error))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let what = format!("mount a tmpfs on {}", at.display());
    step(&what, rustix::mount::mount("tmpfs", at, "tmpfs", flags, options.as_c_str()))
}

fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

fn step(what: &str, result: rustix::io::Result<()>) -> Result<(), SandboxError> {
    result.map_err(|error| SandboxError::setup(what, error))
}
