//! Arranges what a sandbox sees. Runs in pid 1, in a mount namespace of its own.
//!
//! A tmpfs becomes `/` with the host at `/host`; the new root is put together at `/root`; then that becomes `/` and
//! the host disappears. So every source is found whatever is mounted over what.

use std::fs::create_dir_all;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::mount::{
    MountKind, absent, bind, directory, empty_file, keep_private, make_file, place, restrict, step, tmpfs,
};
use super::root::{provide, resolve};
use super::{HostDirectory, Mount, Root, SandboxError, directory as shared};

const HOST: &str = "/host";
const NEW: &str = "/root";

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
    pub(super) directories: &'a [HostDirectory],
    pub(super) cwd: &'a Path,
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
            restrict(Path::new(NEW), MountKind::Writable)?;
        }
        Root::Empty => tmpfs(Path::new(NEW), 0o755)?,
    }
    own_file_systems()?;
    view.mounts.iter().try_for_each(mount)?;
    view.directories.iter().try_for_each(host_directory)?;
    if !matches!(view.root, Root::Writable(_)) {
        restrict(Path::new(NEW), MountKind::ReadOnly)?;
    }
    step("enter the root", rustix::process::chdir(NEW))?;
    step("make it the root", rustix::process::pivot_root(".", "."))?;
    step("leave the host", rustix::mount::unmount(".", UnmountFlags::DETACH))?;
    step("enter the root", rustix::process::chdir("/"))
}

/// Every path that must exist before it can be mounted on, and whether it is a directory.
fn targets(view: &View<'_>) -> Vec<(PathBuf, bool)> {
    let own = ["/proc", "/dev", "/tmp"].map(|path| (PathBuf::from(path), true));
    let mut all: Vec<(PathBuf, bool)> = own.into();
    let mounts = view.mounts.iter().map(|mount| (&mount.target, on_host(&mount.source).is_dir()));
    for (target, is_directory) in mounts.chain(view.directories.iter().map(|directory| (&directory.target, true))) {
        // What lies below an earlier mount is looked for in that one.
        if !all.iter().any(|(earlier, _)| target.starts_with(earlier)) {
            all.push((target.clone(), is_directory));
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
        restrict(&node, MountKind::Device)?;
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
            restrict(&path, MountKind::ReadOnly)?;
        }
    }
    for name in KEYS {
        let path = at.join(name);
        if path.exists() {
            bind(&Path::new(HOST).join("dev/null"), &path)?;
            restrict(&path, MountKind::Device)?;
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
            _ if device => MountKind::Device,
            true => MountKind::ReadOnly,
            false => MountKind::Writable,
        },
    )
}

fn host_directory(directory: &HostDirectory) -> Result<(), SandboxError> {
    let source = on_host(&directory.source);
    if !source.is_dir() {
        return Err(absent(&directory.source, Errno::NOENT));
    }
    let target = existing(&directory.target, true)?;
    bind(&source, &target)?;
    shared::restrict(directory, &target)
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

fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}
