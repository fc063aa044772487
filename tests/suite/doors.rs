//! What others wrote, at kiln's doors: the terminal, a working directory, the network, a crafted lock.

mod checkout;
mod crafted;
mod network;
mod terminal;
mod tls;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A command that must not wait for anything: killed, and a failure, after half a minute.
fn promptly(command: &mut Command) -> Output {
    let mut child: Child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn mkfifo(path: &std::path::Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}
