//! A sandbox that runs: waiting for it, ending it, hearing what its monitor says.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::cancel::Ticket;
use super::cgroup::Cgroup;
use super::job::Message;
use super::{SandboxError, SandboxIds, ids};

/// No message of a sandbox is longer.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A sandbox with a program in it. Dropping it ends everything inside.
pub struct Running {
    /// Its input, when [`super::Streams`] asked for a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its output, when [`super::Streams`] asked for a pipe.
    pub stdout: Option<ChildStdout>,
    pub(super) monitor: Child,
    pub(super) control: UnixStream,
    pub(super) unread: Vec<u8>,
    pub(super) ended: Option<ExitStatus>,
    pub(super) ticket: Ticket,
    pub(super) ids: SandboxIds,
    pub(super) owner: Option<u32>,
    /// Files that get their owners back in the end.
    pub(super) lent: Vec<Lent>,
    /// Last, for it is removed when all is over.
    pub(super) cgroup: Option<Cgroup>,
}

/// A file that a sandbox was shown to write, and whose it was.
pub(super) struct Lent {
    pub(super) path: PathBuf,
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Running {
    /// Waits for the end of the program, and of everything that it started.
    pub fn wait(&mut self) -> Result<ExitStatus, SandboxError> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        loop {
            match self.hear()? {
                Message::Ended(status) => {
                    // The monitor ends when the process namespace is empty.
                    let _ = self.monitor.wait();
                    self.kept_to_bounds()?;
                    return Ok(*self.ended.insert(ExitStatus::from_raw(status)));
                }
                Message::Failed(error) => {
                    // Why a function of kiln failed may be that the kernel refused its program something.
                    let _ = self.monitor.wait();
                    self.kept_to_bounds()?;
                    return Err(error);
                }
                Message::Silent { .. } => {}
                Message::Unshared | Message::Started => {
                    return Err(SandboxError::Misuse("a message out of turn".to_owned()));
                }
            }
        }
    }

    /// An error when the kernel killed or refused something for the sake of a bound: whatever came of the rest, it is
    /// not what the step is for.
    fn kept_to_bounds(&self) -> Result<(), SandboxError> {
        match self.cgroup.as_ref().and_then(Cgroup::exceeded) {
            Some(exceeded) => Err(SandboxError::Limit(exceeded)),
            None => Ok(()),
        }
    }

    /// For [`super::follow`]: where messages come from.
    pub(super) fn control(&self) -> &UnixStream {
        &self.control
    }

    /// For [`super::follow`]: reads what was sent, and takes out what was said of silence; false when no more comes.
    pub(super) fn silences(&mut self, on_silence: &mut dyn FnMut(u64, &str)) -> bool {
        let mut buffer = [0; 4096];
        let count = self.control.read(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        let whole = self.unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.unread.drain(..whole).collect();
        let mut others = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Message::Silent { seconds, waits }) => on_silence(seconds, &waits),
                _ => others.extend_from_slice(line),
            }
        }
        self.unread.splice(0..0, others);
        count > 0 && self.unread.len() <= MAX_MESSAGE_BYTES
    }

    /// [`Running::wait`], but not for longer than `limit`; `None` when it still runs then.
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<ExitStatus>, SandboxError> {
        if self.ended.is_none() && !self.unread.contains(&b'\n') {
            let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
            let mut fds = [PollFd::from_borrowed_fd(self.control.as_fd(), PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&limit)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(SandboxError::setup("wait for the sandbox", error)),
            }
        }
        self.wait().map(Some)
    }

    /// Asks the program to end (SIGTERM).
    pub fn terminate(&mut self) {
        // When it cannot be asked it has ended.
        let _ = self.control.write_all(b"t");
    }

    /// Ends everything inside, and returns when it is gone.
    pub fn kill(&mut self) {
        let _ = self.control.shutdown(std::net::Shutdown::Write);
        let _ = self.monitor.wait();
    }

    /// Sees the sandbox through its beginning.
    pub(super) fn greet(&mut self) -> Result<(), SandboxError> {
        loop {
            match self.hear()? {
                Message::Started => return Ok(()),
                Message::Failed(error) => return Err(error),
                Message::Ended(status) => return Err(SandboxError::Lost(ExitStatus::from_raw(status).to_string())),
                Message::Silent { .. } => {}
                Message::Unshared => {
                    ids::map(self.monitor.id(), (self.ids, self.owner))?;
                    let gone = |error| SandboxError::setup("hand over the id maps", error);
                    self.control.write_all(b"\n").map_err(gone)?;
                }
            }
        }
    }

    fn hear(&mut self) -> Result<Message, SandboxError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| SandboxError::Misuse(error.to_string()));
            }
            let mut buffer = [0; 4096];
            let count = self.control.read(&mut buffer).unwrap_or(0);
            if count == 0 || self.unread.len() > MAX_MESSAGE_BYTES {
                return Err(self.silence());
            }
            self.unread.extend_from_slice(&buffer[..count]);
        }
    }

    /// Why nothing more is heard.
    fn silence(&mut self) -> SandboxError {
        if self.ticket.cancelled() {
            return SandboxError::Cancelled;
        }
        let status = self.monitor.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        self.kept_to_bounds().err().unwrap_or(SandboxError::Lost(status))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        for Lent { path, user, group } in &self.lent {
            // One that is gone belongs to nobody.
            let _ = std::os::unix::fs::lchown(path, Some(*user), Some(*group));
        }
    }
}
