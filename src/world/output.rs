//! A directory that is held by its descriptor, for results and locks: what kiln puts into somebody's working directory.
//!
//! A working directory may come from a stranger, with links in it where kiln is going to write. So a path that kiln
//! writes to is walked part by part, and a link on the way is refused; a file is written under a random name, which
//! is created and never opened, and then takes the place of whatever had its name: a link there is replaced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::context::{context, plain};
use super::{WorldError, unfinished};

/// Around the random part of a name.
const PREFIX: &str = ".kiln-";
const SUFFIX: &str = ".tmp";
/// Random names that are tried. A second one is needed only where somebody sweeps the directory in the same instant.
const MAX_ATTEMPTS: u32 = 500;

/// A directory, whatever happens to its path.
#[derive(Debug)]
pub struct OutputDirectory {
    fd: OwnedFd,
    path: PathBuf,
}

impl OutputDirectory {
    /// The directory that kiln writes to at this path, made where it is missing. Below the working directory no part
    /// of the path may be a link; of other paths, which the user spelled out, the last part may be none.
    pub fn open(path: &Path) -> Result<OutputDirectory, WorldError> {
        OutputDirectory::open_from(Path::new(""), path)
    }

    /// The same, with another directory as the working directory.
    fn open_from(here: &Path, path: &Path) -> Result<OutputDirectory, WorldError> {
        let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().all(below) {
            let fd = OutputDirectory::given(if here.as_os_str().is_empty() { Path::new(".") } else { here })?.fd;
            return OutputDirectory { fd, path: here.to_owned() }.descend(path);
        }
        let Some(name) = path.file_name() else { return OutputDirectory::given(path) };
        let parent = path.parent().unwrap_or(Path::new("/"));
        super::context::create_dir_all(parent)?;
        OutputDirectory::given(parent)?.child(name)
    }

    /// The directory that holds a file, wherever links in the file's path lead, and the file's name.
    pub fn holding(path: &Path) -> Result<(OutputDirectory, &OsStr), WorldError> {
        let name = path.file_name().ok_or(Errno::ISDIR.into());
        let name = context("write", path, name)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok((OutputDirectory::given(parent.unwrap_or(Path::new(".")))?, name))
    }

    /// A directory below this one, made where it is missing; no part of the path may be a link.
    pub fn descend(self, path: &Path) -> Result<OutputDirectory, WorldError> {
        path.components().try_fold(self, |at, part| match part {
            Component::CurDir => Ok(at),
            Component::Normal(name) => at.child(name),
            _ => context("write to", path, Err(Errno::INVAL.into())),
        })
    }

    /// The directory of that name in this one, made where it is missing.
    fn child(&self, name: &OsStr) -> Result<OutputDirectory, WorldError> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => OutputDirectory::at(self.fd.as_fd(), name, path),
            Err(error) => context("create directory", &path, Err(error.into())),
        }
    }

    /// A path as the user gave it.
    fn given(path: &Path) -> Result<OutputDirectory, WorldError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Into::into);
        Ok(OutputDirectory { fd: context("open", path, fd)?, path: path.to_owned() })
    }

    fn at(parent: impl AsFd, name: &OsStr, path: PathBuf) -> Result<OutputDirectory, WorldError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
            Ok(fd) => Ok(OutputDirectory { fd, path }),
            Err(_) if is_link(parent.as_fd(), name) => Err(WorldError::Link { path }),
            Err(error) => context("open directory", &path, Err(error.into())),
        }
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it, refused when it is a link, no plain file, or larger than `limit`.
    pub fn read(&self, name: &OsStr, limit: u64) -> Result<Vec<u8>, WorldError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(Into::into);
        let file = plain("open", &path, File::from(context("open", &path, file)?))?;
        let mut bytes = Vec::new();
        context("read", &path, file.take(limit + 1).read_to_end(&mut bytes))?;
        if bytes.len() as u64 > limit { Err(WorldError::TooLarge { path, limit }) } else { Ok(bytes) }
    }

    /// Writes a file so that a reader sees the old bytes or the new ones, never a mixture, with this mode whatever the
    /// umask.
    pub fn write(&self, name: &OsStr, bytes: &[u8], mode: u32) -> Result<(), WorldError> {
        let mut new = self.begin()?;
        let written = new.file.write_all(bytes);
        context("write", &self.path.join(name), written)?;
        new.finish(name, mode)
    }

    /// Removes a file; it is no error when there is none.
    pub fn remove(&self, name: &OsStr) -> Result<(), WorldError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => context("remove", &self.path.join(name), Err(error.into())),
        }
    }

    /// Gives a file another name, which is taken from whatever had it.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), WorldError> {
        let renamed = rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(Into::into);
        context("rename", &self.path.join(from), renamed)
    }

    /// A new file that has no name of its own yet.
    pub fn begin(&self) -> Result<NewFile<'_>, WorldError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for attempt in 0..MAX_ATTEMPTS {
            let name = random_name();
            let file = match rustix::fs::openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                created => context("create a file in", &self.shown(), created.map_err(Into::into))?,
            };
            // Who sweeps leaves alone what somebody still writes to; who did before this line has removed the file.
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            let there = rustix::fs::statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW);
            if locked != Err(Errno::WOULDBLOCK) && !matches!(there, Err(Errno::NOENT)) {
                unfinished::note(&self.fd, &name);
                return Ok(NewFile { directory: self, name: Some(name), file: File::from(file) });
            }
            // Out of step with a process that sweeps again and again on a busy machine.
            std::thread::sleep(Duration::from_millis(u64::from(attempt.min(20))));
        }
        context("create a file in", &self.shown(), Err(Errno::AGAIN.into()))
    }

    /// Removes the new files of processes that were killed before they gave them a name.
    pub fn sweep(&self) -> Result<(), WorldError> {
        let swept = (|| {
            // Opened anew: the handle at hand is one of a path only, which cannot be listed.
            let listed = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            for entry in rustix::fs::Dir::new(rustix::fs::openat(&self.fd, ".", listed, Mode::empty())?)? {
                let entry = entry?;
                if !is_random_name(entry.file_name().to_bytes()) {
                    continue;
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let Ok(file) = rustix::fs::openat(&self.fd, entry.file_name(), flags, Mode::empty()) else { continue };
                let plain = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file();
                if plain && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    match rustix::fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty()) {
                        // It has got its name since.
                        Ok(()) | Err(Errno::NOENT) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok::<(), Errno>(())
        })();
        context("clean", &self.shown(), swept.map_err(Into::into))
    }

    fn shown(&self) -> PathBuf {
        if self.path.as_os_str().is_empty() { PathBuf::from(".") } else { self.path.clone() }
    }
}

/// A file that is being written; without [`NewFile::finish`] it goes away.
pub struct NewFile<'a> {
    directory: &'a OutputDirectory,
    name: Option<OsString>,
    /// To be written to, and read again.
    pub file: File,
}

