//! Starting sandboxes: the side of kiln.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::cancel::{self, Ticket};
use super::job::{Job, MONITOR, Message, Wires, Work};
use super::lines::each_line;
use super::{Ids, SandboxError, Spec, ids};

/// No message of a sandbox is longer.
const MESSAGE: usize = 1 << 20;

/// The kiln that becomes monitor and pid 1, when it is not this very program.
static KILN: OnceLock<PathBuf> = OnceLock::new();

/// For programs that use kiln as a library, such as its tests: where the `kiln` program is. Its first call counts.
pub fn use_program(kiln: PathBuf) {
    KILN.get_or_init(|| kiln);
}

/// The three streams of a program.
pub struct Streams {
    /// Its input.
    pub stdin: Stdio,
    /// Its output.
    pub stdout: Stdio,
    /// Its errors.
    pub stderr: Stdio,
}

/// A sandbox with a program in it. Dropping it ends everything inside.
pub struct Running {
    /// Its input, when [`Streams`] asked for a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its output, when [`Streams`] asked for a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its errors, when [`Streams`] asked for a pipe.
    pub stderr: Option<ChildStderr>,
    monitor: Child,
    control: UnixStream,
    unread: Vec<u8>,
    ended: Option<ExitStatus>,
    ticket: Ticket,
}

/// Runs a program to its end, handing on what it prints (on both streams) line by line. It has no input and no terminal.
pub fn run(spec: &Spec, on_line: &mut dyn FnMut(&str)) -> Result<ExitStatus, SandboxError> {
    run_job(&Job { work: Work::Program(spec.clone()), ids: spec.ids, detach: true }, on_line)
}

/// Runs one of kiln's own functions, registered in `main` under `entry`, in a fresh process that has the ids asked for,
/// sees the host's files, and no network. What it prints is handed on line by line.
pub fn call(ids: Ids, entry: &str, argument: &str, on_line: &mut dyn FnMut(&str)) -> Result<(), SandboxError> {
    let work = Work::Entry { name: entry.to_owned(), argument: argument.to_owned() };
    let status = run_job(&Job { work, ids, detach: true }, on_line)?;
    if status.success() { Ok(()) } else { Err(SandboxError::Lost(format!("{entry}: {status}"))) }
}

/// Starts a program, such as QEMU, that lives on while the caller does something else. It has no terminal.
pub fn spawn(spec: &Spec, streams: Streams) -> Result<Running, SandboxError> {
    start(&Job { work: Work::Program(spec.clone()), ids: spec.ids, detach: true }, streams)
}

/// Makes every namespace that builds need, and leaves them again.
pub fn namespaces_possible() -> Result<(), SandboxError> {
    call(Ids::Single, super::inside::REMOVE, "[]", &mut |_| ())
}

fn run_job(job: &Job, on_line: &mut dyn FnMut(&str)) -> Result<ExitStatus, SandboxError> {
    let failed = |error: std::io::Error| SandboxError::setup("make a pipe", error);
    let (output, input) = std::io::pipe().map_err(failed)?;
    let second = input.try_clone().map_err(failed)?;
    let streams = Streams { stdin: Stdio::null(), stdout: input.into(), stderr: second.into() };
    let mut running = start(job, streams)?;
    each_line(output, on_line);
    running.wait()
}

fn start(job: &Job, streams: Streams) -> Result<Running, SandboxError> {
    let (control, wires) = Wires::new(job)?;
    let ticket = cancel::register(&control)?;
    let mut command = Command::new(KILN.get().map_or(Path::new("/proc/self/exe"), PathBuf::as_path));
    command.arg0("kiln").arg(MONITOR).env_clear();
    command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
    if job.detach {
        // A Ctrl-C at the terminal reaches kiln alone, which then decides what becomes of its sandboxes.
        command.process_group(0);
    }
    wires.pass(&mut command);
    let mut monitor = command.spawn().map_err(|error| SandboxError::setup("start kiln once more", error))?;
    drop((command, wires));
    let (stdin, stdout, stderr) = (monitor.stdin.take(), monitor.stdout.take(), monitor.stderr.take());
    let mut running = Running { stdin, stdout, stderr, monitor, control, unread: Vec::new(), ended: None, ticket };
    running.greet()?;
    Ok(running)
}

impl Running {
    /// Waits for the end of the program, and of everything that it started.
    pub fn wait(&mut self) -> Result<ExitStatus, SandboxError> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        match self.hear()? {
            Message::Ended(status) => {
                // The monitor ends when the process namespace is empty.
                let _ = self.monitor.wait();
                Ok(*self.ended.insert(ExitStatus::from_raw(status)))
            }
            Message::Failed(error) => Err(error),
            Message::Unshared | Message::Started => Err(SandboxError::Lost("it spoke out of turn".to_owned())),
        }
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
    fn greet(&mut self) -> Result<(), SandboxError> {
        loop {
            match self.hear()? {
                Message::Started => return Ok(()),
                Message::Failed(error) => return Err(error),
                Message::Ended(status) => return Err(SandboxError::Lost(ExitStatus::from_raw(status).to_string())),
                Message::Unshared => {
                    ids::map_range(self.monitor.id())?;
                    let gone = |error| SandboxError::setup("hand over the id maps", error);
                    self.control.write_all(b"\n").map_err(gone)?;
                }
            }
        }
    }

    /// The next message.
    fn hear(&mut self) -> Result<Message, SandboxError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| SandboxError::Lost(error.to_string()));
            }
            let mut buffer = [0; 4096];
            let count = self.control.read(&mut buffer).unwrap_or(0);
            if count == 0 || self.unread.len() > MESSAGE {
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
        SandboxError::Lost(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
