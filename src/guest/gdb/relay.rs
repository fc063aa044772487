//! Passes on bytes between a port of this host and the gdb stub of a running QEMU.
//!
//! Input: a listening port, and the directory in which QEMU makes its socket. QEMU may write that directory, so the socket is
//! reached by descriptor, and no link there leads anywhere. Neither side can hold the relay: who does not read is left.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::SOCKET;
use crate::guest::clock::Deadline;
use crate::guest::process::TICK;
use crate::world::dir::Dir;

/// How long a gdb that comes early is held until QEMU has opened its socket.
const STUB_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one side may leave unread what the other one sends.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Passes bytes on until it is dropped.
#[derive(Debug)]
pub struct GdbRelay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GdbRelay {
    /// Serves a port that does not block, out of the directory that QEMU knows as its own.
    pub(super) fn start(listener: TcpListener, run: Dir) -> GdbRelay {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(&listener, &run, &stopped));
        GdbRelay { stop, thread: Some(thread) }
    }
}

impl Drop for GdbRelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within some ticks, and has nothing to say.
            let _ = thread.join();
        }
    }
}

/// One gdb after the other, as QEMU's stub serves them.
fn serve(listener: &TcpListener, run: &Dir, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // Without a stub, the connection is closed.
            Ok((gdb, _)) => drop(stub(run, stop).map(|stub| connected(&gdb, &stub, (stop, STALL_TIMEOUT)))),
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// QEMU's own socket, once there is one.
fn stub(run: &Dir, stop: &AtomicBool) -> Option<UnixStream> {
    let deadline = Deadline::after(STUB_TIMEOUT);
    while !deadline.passed() && !stop.load(Ordering::Relaxed) {
        let held = run.look(SOCKET).ok().flatten();
        if let Some(stream) = held.and_then(|socket| socket.connect(TICK).ok()) {
            return Some(stream);
        }
        std::thread::sleep(TICK);
    }
    None
}

fn connected(gdb: &TcpStream, stub: &UnixStream, (stop, patience): (&AtomicBool, Duration)) -> std::io::Result<()> {
    gdb.set_nonblocking(false)?;
    gdb.set_nodelay(true)?;
    gdb.set_read_timeout(Some(TICK))?;
    gdb.set_write_timeout(Some(TICK))?;
    stub.set_read_timeout(Some(TICK))?;
    stub.set_write_timeout(Some(TICK))?;
    let over = AtomicBool::new(false);
    let ends = || over.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pass(gdb, stub, (&ends, patience));
            over.store(true, Ordering::Relaxed);
        });
        pass(stub, gdb, (&ends, patience));
        over.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Whether there is nothing more to pass on.
type Ends<'a> = &'a (dyn Fn() -> bool + Sync);

/// Until one of the two has ended, or no longer reads.
fn pass(mut from: impl Read, mut to: impl Write, (ends, patience): (Ends<'_>, Duration)) {
    let mut buffer = [0; 16 << 10];
    while !ends() {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) if !write(&mut to, &buffer[..count], (ends, patience)) => return,
            Ok(_) => {}
            Err(error) if is_tick(&error) => {}
            Err(_) => return,
        }
    }
}

/// Whether all of it could be written.
fn write(to: &mut impl Write, mut bytes: &[u8], (ends, patience): (Ends<'_>, Duration)) -> bool {
    let mut deadline = Deadline::after(patience);
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return false,
            Ok(count) => {
                bytes = &bytes[count..];
                deadline = Deadline::after(patience);
            }
            Err(error) if is_tick(&error) && !ends() && !deadline.passed() => {}
            Err(_) => return false,
        }
    }
    true
}

