//! The locked QEMU itself, with arguments of the user's own and nothing of a machine.
//!
//! Input: a tree with a QEMU, and arguments. Output: what it writes, and its exit code. It is confined as the QEMU of a
//! machine is: it sees no files of the host, has no network, and never has the user's terminal.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::GuestError;
use super::clock::Deadline;
use super::event::{TestEvent, TestListener};
use super::launch;
use super::process::TICK;
use super::run::SHUTDOWN_TIMEOUT;
use super::rundir::RunDir;
use super::terminal::TerminalConsole;
use crate::exec::sandbox::{self, SandboxError};

/// Bytes of a line of its errors; a longer one is told in pieces.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// Lines that wait to be told; then QEMU waits.
const MAX_WAITING_LINES: usize = 1000;

/// A QEMU, and what it is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareQemu {
    /// The machine whose QEMU it is, for messages.
    pub machine: String,
    /// The directory that becomes `/` for it.
    pub tree: PathBuf,
    /// QEMU in the tree, as an absolute path.
    pub program: String,
    pub arguments: Vec<String>,
}

/// Runs it to its end; what it writes to standard error is told line by line unless it has a terminal of its own. Gives
/// the exit code that a shell would.
pub fn run(
    emulator: &BareQemu,
    base: &Path,
    interrupted: &AtomicBool,
    listener: &dyn TestListener,
) -> Result<u8, GuestError> {
    let run = RunDir::new(base)?;
    let home = run.sub(&emulator.machine)?;
    let argv = std::iter::once(&emulator.program).chain(&emulator.arguments).cloned().collect();
    let spec = launch::confined(&emulator.tree, vec![launch::bind(&home, launch::RUN)], argv);
    let no_start = |error: &dyn std::fmt::Display| emulator.failed(format!("could not be started: {error}"));
    let (errors, theirs) = std::io::pipe().map_err(|error| no_start(&error))?;
    let (console, streams) = TerminalConsole::for_program(theirs.into()).map_err(|error| no_start(&error))?;
    let (send, said) = sync_channel(MAX_WAITING_LINES);
    let mut running = sandbox::spawn(&spec, streams).map_err(|error| no_start(&error))?;
    std::thread::spawn(move || read(errors, &send));
    let ended = |result| match result {
        Ok(status) => Ok(status),
        Err(SandboxError::Cancelled) => Err(GuestError::Interrupted),
        Err(error) => Err(emulator.failed(format!("was lost: {error}"))),
    };
    let status = loop {
        said.try_iter().take(MAX_WAITING_LINES).for_each(|line| listener.on(TestEvent::Notice(&line)));
        if let Some(status) = ended(running.wait_timeout(TICK))? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) || console.interrupted() {
            running.terminate();
            let deadline = Deadline::after(SHUTDOWN_TIMEOUT);
            while ended(running.wait_timeout(TICK))?.is_none() && !deadline.passed() {}
            running.kill();
            return Err(GuestError::Interrupted);
        }
    };
    drop(console);
    rest(&said, listener);
    // A signal to the whole process group ends QEMU as well, maybe first, and it calls that success.
    if interrupted.load(Ordering::Relaxed) { Err(GuestError::Interrupted) } else { Ok(code(status)) }
}

/// What was written before the end; nobody writes after it.
fn rest(said: &Receiver<String>, listener: &dyn TestListener) {
    said.iter().for_each(|line| listener.on(TestEvent::Notice(&line)));
}

/// Until the other end is closed, or nobody listens.
fn read(errors: PipeReader, lines: &SyncSender<String>) {
    let mut errors = BufReader::new(errors);
    loop {
        let mut line = Vec::new();
        match (&mut errors).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
            return;
        }
    }
}

/// What a shell makes of an end.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

impl BareQemu {
    fn failed(&self, what: String) -> GuestError {
        GuestError::Qemu { machine: self.machine.clone(), what, said: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_what_a_shell_makes_of_it() {
        // Wait statuses of wait(2).
        assert_eq!([0, 1 << 8, 0xff << 8, 9].map(|raw| code(ExitStatus::from_raw(raw))), [0, 1, 255, 137]);
    }

    #[test]
    fn errors_are_told_in_lines_that_end_somewhere() {
        let (errors, mut theirs) = std::io::pipe().unwrap();
        let (send, said) = sync_channel(10);
        let reader = std::thread::spawn(move || read(errors, &send));
        std::io::Write::write_all(&mut theirs, &[b"one\r\n", &vec![b'x'; 20_000][..], b"\n"].concat()).unwrap();
        drop(theirs);
        let lines: Vec<usize> = said.iter().map(|line| line.len()).collect();
        reader.join().unwrap();
        assert_eq!(lines, [3, 16 << 10, 20_000 - (16 << 10)]);
    }
}
