//! The user network of a machine: its guest reaches other machines, and forwarded ports lead into it.
//!
//! Input: QEMU's frames on a socket (`-netdev stream`), forwarded ports. Output: ordinary connections of this host.
//!
//! kiln does this itself, because whoever does it has the host's network: QEMU, which is locked by a recipe that may come
//! from anybody, runs in an empty network namespace and has nothing but that socket. The guest sees what QEMU's own
//! user network shows: itself as 10.0.2.15, the gateway 10.0.2.2, a name server 10.0.2.3. It reaches what [`reach`] allows.
//! Everything here is safe code over sockets; a thread does it, which ends with the value that stands for it.

pub mod bridge;
mod device;
mod dhcp;
mod reach;
mod router;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod wire;

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};

use super::launch::Places;
use super::ports;
use super::{GuestError, Launch};
use crate::recipe::machine::device::Forward;
use crate::world::fs;
use reach::Reach;
use router::Router;

/// Its name in the directory of a run.
pub const SOCKET: &str = "network";
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Who answers for everybody else.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Stands for the name server of this host.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// Bits of the guest's network.
const PREFIX: u8 = 24;

/// The user network of a machine that is about to start.
pub fn open(launch: &Launch, places: &Places, forwards: &[Forward]) -> Result<UserNetwork, GuestError> {
    UserNetwork::open(&launch.machine, &places.run.join(SOCKET), forwards)
}

/// A port of this host, and the guest's port that it leads to.
type Door = (TcpListener, u16);

/// The user network of one running machine; it ends when dropped.
#[derive(Debug)]
pub struct UserNetwork {
    /// Closed to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl UserNetwork {
    /// Opens the forwarded ports, and the socket at `path` that QEMU connects to once.
    pub fn open(machine: &str, path: &Path, forwards: &[Forward]) -> Result<UserNetwork, GuestError> {
        let mut doors = Vec::new();
        for forward in forwards {
            doors.push((ports::open(machine, forward)?, forward.guest.value));
        }
        let listener = UserNetwork::listener(path)?;
        UserNetwork::route(listener, doors, Reach::host())
            .map_err(|error| GuestError::Network { machine: machine.to_owned(), reason: error.to_string() })
    }

    fn listener(path: &Path) -> Result<UnixListener, GuestError> {
        fs::remove_file(path)?;
        Ok(fs::context("listen on", path, UnixListener::bind(path))?)
    }

    fn route(listener: UnixListener, doors: Vec<Door>, reach: Reach) -> std::io::Result<UserNetwork> {
        UserNetwork::serve(listener, move |qemu, stop| Router::new(qemu, doors, reach)?.run(stop))
    }

    /// Does the work on a thread once QEMU has connected.
    fn serve(
        listener: UnixListener,
        carry: impl FnOnce(UnixStream, &UnixStream) -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<UserNetwork> {
        let (ours, theirs) = UnixStream::pair()?;
        let work = move || {
            if let Some(qemu) = connected(&listener, &theirs) {
                // Nobody else may connect: what comes is this QEMU's.
                drop(listener);
                // An error is QEMU's end, or a QEMU that breaks the rules; the guest then has a dead cable.
                let _ = carry(qemu, &theirs);
            }
        };
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn(work)?;
        Ok(UserNetwork { stop: Some(ours), thread: Some(thread) })
    }
}

impl Drop for UserNetwork {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was the end of that network, and of nothing else.
            let _ = thread.join();
        }
    }
}

/// QEMU's connection; none when the end comes first.
fn connected(listener: &UnixListener, stop: &UnixStream) -> Option<UnixStream> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)].to_vec();
        fds.push(PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN));
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
            Ok(_) if !fds[1].revents().is_empty() => return None,
            Ok(_) => return listener.accept().ok().map(|(stream, _)| stream),
        }
    }
}
