//! The gdb stub of a machine: QEMU listens on a socket of the run, and kiln passes on what comes to a port of this host.
//!
//! QEMU has no network of its own, so that its stub cannot listen on a port. The port is one of the loopback address; gdb can
//! do with the guest what it likes, and with nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::process::TICK;
use super::{GuestError, Launch, launch};
use crate::machine::LaunchAdditions;
use crate::machine::argv::quote;
use crate::plan::ArtifactKind;

/// The socket's name in the directory of the run.
const SOCKET: &str = "gdb";
/// Without it the kernel is somewhere else than its symbols say.
const NO_KASLR: &str = "nokaslr";
/// Where kernels are compiled, which their debug information says.
const BUILT_AT: &str = "/kiln/build/linux";

/// How a machine is debugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GdbStub {
    /// Of the loopback address.
    pub port: u16,
    pub start: GuestStart,
    /// The source of the kernel on this host, if it is known.
    pub source: Option<PathBuf>,
}

/// When the guest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestStart {
    AtOnce,
    /// When gdb says so.
    OnContinue,
}

impl GdbStub {
    /// What the start of the machine has besides.
    pub fn add_to(&self, additions: &mut LaunchAdditions) {
        additions.append.push(NO_KASLR.to_owned());
        let socket = format!("unix:{}/{SOCKET},server=on,wait=off", launch::RUN);
        additions.arguments.extend(["-gdb".to_owned(), socket]);
        if self.start == GuestStart::OnContinue {
            additions.arguments.push("-S".to_owned());
        }
    }

    /// Listens, and passes on what comes as long as the value lives; `run` is the directory that QEMU knows as its own.
    pub fn open(&self, machine: &str, run: &Path) -> Result<GdbRelay, GuestError> {
        let (host, port) = (Ipv4Addr::LOCALHOST, self.port);
        let refused = |error: std::io::Error| match error.kind() {
            ErrorKind::AddrInUse => GuestError::GdbPortTaken { machine: machine.to_owned(), port },
            _ => {
                let (machine, host, reason) = (machine.to_owned(), host.to_string(), error.to_string());
                GuestError::Port { machine, host, port, reason }
            }
        };
        let listener = TcpListener::bind((host, port)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (socket, stopped) = (run.join(SOCKET), stop.clone());
        let thread = std::thread::spawn(move || relay(&listener, &socket, &stopped));
        Ok(GdbRelay { stop, thread: Some(thread) })
    }

    /// What to type, and what to know.
    pub fn notices(&self, launch: &Launch) -> Vec<String> {
        let waits = if self.start == GuestStart::OnContinue { "; the guest waits for `continue`" } else { "" };
        let mut lines = vec![format!("machine {}: gdb stub on 127.0.0.1:{}{waits}", launch.machine, self.port)];
        let file = |kind: ArtifactKind| launch.artifacts.join(kind.file_name());
        let vmlinux = file(ArtifactKind::Vmlinux);
        if !vmlinux.is_file() {
            let options = "`option DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT = y` and `option GDB_SCRIPTS = y`";
            lines.push(format!("its kernel comes without symbols: a compiled one delivers them with {options}"));
            return lines;
        }
        let mut words = vec!["gdb".to_owned(), vmlinux.display().to_string()];
        let mut command = |text: String| words.extend(["-ex".to_owned(), text]);
        if let Some(source) = &self.source {
            command(format!("set substitute-path {BUILT_AT} {}", source.display()));
        }
        let scripts = file(ArtifactKind::GdbScripts);
        if scripts.is_file() {
            command(format!("source {}", scripts.display()));
        }
        command(format!("target remote 127.0.0.1:{}", self.port));
        lines.push(words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "));
        lines
    }
}

/// Passes bytes on until it is dropped.
#[derive(Debug)]
pub struct GdbRelay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for GdbRelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within a tick, and has nothing to say.
            let _ = thread.join();
        }
    }
}

/// One gdb after the other, as QEMU's stub serves them.
fn relay(listener: &TcpListener, socket: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // A QEMU that is gone, or not there yet, closes the connection.
            Ok((gdb, _)) => drop(UnixStream::connect(socket).and_then(|stub| connected(&gdb, &stub, stop))),
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn connected(gdb: &TcpStream, stub: &UnixStream, stop: &AtomicBool) -> std::io::Result<()> {
    gdb.set_nonblocking(false)?;
    gdb.set_nodelay(true)?;
    gdb.set_read_timeout(Some(TICK))?;
    stub.set_read_timeout(Some(TICK))?;
    let over = AtomicBool::new(false);
    let ends = || over.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pass(gdb, stub, &ends);
            over.store(true, Ordering::Relaxed);
        });
        pass(stub, gdb, &ends);
        over.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Until one of the two has ended.
fn pass(mut from: impl Read, mut to: impl Write, ends: &(dyn Fn() -> bool + Sync)) {
    let mut buffer = [0; 16 << 10];
    while !ends() {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) if to.write_all(&buffer[..count]).is_err() => return,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_gdb_says_reaches_the_stub_and_back_one_gdb_after_the_other() {
        let run = std::env::temp_dir().join(format!("kiln-gdb-{}", std::process::id()));
        let _ = crate::world::fs::remove_tree(&run);
        crate::world::fs::create_dir_all(&run).unwrap();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let stub = GdbStub { port: free, start: GuestStart::OnContinue, source: None };
        let relay = stub.open("m", &run).unwrap();
        assert!(matches!(stub.open("m", &run), Err(GuestError::GdbPortTaken { .. })));
        let qemu = UnixListener::bind(run.join(SOCKET)).unwrap();
        for said in ["$qSupported#37", "$g#67"] {
            let mut gdb = TcpStream::connect(("127.0.0.1", free)).unwrap();
            gdb.write_all(said.as_bytes()).unwrap();
            let mut served = qemu.accept().unwrap().0;
            let mut heard = vec![0; said.len()];
            served.read_exact(&mut heard).unwrap();
            assert_eq!(heard, said.as_bytes());
            served.write_all(b"+").unwrap();
            let mut answer = [0];
            gdb.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"+");
        }
        drop(relay);
        assert!(TcpStream::connect(("127.0.0.1", free)).is_err());
        crate::world::fs::remove_tree(&run).unwrap();
    }

    #[test]
    fn a_stub_is_part_of_the_start_and_of_nothing_else() {
        let mut additions = LaunchAdditions::default();
        let stub = GdbStub { port: 1234, start: GuestStart::AtOnce, source: None };
        stub.add_to(&mut additions);
        assert_eq!(additions.append, ["nokaslr"]);
        assert_eq!(additions.arguments, ["-gdb", "unix:/kiln/run/gdb,server=on,wait=off"]);
        GdbStub { start: GuestStart::OnContinue, ..stub }.add_to(&mut additions);
        assert_eq!(additions.arguments.last().unwrap(), "-S");
    }
}
