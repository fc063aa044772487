//! The console of a machine: its program never has the user's terminal, and the user's keys reach it all the same.
//!
//! The terminal is a pseudo-terminal of the test; on it runs this test program once more, as `kiln run` would.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kiln::exec::sandbox::{self, Mount, Privileges, Root, SandboxError, SandboxIds, Spec};
use kiln::guest::terminal::{self, TerminalConsole};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::skip::skip;

/// Holds the program that the other process shall run on its console.
const SCRIPT: &str = "KILN_TEST_CONSOLE";
/// The same for a shell.
const SHELL: &str = "KILN_TEST_SHELL";
/// Nothing here takes longer, on any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Not a test: the program on the terminal, when one of the tests below starts it.
#[test]
fn the_program_on_the_terminal() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
    let root = std::env::temp_dir().join(format!("kiln-terminal-{}", std::process::id()));
    std::fs::create_dir_all(root.join("usr")).unwrap();
    for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let spec = Spec {
        root: Root::ReadOnly(root.clone()),
        mounts: vec![Mount { source: "/usr".into(), target: "/usr".into(), readonly: true }],
        ids: SandboxIds::Single,
        privileges: Privileges::None,
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        argv: ["/bin/sh", "-c", &script].map(str::to_owned).into(),
        directories: Vec::new(),
        hostname: sandbox::HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: "/tmp".into(),
    };
    let (console, streams) = TerminalConsole::open(Stdio::null()).unwrap();
    match sandbox::spawn(&spec, streams) {
        Err(error @ SandboxError::NoUserNamespace { .. }) => {
            drop(console);
            println!("skipped: {error}");
        }
        Err(error) => {
            drop(console);
            panic!("{error}");
        }
        Ok(mut running) => {
            let mut limit = LIMIT;
            while running.wait_timeout(Duration::from_millis(50)).unwrap().is_none() && !console.interrupted() {
                limit = limit.checked_sub(Duration::from_millis(50)).expect("it ends in time");
            }
            let interrupted = console.interrupted();
            drop((running, console));
            println!("{}", if interrupted { "interrupted" } else { "ended by itself" });
        }
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// Not a test either: a shell of a guest on the terminal, whose guest is a program of this host.
#[test]
fn the_shell_on_the_terminal() {
    let Ok(script) = std::env::var(SHELL) else { return };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut guest = Command::new("sh");
    guest.args(["-c", &script]).stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    let mut child = guest.spawn().unwrap();
    drop(guest);
    let ended = terminal::relay(&ours, "end-of-shell", &mut || Ok(())).unwrap();
    drop(ours);
    child.wait().unwrap();
    println!("the shell: {ended:?}, {:?}", terminal::window());
}

/// A terminal with that program on it.
struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
    child: Child,
    said: String,
}

impl Terminal {
    fn run(script: &str) -> Terminal {
        Terminal::start("the_program_on_the_terminal", (SCRIPT, script))
    }

    fn shell(script: &str) -> Terminal {
        Terminal::start("the_shell_on_the_terminal", (SHELL, script))
    }

