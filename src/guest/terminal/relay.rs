//! Two threads that carry bytes: keys to QEMU, and what the guest prints to standard output.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::is_cooked;

const INTERRUPT: u8 = 3;
/// Keys that wait for a QEMU that does not read.
const MAX_PENDING_BYTES: usize = 64 << 10;
/// Time for standard output to take the last words; a pager may never do.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// This side of QEMU's streams.
pub(super) struct Ends {
    /// Where its input is written; does not block.
    pub(super) input: OwnedFd,
    /// Where its output is read.
    pub(super) output: OwnedFd,
    /// Whether both are a pseudo-terminal.
    pub(super) is_terminal: bool,
}

/// Both threads; dropping it ends them.
pub(super) struct Relay {
    stop: Option<UnixStream>,
    keys: Option<JoinHandle<()>>,
    printed: Receiver<()>,
}

impl Relay {
    pub(super) fn start(ends: Ends, interrupted: Arc<AtomicBool>) -> std::io::Result<Relay> {
        let (stop, stopped) = UnixStream::pair()?;
        let (said, printed) = channel();
        let Ends { input, output, is_terminal } = ends;
        Builder::new().name("output".to_owned()).spawn(move || {
            print(&output);
            let _ = said.send(());
        })?;
        let keys = Keys { input, is_terminal, interrupted, pending: Vec::new() };
        let keys = Builder::new().name("keys".to_owned()).spawn(move || keys.carry(&stopped))?;
        Ok(Relay { stop: Some(stop), keys: Some(keys), printed })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keys) = self.keys.take() {
            let _ = keys.join();
        }
        // QEMU is gone, so its output ends; a standard output that is stuck keeps its thread, which harms nobody.
        let _ = self.printed.recv_timeout(DRAIN_TIMEOUT);
    }
}

/// Until QEMU's end of it is closed: end of file on a pipe, an error on a pseudo-terminal. What standard output does not
/// take is read all the same: a guest does not stand still because its reader went away.
fn print(output: &OwnedFd) {
    let mut buffer = [0; 16 << 10];
    loop {
        match rustix::io::read(output, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {
                let mut fds = [PollFd::new(output, PollFlags::IN)];
                let _ = rustix::event::poll(&mut fds, None);
            }
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let mut stdout = std::io::stdout().lock();
                let _ = stdout.write_all(&buffer[..count]).and_then(|()| stdout.flush());
            }
        }
    }
}

/// The way from standard input to QEMU.
struct Keys {
    input: OwnedFd,
    is_terminal: bool,
    interrupted: Arc<AtomicBool>,
    pending: Vec<u8>,
}

impl Keys {
    /// Until standard input ends, QEMU does not take it any more, or `stopped` closes.
    fn carry(mut self, stopped: &UnixStream) {
        let stdin = std::io::stdin();
        let mut open = true;
        while open || !self.pending.is_empty() {
            let ready = {
                let mut keys = PollFlags::empty();
                keys.set(PollFlags::IN, open && self.pending.len() < MAX_PENDING_BYTES);
                let mut fds = vec![PollFd::new(stopped, PollFlags::IN)];
                fds.extend((!self.pending.is_empty()).then(|| PollFd::new(&self.input, PollFlags::OUT)));
                fds.extend((!keys.is_empty()).then(|| PollFd::new(&stdin, keys)));
                match rustix::event::poll(&mut fds, None) {
                    Err(Errno::INTR) => continue,
                    Err(_) => return,
                    Ok(_) => (!fds[0].revents().is_empty(), fds.last().is_some_and(|fd| !fd.revents().is_empty())),
                }
            };
            let (stop, last) = ready;
            if stop {
                return;
            }
            if last && open && self.pending.len() < MAX_PENDING_BYTES {
                open = self.read(stdin.as_fd());
            }
            if !self.write() {
                return;
            }
        }
        // A pipe ends here, as standard input did; a terminal only falls silent.
        if self.is_terminal {
            let _ = rustix::event::poll(&mut [PollFd::new(stopped, PollFlags::IN)], None);
        }
    }

    /// False at the end.
    fn read(&mut self, stdin: std::os::fd::BorrowedFd<'_>) -> bool {
        let mut buffer = [0; 4096];
        let count = match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return matches!(error, Errno::AGAIN | Errno::INTR),
        };
        let keys = &buffer[..count];
        if self.is_terminal && keys.contains(&INTERRUPT) && is_cooked(&self.input) {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.pending.extend(keys);
        true
    }

    /// False when nobody takes it any more.
    fn write(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.input, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}
