//! A passphrase that is asked for at a terminal: whatever ends kiln meanwhile, the terminal shows again what is typed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln::base::base64;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, tcgetattr};

use super::live::Scratch;

/// A kiln that never asks.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_terminal_shows_what_is_typed_after_a_signal_during_a_passphrase() {
    let scratch = Scratch::new("passphrase-signal");
    super::directory::deliver(&scratch.path("result"));
    // Little work, which no key of these bytes is opened by.
    let secret = [b"EdScB2".as_slice(), &[0; 32], &[0, 128, 0, 0, 0, 0, 0, 0], &[0, 64, 0, 0, 0, 0, 0, 0], &[7; 104]];
    let text = format!("untrusted comment: minisign encrypted secret key\n{}\n", base64::encode(&secret.concat()));
    std::fs::write(scratch.path("mini.key"), text).unwrap();
    // Where this process was started with `nohup`, so is kiln.
    let ignored = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = ignored.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let hangs_up = u64::from_str_radix(ignored, 16).unwrap() & 1 == 0;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().take(if hangs_up { 3 } else { 2 }) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        let modes = || tcgetattr(&theirs).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.args(["sign", "result", "--key", "mini.key"]).current_dir(scratch.path(""));
        kiln.stdin(theirs.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = kiln.spawn().unwrap();
        let began = Instant::now();
        while modes().contains(LocalModes::ECHO) {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it asked");
            assert!(began.elapsed() < LIMIT, "it never asks");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(modes(), before, "{signal:?}");
    }
}
