//! The shell in the guest that carries out commands: how it gets there, and how it is spoken to.
//!
//! It gets there without a byte in the image. Words on the kernel's command line make `systemd-run-generator(8)` start
//! a transient unit whose shell opens the second serial port, reads a script from it (`agent.sh`) and becomes that
//! script. Needed in the guest: systemd (232 or newer), `sh`, coreutils and the serial port of its machine type (8250,
//! PL011), which every kernel for it has built in, so it makes no difference whether there are modules or an initramfs. Nothing is plugged into the PCI
//! bus for it, so the machine under test is the machine of the recipe.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::GuestError;
use super::clock::{Deadline, Seldom};
use super::frame::{self, Head, Lines};

/// What reads the real script. No quotes, no `%`, no `${`: it stands inside two levels of quotes in a unit file.
const LOADER: &str = "exec 3<>/dev/@PORT@;stty raw -echo <&3;set -f;IFS=;s=;echo kiln-hello >&3;\
                      while read -r l <&3;do [ . = $l ]&&break;s=$s$l;echo + >&3;done;eval $(echo $s|base64 -d)";
/// What the loader becomes.
const SCRIPT: &str = include_str!("agent.sh");
/// Answers that arrive damaged are asked for again this often.
const RETRIES: u32 = 3;
/// A guest that answers at all begins a shell sooner.
const SHELL_TIMEOUT: Duration = Duration::from_secs(20);
/// Whoever watches the machine is asked this often while output arrives.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// No name of a terminal is longer.
const MAX_TERM_LENGTH: usize = 40;

/// The words that start the shell. `systemd.run=` would make itself the default target: Debian's own default is put
/// back, and the unit wanted from there. `systemd-run` returns at once, so no boot waits for the shell's end.
/// `port` is that of the machine: `ttyS1`.
pub fn kernel_words(port: &str) -> String {
    let loader = loader(port);
    format!(
        "systemd.unit=graphical.target systemd.wants=kernel-command-line.service systemd.run_success_action=none \
         systemd.run_failure_action=none systemd.run=\"/usr/bin/systemd-run -q -u kiln-agent -p OOMScoreAdjust=-1000 \
         -p TimeoutStopSec=2 /bin/sh -c '{loader}'\""
    )
}

fn loader(port: &str) -> String {
    LOADER.replace("@PORT@", port)
}

/// A program of `sh` without blanks and quotes, which becomes the one that its first argument holds in base64.
const UNPACK: &str = "eval$IFS$(echo$IFS$0|base64$IFS-d)";

/// The same for a disk that GRUB boots from. GRUB puts a backslash before every quote and backslash, so there are none
/// but double quotes around a whole word, and the loader is packed.
pub fn grub_words(port: &str) -> String {
    let loader = loader(port);
    let packed = crate::base::base64::encode(loader.as_bytes());
    kernel_words(port).replace(&format!("'{loader}'"), &format!("{UNPACK} {packed}"))
}

/// The terminal that a shell is shown on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    pub rows: u16,
    pub columns: u16,
    /// The user's `TERM`.
    pub terminal: String,
}

impl Screen {
    /// `TERM` as one harmless word.
    fn kind(&self) -> &str {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
        let sane = (1..=MAX_TERM_LENGTH).contains(&self.terminal.len()) && self.terminal.chars().all(plain);
        if sane { &self.terminal } else { "vt100" }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; 124 or 137 when its time was up.
    pub code: i32,
    /// What it wrote on both streams, up to [`frame::OUTPUT_LIMIT`].
    pub output: Vec<u8>,
    /// Bytes it wrote.
    pub total: u64,
}

impl Answer {
    /// The output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Whether output is missing.
    pub fn cut(&self) -> bool {
        self.total > self.output.len() as u64
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing came in time.
    #[error("the guest does not respond ({0})")]
    Silent(String),
    /// The serial port was closed: QEMU is gone.
    #[error("QEMU closed the guest's serial port")]
    Closed,
    /// The shell said hello again.
    #[error("the guest restarted unexpectedly")]
    Restarted,
    /// What was to be sent is too large, or an answer was damaged every time.
    #[error("{0}")]
    Protocol(String),
    /// Whoever watches the machine meanwhile found something.
    #[error(transparent)]
    Watch(#[from] GuestError),
}

/// What the next line of the guest is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Greeting,
    Acknowledgement,
    Response,
    ResponseEnd,
}

impl Awaited {
    /// What is wrong when it does not come.
    fn failure(self) -> &'static str {
        match self {
            Awaited::Greeting => "it did not respond after boot",
            Awaited::Acknowledgement => "it stopped in the middle of a message",
            Awaited::Response => "a command is not terminated",
            Awaited::ResponseEnd => "a response is not terminated",
        }
    }
}

/// Called between reads: says when waiting has become pointless.
pub type Watch<'a> = &'a mut dyn FnMut() -> Result<(), GuestError>;

/// kiln's end of the guest's second serial port. Reads of the stream must time out after a fraction of a second.
#[derive(Debug)]
pub struct Agent<S> {
    stream: S,
    lines: Lines,
    queue: VecDeque<String>,
    next: u64,
    watching: Seldom,
}

impl<S: Read + Write> Agent<S> {
    /// Over a fresh connection.
    pub fn new(stream: S) -> Agent<S> {
        Agent {
            stream,
            lines: Lines::default(),
            queue: VecDeque::new(),
            next: 1,
            watching: Seldom::every(WATCH_INTERVAL),
        }
    }

