//! What kiln tells the process that becomes a sandbox, and what that process tells back.
//!
//! A sandbox is made by three processes, each a fresh `exec` of kiln itself, so that nothing complicated ever happens
//! between `fork` and `exec` of a program with threads:
//!
//! ```text
//! kiln --spawns--> monitor (makes the namespaces) --spawns--> init (pid 1: mounts, reaps) --spawns--> the program
//! ```
//!
//! The job travels in a memory file that each of them reads anew; answers come back as JSON lines on a socket, which
//! also tells each side that the other is gone.

use std::ffi::OsString;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};

use super::seccomp::FilterKind;
use super::{Limits, Mount, SandboxError, SandboxIds, Spec};

/// First argument of the process that makes the namespaces.
pub(super) const MONITOR: &str = "__sandbox";
/// First argument of pid 1.
pub(super) const INIT: &str = "__init";
/// First argument of a process that runs one of kiln's own functions inside.
pub(super) const INSIDE: &str = "__inside";
/// The function of kiln's own that does nothing: it tells whether a sandbox can be made.
pub const EMPTY: &str = "empty";

/// Everything the three processes need to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) ids: SandboxIds,
    /// Who 0 inside is outside, when that is not the caller: see [`super::builder`].
    pub(super) owner: Option<u32>,
    pub(super) limits: Limits,
    /// What kind of program it is, which decides what the kernel refuses it.
    pub(super) kind: FilterKind,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Work {
    /// A program that sees only what the spec says.
    Program(Spec),
    /// A function of kiln that sees only these mounts.
    Entry { name: String, argument: String, mounts: Vec<Mount> },
}

/// What is told back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The user namespace is there and waits for its id maps.
    Unshared,
    Started,
    /// Nothing inside has worked for so many seconds; a sentence says what it waits for.
    Silent {
        seconds: u64,
        waits: String,
    },
    /// The program ended with this wait status.
    Ended(i32),
    /// It went wrong.
    Failed(SandboxError),
}

/// The two descriptors that every process of a sandbox inherits.
pub(super) struct Wires {
    pub(super) control: UnixStream,
    job: OwnedFd,
}

impl Wires {
    /// For the caller: a new job, and the caller's end of the socket.
    pub(super) fn new(job: &Job) -> Result<(UnixStream, Wires), SandboxError> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| SandboxError::setup("make a socket", error))?;
        let memory = rustix::fs::memfd_create("kiln-job", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| SandboxError::setup("make a memory file", error))?;
        let wires = Wires { control: theirs, job: memory };
        wires.write_job(job)?;
        Ok((ours, wires))
    }

    /// Writes the job down anew, for the processes that are still to start.
    pub(super) fn write_job(&self, job: &Job) -> Result<(), SandboxError> {
        let failed = |error: &dyn std::fmt::Display| SandboxError::setup("write down the job", error);
        let bytes = serde_json::to_vec(job).map_err(|error| SandboxError::Misuse(error.to_string()))?;
        let mut file = std::fs::File::from(self.job.try_clone().map_err(|error| failed(&error))?);
        file.set_len(0).and_then(|()| file.rewind()).map_err(|error| failed(&error))?;
        file.write_all(&bytes).map_err(|error| failed(&error))
    }

    /// For the processes of a sandbox: what [`Wires::pass`] handed over.
    pub(super) fn inherited(mut args: impl Iterator<Item = OsString>) -> Option<Wires> {
        let mut next = || {
            let number = args.next()?.to_str()?.parse::<RawFd>().ok().filter(|fd| *fd > 2)?;
            // SAFETY: the parent passed this descriptor to this process alone and nothing else here owns it.
            // A wrong number, which only somebody who calls the hidden command by hand can cause, fails at first use.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC).ok().map(|()| fd)
        };
        let (control, job) = (next()?, next()?);
        Some(Wires { control: control.into(), job })
    }

    /// Prepares `command` to hand the wires to the process it starts.
    pub(super) fn pass(&self, command: &mut Command) {
        let fds = [self.control.as_raw_fd(), self.job.as_raw_fd()];
        command.args(fds.map(|fd| fd.to_string()));
        // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(move || fds.into_iter().try_for_each(keep_open));
        }
    }

    /// Reads the job.
    pub(super) fn job(&self) -> Result<Job, SandboxError> {
        let failed = |error: &dyn std::fmt::Display| SandboxError::setup("read the job", error);
        let mut file = std::fs::File::from(self.job.try_clone().map_err(|error| failed(&error))?);
        let mut bytes = Vec::new();
        file.rewind().map_err(|error| failed(&error))?;
        file.read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| SandboxError::Misuse(error.to_string()))
    }

    /// The same once more, for another thread.
    pub(super) fn twin(&self) -> std::io::Result<Wires> {
        Ok(Wires { control: self.control.try_clone()?, job: self.job.try_clone()? })
    }

    /// Tells the caller something; an error means that the caller is gone.
    pub(super) fn tell(&self, message: &Message) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message).map_err(std::io::Error::other)?;
        line.push(b'\n');
        (&self.control).write_all(&line)
    }
}

fn keep_open(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open: this runs in the forked child of the process that owns it.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_setfd(fd, FdFlags::empty())?)
}

/// Marks every descriptor above 2 to be closed by the next `exec`, whoever opened it.
pub(super) fn close_strangers() -> Result<(), SandboxError> {
    let failed = |error: std::io::Error| SandboxError::setup("list open descriptors", error);
    for entry in std::fs::read_dir("/proc/self/fd").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()).filter(|fd| *fd > 2) {
            // SAFETY: the descriptor was open a moment ago, this process has one thread, and the borrow ends here;
            // the one of the listing itself is open until the loop ends.
            let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
            let _ = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}
