//! The console of `kiln run`: what the guest prints goes to the user, and keys to the guest.
//!
//! QEMU never has the user's terminal: a program on it can push keys into its input that the user's shell reads later
//! (TIOCSTI). It gets a pseudo-terminal of its own, whose other end is here; where standard input is no terminal, two pipes.
//! The user's terminal is raw meanwhile, so every key, Ctrl-C too, is QEMU's: its `mux` has Ctrl-A X to end it and Ctrl-A C for
//! its monitor. What the guest prints is passed on as it is, as `ssh` does: a console is what it is for.

mod raw;
mod relay;
mod shell;

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions};

use crate::exec::sandbox::Streams;
use raw::Raw;
use relay::{Ends, Relay};
pub use shell::{ShellEnd, relay, window};

/// A console; when it is dropped, what was printed has been passed on and the user's terminal is as it was.
pub struct TerminalConsole {
    // In this order: the last output may still count on the raw terminal.
    _relay: Relay,
    _raw: Option<Raw>,
    interrupted: Arc<AtomicBool>,
}

impl TerminalConsole {
    /// Takes the user's terminal over. Gives QEMU's streams; its errors go to `errors`.
    pub fn open(errors: Stdio) -> std::io::Result<(TerminalConsole, Streams)> {
        let (console, (input, output)) = TerminalConsole::begin(Echo::Off)?;
        Ok((console, Streams { stdin: input.into(), stdout: output.into(), stderr: errors }))
    }

    /// The same for a shell, which wants to see its keys and says on the terminal what went wrong.
    pub fn for_shell() -> std::io::Result<(TerminalConsole, Streams)> {
        let (console, (input, output)) = TerminalConsole::begin(Echo::On)?;
        let errors = output.try_clone()?;
        Ok((console, Streams { stdin: input.into(), stdout: output.into(), stderr: errors.into() }))
    }

    /// The same for a program whose output may go to a file or another program: then it is not changed by a terminal, and
    /// errors go to `errors`.
    pub fn for_program(errors: Stdio) -> std::io::Result<(TerminalConsole, Streams)> {
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            return TerminalConsole::for_shell();
        }
        let (ends, (input, output)) = pipes()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let relay = Relay::start(ends, interrupted.clone())?;
        let console = TerminalConsole { _relay: relay, _raw: None, interrupted };
        Ok((console, Streams { stdin: input.into(), stdout: output.into(), stderr: errors }))
    }

    fn begin(echo: Echo) -> std::io::Result<(TerminalConsole, Theirs)> {
        let stdin = std::io::stdin();
        let (ends, theirs, pty) = if stdin.is_terminal() {
            pseudo_terminal(echo)?
        } else {
            pipes().map(|(ends, theirs)| (ends, theirs, None))?
        };
        let raw = pty.map(|pty| Raw::new(Some(pty))).transpose()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let relay = Relay::start(ends, interrupted.clone())?;
        Ok((TerminalConsole { _relay: relay, _raw: raw, interrupted }, theirs))
    }

    /// Whether the user pressed Ctrl-C while QEMU did not read keys yet.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Whether a new terminal shows the keys that are pressed on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

/// QEMU's input and output.
type Theirs = (OwnedFd, OwnedFd);

/// A new terminal: its other end, both of QEMU's streams, and itself.
fn pseudo_terminal(echo: Echo) -> std::io::Result<(Ends, Theirs, Option<OwnedFd>)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let mut settings = rustix::termios::tcgetattr(&theirs)?;
    if echo == Echo::Off {
        settings.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &settings)?;
    }
    rustix::io::ioctl_fionbio(&ours, true)?;
    let ends = Ends { input: ours.try_clone()?, output: ours.try_clone()?, is_terminal: true };
    Ok((ends, (theirs.try_clone()?, theirs), Some(ours)))
}

fn pipes() -> std::io::Result<(Ends, Theirs)> {
    let (input, ours_in) = std::io::pipe()?;
    let (ours_out, output) = std::io::pipe()?;
    rustix::io::ioctl_fionbio(&ours_in, true)?;
    let ends = Ends { input: ours_in.into(), output: ours_out.into(), is_terminal: false };
    Ok((ends, (input.into(), output.into())))
}

/// Whether the program on a pseudo-terminal leaves Ctrl-C to the terminal: it does not read keys yet, or no more.
fn is_cooked(terminal: impl AsFd) -> bool {
    rustix::termios::tcgetattr(terminal).is_ok_and(|settings| settings.local_modes.contains(LocalModes::ISIG))
}
