//! Kiln's ear on a sandbox: what its program prints and what its pid 1 tells, together.
//!
//! Input: a running sandbox, its output, the limits. Output: lines and notices as they come; an error when it was silent
//! for too long, which only both together can say: pid 1 sees who works, and kiln who prints.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::bound::{Bound, Exceeded};
use super::lines::Lines;
use super::running::Running;
use super::{Limits, SandboxError};

/// Something that is heard of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxEvent<'a> {
    /// A line that its program printed.
    Line(&'a str),
    /// What kiln says about it, worth showing to whoever waits.
    Notice(&'a str),
}

impl<'a> SandboxEvent<'a> {
    /// Whoever said it.
    pub fn text(self) -> &'a str {
        match self {
            SandboxEvent::Line(text) | SandboxEvent::Notice(text) => text,
        }
    }
}

/// Hands on what is heard until nobody is left who could print.
pub(super) fn follow(
    running: &mut Running,
    mut output: PipeReader,
    limits: &Limits,
    heard: &mut dyn FnMut(SandboxEvent<'_>),
) -> Result<(), SandboxError> {
    let mut lines = Lines::default();
    let mut silence = Silence { printed: Instant::now(), told: 0, limits: *limits };
    let mut talking = true;
    let mut buffer = [0; 8192];
    loop {
        let (prints, tells) = ready(&output, running, talking)?;
        if prints {
            let count = match output.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // A pipe that breaks is one whose writers are gone.
                Err(_) => 0,
            };
            if count == 0 {
                lines.end(&mut |line| heard(SandboxEvent::Line(line)));
                return Ok(());
            }
            (silence.printed, silence.told) = (Instant::now(), 0);
            lines.feed(&buffer[..count], &mut |line| heard(SandboxEvent::Line(line)));
        } else if tells {
            let mut exceeded = None;
            talking = running.silences(&mut |seconds, waits| exceeded = silence.judge((seconds, waits), heard));
            if let Some(exceeded) = exceeded {
                running.kill();
                return Err(SandboxError::Limit(exceeded));
            }
        }
    }
}

/// Waits until something is printed or told. What is printed is looked at first: it ends silence.
fn ready(output: &PipeReader, running: &Running, talking: bool) -> Result<(bool, bool), SandboxError> {
    let mut fds = [
        PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(running.control().as_fd(), PollFlags::IN),
    ];
    let watched = if talking { &mut fds[..] } else { &mut fds[..1] };
    match rustix::event::poll(watched, None) {
        Ok(_) => Ok((!fds[0].revents().is_empty(), talking && !fds[1].revents().is_empty())),
        Err(Errno::INTR) => Ok((false, false)),
        Err(error) => Err(SandboxError::setup("listen to the sandbox", error)),
    }
}

/// What is known of the silence of a sandbox.
struct Silence {
    printed: Instant,
    /// Seconds of silence when it was last told.
    told: u64,
    limits: Limits,
}

impl Silence {
    /// Takes in for how long nothing has worked; tells it, and again whenever it has doubled.
    fn judge(&mut self, (idle, waits): (u64, &str), heard: &mut dyn FnMut(SandboxEvent<'_>)) -> Option<Exceeded> {
        let (limit, notice) = (self.limits.silence?, self.limits.notice()?);
        let seconds = idle.min(self.printed.elapsed().as_secs());
        if seconds >= limit {
            let detail = format!(": {waits}");
            return Some(Exceeded { bound: Bound::Silence, limit, detail });
        }
        if seconds >= notice && seconds >= 2 * self.told {
            self.told = seconds;
            let text = format!("{waits} for {seconds} s; the step is killed after {limit} s of silence");
            heard(SandboxEvent::Notice(&text));
        }
        None
    }
}