    fn start(test: &str, (variable, script): (&str, &str)) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let stdio = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("suite::terminal::{test}"), "--nocapture"]).env(variable, script);
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).process_group(0);
        let child = command.spawn().unwrap();
        Terminal { ours, theirs, child, said: String::new() }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn press(&self, keys: &[u8]) {
        File::from(self.ours.try_clone().unwrap()).write_all(keys).unwrap();
    }

    /// Reads until something was printed; false when the program was skipped.
    fn until(&mut self, words: &str) -> bool {
        let began = Instant::now();
        while !self.said.contains(words) {
            if let Some((_, reason)) = self.said.split_once("skipped: ") {
                skip(reason.trim_end());
                return false;
            }
            assert!(began.elapsed() < LIMIT, "no {words:?} in {:?}", self.said);
            self.hear();
        }
        true
    }

    fn hear(&mut self) {
        let mut fds = [PollFd::from_borrowed_fd(self.ours.as_fd(), PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if rustix::event::poll(&mut fds, Some(&limit)).unwrap() > 0 {
            let mut buffer = [0; 4096];
            let count = File::from(self.ours.try_clone().unwrap()).read(&mut buffer).unwrap();
            self.said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < LIMIT, "it does not end: {:?}", self.said);
            self.hear();
        }
    }

    /// What waits to be read by the next program on the terminal: the user's shell.
    fn left_over(&self) -> Vec<u8> {
        let mut settings = tcgetattr(&self.theirs).unwrap();
        settings.make_raw();
        rustix::termios::tcsetattr(&self.theirs, rustix::termios::OptionalActions::Now, &settings).unwrap();
        rustix::io::ioctl_fionbio(&self.theirs, true).unwrap();
        let mut buffer = vec![0; 4096];
        let count = rustix::io::read(&self.theirs, &mut buffer).unwrap_or(0);
        buffer.truncate(count);
        buffer
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_reach_the_program_and_the_terminal_is_as_it_was() {
    // As QEMU does: a raw terminal, on which Ctrl-C is a key.
    let script = "stty size; stty raw -echo; echo ready; head -c 4 | od -An -tx1; stty -raw; echo bye";
    let mut terminal = Terminal::run(script);
    if !terminal.until("ready") {
        return;
    }
    assert!(terminal.said.contains("33 101"), "the window's size: {}", terminal.said);
    assert!(terminal.is_raw());
    terminal.press(b"a\x03\x01x");
    terminal.until("61 03 01 78");
    terminal.until("bye");
    terminal.until("ended by itself");
    terminal.wait();
    assert!(!terminal.is_raw(), "raw settings are left");
}

#[test]
fn ctrl_c_ends_a_program_that_takes_no_keys_yet() {
    let mut terminal = Terminal::run("echo started; sleep 1000");
    if terminal.until("started") {
        terminal.press(b"\x03");
        assert!(terminal.until("interrupted"));
        terminal.wait();
        assert!(!terminal.is_raw());
    }
}

/// The canary: what the program pushes into its terminal's input (TIOCSTI, 0x5412) never lies in the user's.
#[test]
fn a_program_cannot_type_on_the_users_terminal() {
    if !Path::new("/usr/bin/perl").exists() {
        return skip("no perl");
    }
    let push = "perl -e 'foreach my $f (0, 1) { open(my $h, \"+<&=$f\"); ioctl($h, 0x5412, my $c = \"P\"); } \
                open(my $t, \"+<\", \"/dev/tty\") and ioctl($t, 0x5412, my $d = \"P\"); print \"pushed\\n\"'";
    let mut terminal = Terminal::run(push);
    if terminal.until("pushed") && terminal.until("ended by itself") {
        terminal.wait();
        assert_eq!(terminal.left_over(), b"");
        // The same check finds what is there.
        terminal.press(b"P");
        assert_eq!(terminal.left_over(), b"P");
    }
}

#[test]
fn a_pipe_is_carried_to_its_end() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "suite::terminal::the_program_on_the_terminal", "--nocapture"]);
    command.env(SCRIPT, "tr a-z A-Z; echo done").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe\n").unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    match said.split_once("skipped: ") {
        Some((_, reason)) => skip(reason.trim_end()),
        None => assert!(said.contains("FROM A PIPE\ndone\n"), "{said}"),
    }
}

#[test]
fn a_shell_has_every_key_until_it_ends_or_the_user_leaves() {
    let script = "echo ready; head -c 4 | od -An -tx1; printf 'bye\n\nend-of-shell\n'; cat >/dev/null";
    let mut terminal = Terminal::shell(script);
    terminal.until("ready");
    assert!(terminal.is_raw());
    terminal.press(b"a\x03\x01\x01\x04");
    terminal.until("61 03 01 04");
    terminal.until("the shell: Exited, (33, 101)");
    terminal.wait();
    assert!(!terminal.is_raw() && !terminal.said.contains("end-of-shell"), "{}", terminal.said);

    let mut terminal = Terminal::shell("echo ready; cat >/dev/null");
    terminal.until("ready");
    terminal.press(b"\x01x");
    terminal.until("the shell: Left");
    terminal.wait();
    assert!(!terminal.is_raw());

    let mut terminal = Terminal::shell("echo gone");
    terminal.until("the shell: Closed");
    terminal.wait();
}
