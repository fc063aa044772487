//! The user's terminal while a machine has it: raw, and as it was afterwards.

use std::io::Stdin;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};

/// The terminal's settings before, and what follows its signals.
pub(super) struct Raw {
    terminal: Arc<Terminal>,
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

struct Terminal {
    stdin: Stdin,
    before: Termios,
    /// What has the same size, if there is such a terminal.
    pty: Option<OwnedFd>,
}

impl Raw {
    /// Makes standard input raw; `pty` gets the size of its window, now and whenever that changes.
    pub(super) fn new(pty: Option<OwnedFd>) -> std::io::Result<Raw> {
        let stdin = std::io::stdin();
        let terminal = Arc::new(Terminal { before: tcgetattr(&stdin)?, stdin, pty });
        let mut caught = Signals::new([SIGWINCH, SIGTSTP, SIGCONT])?;
        let (signals, follower) = (caught.handle(), terminal.clone());
        leave_when_kiln_panics(terminal.before.clone());
        terminal.enter();
        let follow = move || caught.forever().for_each(|signal| follower.follow(signal));
        let thread = std::thread::Builder::new().name("terminal".to_owned()).spawn(follow);
        // From here on the value restores the terminal.
        let mut raw = Raw { terminal, signals, thread: None };
        raw.thread = Some(thread?);
        Ok(raw)
    }
}

/// A panic ends the process without a destructor.
fn leave_when_kiln_panics(before: Termios) {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
        next(panic);
    }));
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.terminal.leave();
    }
}

impl Terminal {
    /// A terminal that is gone needs no settings, here and below.
    fn enter(&self) {
        let mut raw = self.before.clone();
        raw.make_raw();
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &raw);
        if let Some(pty) = &self.pty {
            let _ = tcgetwinsize(&self.stdin).and_then(|size| tcsetwinsize(pty, size));
        }
    }

    fn leave(&self) {
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }

    fn follow(&self, signal: i32) {
        if signal == SIGTSTP {
            self.leave();
            // Stops this process here, until somebody lets it go on.
            let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
        }
        self.enter();
    }
}