/// Whether a call only took its time.
fn is_tick(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;
    use crate::world::eventually::eventually;
    use crate::world::fs;

    /// A relay, with the directory of its QEMU and the port of its gdb.
    struct Lab {
        run: PathBuf,
        port: u16,
        relay: GdbRelay,
    }

    impl Lab {
        fn new(name: &str) -> Lab {
            let run = std::env::temp_dir().join(format!("kiln-gdb-{}-{name}", std::process::id()));
            let _ = fs::remove_tree(&run);
            fs::create_dir_all(&run).unwrap();
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let port = listener.local_addr().unwrap().port();
            Lab { relay: GdbRelay::start(listener, Dir::open(&run).unwrap()), run, port }
        }

        fn gdb(&self) -> TcpStream {
            TcpStream::connect(("127.0.0.1", self.port)).unwrap()
        }

        fn qemu(&self) -> UnixListener {
            UnixListener::bind(self.run.join(SOCKET)).unwrap()
        }

        fn end(self) {
            drop(self.relay);
            eventually("nobody listens", || TcpStream::connect(("127.0.0.1", self.port)).is_err());
            fs::remove_tree(&self.run).unwrap();
        }
    }

    #[test]
    fn what_gdb_says_reaches_the_stub_and_back_one_gdb_after_the_other() {
        let lab = Lab::new("says");
        let mut early = Some(lab.gdb());
        let qemu = lab.qemu();
        for said in ["$qSupported#37", "$g#67"] {
            let mut gdb = early.take().unwrap_or_else(|| lab.gdb());
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
        lab.end();
    }

    #[test]
    fn a_link_in_the_place_of_the_socket_leads_nowhere() {
        let lab = Lab::new("link");
        let other = UnixListener::bind(lab.run.join("other")).unwrap();
        other.set_nonblocking(true).unwrap();
        std::os::unix::fs::symlink("other", lab.run.join(SOCKET)).unwrap();
        let held = Dir::open(&lab.run).unwrap();
        let socket = held.look(SOCKET).unwrap().unwrap();
        assert!(socket.connect(TICK).is_err(), "the premise: a link is not followed");
        let mut gdb = lab.gdb();
        gdb.write_all(b"$g#67").unwrap();
        // The real one takes the link's place, and it alone is connected to.
        let qemu = UnixListener::bind(lab.run.join("new")).unwrap();
        fs::rename(&lab.run.join("new"), &lab.run.join(SOCKET)).unwrap();
        let mut heard = [0; 5];
        qemu.accept().unwrap().0.read_exact(&mut heard).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        lab.end();
    }

    #[test]
    fn a_directory_in_the_place_of_that_of_the_run_changes_nothing() {
        let lab = Lab::new("swapped");
        let moved = lab.run.with_extension("moved");
        let qemu = lab.qemu();
        fs::rename(&lab.run, &moved).unwrap();
        fs::create_dir_all(&lab.run).unwrap();
        let other = lab.qemu();
        other.set_nonblocking(true).unwrap();
        lab.gdb().write_all(b"$g#67").unwrap();
        let mut heard = [0; 5];
        qemu.accept().unwrap().0.read_exact(&mut heard).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        fs::remove_tree(&moved).unwrap();
        lab.end();
    }

    #[test]
    fn a_gdb_that_does_not_read_holds_neither_the_relay_nor_its_end() {
        let lab = Lab::new("unread");
        let qemu = lab.qemu();
        let _gdb = lab.gdb();
        let (mut served, _) = qemu.accept().unwrap();
        // It floods the gdb until nothing more is taken from it, and on until the relay has gone.
        let flood = std::thread::spawn(move || while served.write_all(&[b'+'; 64 << 10]).is_ok() {});
        lab.end();
        flood.join().unwrap();
    }

    #[test]
    fn who_reads_nothing_for_too_long_is_left() {
        let (never, patience) = (AtomicBool::new(false), Duration::from_millis(1));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let _gdb = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stub, mut served) = UnixStream::pair().unwrap();
        let flood = std::thread::spawn(move || while served.write_all(&[b'+'; 64 << 10]).is_ok() {});
        connected(&listener.accept().unwrap().0, &stub, (&never, patience)).unwrap();
        drop(stub);
        flood.join().unwrap();
    }
}
