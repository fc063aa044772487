//! For root: everything that a sandbox is to see, mounted where its user may look, before it becomes that user.
//!
//! Inside a sandbox of root, user 0 is an id that nobody uses, and may not look into `/root`, say. So while it is still
//! root, the monitor mounts each source on a tmpfs that everybody may look into, and the job then names those places.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::job::{Job, Work};
use super::mount::{
    Devices, MountKind, absent, bind, directory, empty_file, keep_private, place, restrict, tmpfs_with,
};
use super::{Root, SandboxError, directory as shared};

/// Shows every source of the job below a tmpfs, and has the job name it there; `owner` is who 0 inside will be.
pub(super) fn stage(job: &mut Job, owner: u32) -> Result<(), SandboxError> {
    unshare(UnshareFlags::NEWNS).map_err(|error| SandboxError::setup("make a mount namespace", error))?;
    keep_private()?;
    // Opened before the tmpfs covers anything: all at once, and an image may have a thousand packages.
    super::limits::open_many();
    let sources = sources(job);
    let opened: Vec<OwnedFd> = sources.iter().map(|source| open(source.path())).collect::<Result<_, _>>()?;
    let place = place()?;
    tmpfs_with(&place, 0o755, Devices::Open)?;
    let mut staged = sources.into_iter().zip(&opened).enumerate().map(|(number, (source, fd))| {
        let at = place.join(number.to_string());
        match &source {
            Source::Plain(source) => show(source, fd, (&at, owner))?,
            Source::Directory(_) => {
                directory(&at, 0o755)?;
                shared::stage(fd, &at, owner)?;
            }
        }
        let (Source::Plain(source) | Source::Directory(source)) = source;
        source.clone_from(&at);
        Ok(())
    });
    staged.try_for_each(|done| done)
}

/// Something that a sandbox is to see.
enum Source<'a> {
    Plain(&'a mut PathBuf),
    /// A directory of the user's own.
    Directory(&'a mut PathBuf),
}

impl Source<'_> {
    fn path(&self) -> &Path {
        let (Source::Plain(path) | Source::Directory(path)) = self;
        path
    }
}

/// Parts from namespaces.
pub(super) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the danger is CLONE_FILES, which is never given; this process has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn sources(job: &mut Job) -> Vec<Source<'_>> {
    let (root, mounts, directories) = match &mut job.work {
        Work::Program(spec) => (Some(&mut spec.root), &mut spec.mounts, &mut spec.directories[..]),
        Work::Entry { mounts, .. } => (None, mounts, &mut [][..]),
    };
    let root = root.and_then(|root| match root {
        Root::ReadOnly(path) | Root::Writable(path) => Some(path),
        Root::Empty => None,
    });
    let plain = root.into_iter().chain(mounts.iter_mut().map(|mount| &mut mount.source)).map(Source::Plain);
    plain.chain(directories.iter_mut().map(|shared| Source::Directory(&mut shared.source))).collect()
}

fn open(source: &Path) -> Result<OwnedFd, SandboxError> {
    let opened = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|error| absent(source, error))
}

fn show(source: &Path, fd: &OwnedFd, (at, owner): (&Path, u32)) -> Result<(), SandboxError> {
    let failed = |error: std::io::Error| SandboxError::setup(format!("look at {}", source.display()), error);
    // A magic link leads to exactly what was opened.
    let opened = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let data = std::fs::metadata(&opened).map_err(failed)?;
    let kind = data.file_type();
    if kind.is_char_device() && node(at, data.rdev(), owner).is_ok() {
        return Ok(());
    }
    if kind.is_dir() {
        directory(at, 0o755)?
    } else {
        empty_file(at)?
    }
    bind(&opened, at)?;
    let device = kind.is_char_device() || kind.is_block_device();
    restrict(at, if device { MountKind::Device } else { MountKind::Writable })
}

/// A device node of the sandbox's own: the host's may be for a group that the sandbox is not in.
fn node(at: &Path, device: u64, owner: u32) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, at, FileType::CharacterDevice, mode, device)?;
    rustix::fs::chown(at, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
}