    /// Waits for the loader and gives it the script. Also after a restart of the guest.
    pub fn greet(&mut self, deadline: Deadline, watch: Watch<'_>) -> Result<(), AgentError> {
        while self.line(Awaited::Greeting, deadline, watch)? != "kiln-hello" {}
        for chunk in frame::chunks(SCRIPT.as_bytes()) {
            self.send(&chunk[1..])?;
            self.expect("+", deadline, watch)?;
        }
        self.send(".")?;
        self.expect("kiln-ready", deadline, watch)
    }

    /// Runs a command with `sh -c`; the guest ends it after `seconds`.
    pub fn call(&mut self, command: &str, seconds: u64, watch: Watch<'_>) -> Result<Answer, AgentError> {
        if command.len() > frame::COMMAND_LIMIT {
            return Err(AgentError::Protocol(format!("a command is longer than {} bytes", frame::COMMAND_LIMIT)));
        }
        let deadline = Deadline::after(Duration::from_secs(seconds.saturating_add(30)));
        let id = self.next;
        self.next += 1;
        for _ in 0..RETRIES {
            self.send("-")?;
            self.expect("-", deadline, watch)?;
            for chunk in frame::chunks(command.as_bytes()) {
                self.send(&chunk)?;
                self.expect("+", deadline, watch)?;
            }
            self.send(&frame::run_line(id, seconds.max(1), command.as_bytes()))?;
            if let Some(answer) = self.answer(id, deadline, watch)? {
                return Ok(answer);
            }
        }
        Err(AgentError::Protocol("the command was corrupted on every attempt".to_owned()))
    }

    /// Has the guest open an interactive shell of root on the port. What comes out of [`Agent::stream`] afterwards is the
    /// shell's, up to a line with the text that is returned.
    pub fn open_shell(&mut self, screen: &Screen, watch: Watch<'_>) -> Result<String, AgentError> {
        let deadline = Deadline::after(SHELL_TIMEOUT);
        let random = crate::world::fs::random().map_err(|error| AgentError::Watch(error.into()))?;
        let end = format!("kiln-shell-{random}");
        self.send("-")?;
        self.expect("-", deadline, watch)?;
        let Screen { rows, columns, .. } = screen;
        self.send(&format!("%{rows} {columns} {} {end}", screen.kind()))?;
        Ok(end)
    }

    /// The connection itself.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The answer to a command; `None` when the command arrived damaged and did not run.
    fn answer(&mut self, id: u64, deadline: Deadline, watch: Watch<'_>) -> Result<Option<Answer>, AgentError> {
        for _ in 0..RETRIES {
            let head = loop {
                let line = self.line(Awaited::Response, deadline, watch)?;
                if line == format!("?{id}") {
                    return Ok(None);
                }
                if let Some(head) = frame::parse_head(&line).filter(|head| head.id == id) {
                    break head;
                }
            };
            if let Some(output) = self.body(&head, deadline, watch)? {
                return Ok(Some(Answer { code: head.code, output, total: head.total }));
            }
            self.send("@")?;
        }
        Err(AgentError::Protocol("the response was corrupted on every attempt".to_owned()))
    }

    fn body(&mut self, head: &Head, deadline: Deadline, watch: Watch<'_>) -> Result<Option<Vec<u8>>, AgentError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line(Awaited::ResponseEnd, deadline, watch)?;
            if line == "." {
                return Ok(frame::parse_body(head, &lines));
            }
            if lines.len() <= frame::OUTPUT_LIMIT / 512 {
                lines.push(line);
            }
        }
    }

    fn expect(&mut self, wanted: &str, deadline: Deadline, watch: Watch<'_>) -> Result<(), AgentError> {
        while self.line(Awaited::Acknowledgement, deadline, watch)? != wanted {}
        Ok(())
    }

    /// The next line; a second hello is no line but the news that the guest restarted.
    fn line(&mut self, awaited: Awaited, deadline: Deadline, watch: Watch<'_>) -> Result<String, AgentError> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                if line == "kiln-hello" && awaited != Awaited::Greeting {
                    self.queue.push_front(line);
                    return Err(AgentError::Restarted);
                }
                return Ok(line);
            }
            if self.watching.is_due() {
                watch()?;
            }
            if deadline.passed() {
                return Err(AgentError::Silent(format!(
                    "{} within {} s",
                    awaited.failure(),
                    deadline.limit().as_secs()
                )));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(AgentError::Closed),
                Ok(count) => self.queue.extend(self.lines.feed(&buffer[..count])),
                Err(error) if is_pause(error.kind()) => {}
                Err(_) => return Err(AgentError::Closed),
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<(), AgentError> {
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(|_| AgentError::Closed)
    }
}

/// A read that timed out, or was interrupted.
pub fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