impl NewFile<'_> {
    /// Where it is until it has its name.
    pub fn path(&self) -> PathBuf {
        self.directory.path.join(self.name.as_deref().unwrap_or_default())
    }

    /// Gives it its name, which is taken from whatever had it.
    pub fn finish(mut self, name: &OsStr, mode: u32) -> Result<(), WorldError> {
        let path = self.settle(name, mode)?;
        if let Some(random) = &self.name {
            let fd = &self.directory.fd;
            context("write", &path, rustix::fs::renameat(fd, random, fd, name).map_err(Into::into))?;
            self.is_named();
        }
        Ok(())
    }

    /// Gives it a name that nothing has; `false`, and the file goes away, if something has it.
    pub fn finish_new(mut self, name: &OsStr, mode: u32) -> Result<bool, WorldError> {
        let path = self.settle(name, mode)?;
        let Some(random) = &self.name else { return Ok(false) };
        let fd = &self.directory.fd;
        match rustix::fs::renameat_with(fd, random, fd, name, RenameFlags::NOREPLACE) {
            Ok(()) => self.is_named(),
            Err(Errno::EXIST) => return Ok(false),
            // A file system that cannot do this in one step has hard links, whose random name then goes away.
            Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::linkat(fd, random, fd, name, AtFlags::empty()) {
                Err(Errno::EXIST) => return Ok(false),
                linked => context("write", &path, linked.map_err(Into::into))?,
            },
            Err(error) => context("write", &path, Err(error.into()))?,
        }
        Ok(true)
    }

    /// It stays.
    fn is_named(&mut self) {
        if let Some(random) = self.name.take() {
            unfinished::forget(&random);
        }
    }

    /// Everything before the name: the mode, and bytes that outlast a power failure.
    fn settle(&self, name: &OsStr, mode: u32) -> Result<PathBuf, WorldError> {
        let path = self.directory.path.join(name);
        let protected = rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(Into::into);
        context("set the mode of", &path, protected)?;
        context("sync", &path, self.file.sync_all())?;
        Ok(path)
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        // Closing it would do, but for programs that another thread starts right now: they have it open until they run.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        if let Some(name) = &self.name {
            // The error that matters is the first one; a left-over temporary file is only untidy.
            let _ = rustix::fs::unlinkat(&self.directory.fd, name, AtFlags::empty());
            unfinished::forget(name);
        }
    }
}

fn is_link(parent: impl AsFd, name: &OsStr) -> bool {
    let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_symlink())
}

/// A name that nobody can foresee, and so nobody can have prepared.
fn random_name() -> OsString {
    let mut bytes = [0; 16];
    // The kernel gives so few bytes whole, or waits; were it to refuse, exclusive creation still protects the file.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    OsString::from(format!("{PREFIX}{hex}{SUFFIX}"))
}

/// Whether it is the name of a new file of a process, which may have been killed.
pub fn is_temporary(name: &OsStr) -> bool {
    is_random_name(name.as_encoded_bytes())
}

fn is_random_name(name: &[u8]) -> bool {
    let middle = name.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    middle.is_some_and(|hex| hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
