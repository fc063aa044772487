//! A shell of a guest on the user's terminal, over a stream that kiln holds itself.
//!
//! Input: a stream to a shell, and the line that the guest prints when the shell has ended. Output: how it ended. The
//! terminal is raw meanwhile, so every key is the guest's but Ctrl-A X, which ends a machine of `kiln run`, too.

use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;

use super::raw::Raw;
use crate::guest::GuestError;
use crate::guest::agent::{Watch, is_pause};
use crate::guest::clock::Seldom;
use crate::world::fs;

/// Ctrl-A: the key after it is kiln's.
const ESCAPE: u8 = 1;
/// Keys that wait for a guest that does not read.
const MAX_PENDING_BYTES: usize = 64 << 10;
/// How often somebody looks whether the machine still runs.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// [`LOOK_INTERVAL`] for `poll(2)`.
const POLL_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: LOOK_INTERVAL.as_nanos() as i64 };
/// What messages call the terminal.
const TERMINAL: &str = "/dev/tty";

/// How a shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellEnd {
    /// By itself: `exit`.
    Exited,
    /// The user pressed Ctrl-A X, or closed the terminal.
    Left,
    /// Nobody is behind the stream any more.
    Closed,
}

/// Rows and columns of the user's terminal.
pub fn window() -> (u16, u16) {
    let size = tcgetwinsize(std::io::stdin()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// Passes keys and output on until the line `end` comes, or the user leaves. `watch` says when waiting is pointless.
pub fn relay(stream: &UnixStream, end: &str, watch: Watch<'_>) -> Result<ShellEnd, GuestError> {
    let terminal = Path::new(TERMINAL);
    let stdin = std::io::stdin();
    let _raw = stdin.is_terminal().then(|| fs::context("set up", terminal, Raw::new(None))).transpose()?;
    fs::context("set up", terminal, stream.set_nonblocking(true))?;
    let mut relay = ShellRelay { stream, output: EndLine::new(end), keys: Keys::default(), pending: Vec::new() };
    let mut look = Seldom::every(LOOK_INTERVAL);
    loop {
        if let Some(end) = relay.round() {
            if end != ShellEnd::Exited {
                // What is told next begins a line of its own.
                show(b"\r\n");
            }
            fs::context("set up", terminal, stream.set_nonblocking(false))?;
            return Ok(end);
        }
        if look.is_due() {
            watch()?;
        }
    }
}

struct ShellRelay<'a> {
    stream: &'a UnixStream,
    output: EndLine,
    keys: Keys,
    pending: Vec<u8>,
}

impl ShellRelay<'_> {
    /// Waits for either side once, and carries what it says.
    fn round(&mut self) -> Option<ShellEnd> {
        let stdin = std::io::stdin();
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !self.pending.is_empty());
        let mut fds = vec![PollFd::new(self.stream, wanted)];
        fds.extend((self.pending.len() < MAX_PENDING_BYTES).then(|| PollFd::new(&stdin, PollFlags::IN)));
        match rustix::event::poll(&mut fds, Some(&POLL_TIMEOUT)) {
            Ok(0) | Err(Errno::INTR) => return None,
            Err(_) => return Some(ShellEnd::Closed),
            Ok(_) => {}
        }
        let said = fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        let pressed = fds.get(1).is_some_and(|keys| !keys.revents().is_empty());
        let ended = said.then(|| self.print()).flatten();
        ended.or_else(|| pressed.then(|| self.read(stdin.as_fd())).flatten()).or_else(|| self.write())
    }

    fn print(&mut self) -> Option<ShellEnd> {
        let mut buffer = [0; 16 << 10];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Some(ShellEnd::Closed),
            Ok(count) => count,
            Err(error) => return (!is_pause(error.kind())).then_some(ShellEnd::Closed),
        };
        let (text, ended) = self.output.feed(&buffer[..count]);
        show(&text);
        ended.then_some(ShellEnd::Exited)
    }

    fn read(&mut self, stdin: std::os::fd::BorrowedFd<'_>) -> Option<ShellEnd> {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => Some(ShellEnd::Left),
            Ok(count) => self.keys.feed(&buffer[..count], &mut self.pending),
            Err(error) => (!matches!(error, Errno::AGAIN | Errno::INTR)).then_some(ShellEnd::Left),
        }
    }

    fn write(&mut self) -> Option<ShellEnd> {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if is_pause(error.kind()) => return None,
                Err(_) => return Some(ShellEnd::Closed),
            }
        }
        None
    }
}

/// A terminal that is gone is noticed where its keys are read.
fn show(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// What the user types: all of it is the guest's but what follows Ctrl-A.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    fn feed(&mut self, keys: &[u8], guest: &mut Vec<u8>) -> Option<ShellEnd> {
        for key in keys {
            match (std::mem::take(&mut self.escaped), *key) {
                (true, b'x' | b'X') => return Some(ShellEnd::Left),
                // As on the console of `kiln run`: twice is once.
                (true, ESCAPE) => guest.push(ESCAPE),
                (true, other) => guest.extend([ESCAPE, other]),
                (false, ESCAPE) => self.escaped = true,
                (false, other) => guest.push(other),
            }
        }
        None
    }
}

/// Finds the line that ends the shell in what the guest prints, wherever reads cut it.
struct EndLine {
    line: Vec<u8>,
    held: Vec<u8>,
}

impl EndLine {
    fn new(end: &str) -> EndLine {
        EndLine { line: format!("\n{end}\n").into_bytes(), held: Vec::new() }
    }

    /// What is to be printed, and whether the line came.
    fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        self.held.extend(bytes);
        if let Some(at) = self.held.windows(self.line.len()).position(|part| part == self.line) {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let longest = self.held.len().min(self.line.len() - 1);
        let kept = (1..=longest).rev().find(|count| self.held.ends_with(&self.line[..*count])).unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        (std::mem::replace(&mut self.held, rest), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_the_guests_but_the_way_out() {
        let pressed = |parts: &[&[u8]]| {
            let (mut keys, mut guest) = (Keys::default(), Vec::new());
            let left = parts.iter().any(|part| keys.feed(part, &mut guest).is_some());
            (guest, left)
        };
        assert_eq!(pressed(&[b"ls\r\x03\x04"]), (b"ls\r\x03\x04".to_vec(), false));
        assert_eq!(pressed(&[b"a\x01", b"xb"]), (b"a".to_vec(), true));
        assert_eq!(pressed(&[b"\x01\x01\x01k"]), (b"\x01\x01k".to_vec(), false));
    }

    #[test]
    fn the_last_line_is_found_wherever_reads_cut_it_and_is_not_shown() {
        let all = b"$ exit\r\n\nend\n\nend-7\nmore";
        for cut in 0..all.len() {
            let mut line = EndLine::new("end-7");
            let (mut shown, first) = line.feed(&all[..cut]);
            let (more, last) = line.feed(&all[cut..]);
            shown.extend(if first { Vec::new() } else { more });
            assert!(first || last, "{cut}");
            assert_eq!(shown, b"$ exit\r\n\nend\n", "{cut}");
        }
        let mut line = EndLine::new("end-7");
        assert_eq!(line.feed(b"prompt $ "), (b"prompt $ ".to_vec(), false), "a prompt is shown at once");
    }
}
