//! Connections: one with the guest and one of this host for each, and bytes carried between them.
//!
//! The guest is not answered before the host's connection stands, so that it hears of a refusal as one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use super::device::again;
use super::reach::Reach;
use super::wire::Pair;
use super::{GATEWAY, GUEST};

/// Connections at once; one more is refused.
const MAX_FLOWS: usize = 512;
/// Bytes under way in each direction of one.
const BUFFER_BYTES: usize = 256 << 10;
/// A guest that was reset knows nothing of its connections, and says so when asked.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(75);
/// Time for a guest to answer a forwarded connection: it may still be booting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);
/// Ports of the gateway's end of forwarded connections begin here.
const FIRST_PORT: u16 = 49_152;

struct Flow {
    /// From the side that began it.
    pair: Pair,
    guest: SocketHandle,
    host: TcpStream,
    /// Whether the host's connection stands.
    connected: bool,
    /// Whether the host has said its last byte.
    host_ended: bool,
    /// Whether the guest has, and the host knows.
    guest_ended: bool,
    /// Whether the host's connection broke: nothing more is carried, and what the guest sent last is lost with it.
    dead: bool,
}

/// Every connection.
#[derive(Default)]
pub(super) struct Flows {
    flows: Vec<Flow>,
    next_port: u16,
}

impl Flows {
    /// The guest begins a connection. Where it may not go nobody listens, and the stack refuses it.
    pub(super) fn begin(&mut self, reach: &Reach, sockets: &mut SocketSet<'_>, pair: Pair) {
        if self.is_full() || self.flows.iter().any(|flow| flow.pair == pair) {
            return;
        }
        let Some(host) = reach.target(pair.to).and_then(|target| connect(target).ok()) else { return };
        let mut socket = new_socket();
        socket.pause_synack(true);
        let endpoint = IpListenEndpoint { addr: Some((*pair.to.ip()).into()), port: pair.to.port() };
        if socket.listen(endpoint).is_ok() {
            let guest = sockets.add(socket);
            self.flows.push(Flow::new(pair, guest, host, false));
        }
    }

    /// Somebody came to a forwarded port.
    pub(super) fn forward(
        &mut self,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        host: TcpStream,
        port: u16,
    ) {
        let to = SocketAddrV4::new(GUEST, port);
        let Some(from) = (!self.is_full()).then(|| self.free_port(to)).flatten() else { return };
        let mut socket = new_socket();
        socket.set_timeout(Some(CONNECT_TIMEOUT));
        let begun = socket.connect(interface.context(), IpEndpoint::from(to), IpEndpoint::from(from)).is_ok();
        if begun && host.set_nonblocking(true).is_ok() && host.set_nodelay(true).is_ok() {
            self.flows.push(Flow::new(Pair { from, to }, sockets.add(socket), host, true));
        }
    }

    /// Whether no more fit.
    pub(super) fn is_full(&self) -> bool {
        self.flows.len() >= MAX_FLOWS
    }

    fn free_port(&mut self, to: SocketAddrV4) -> Option<SocketAddrV4> {
        (0..=MAX_FLOWS).find_map(|_| {
            let from = SocketAddrV4::new(GATEWAY, self.next_port.max(FIRST_PORT));
            self.next_port = from.port().checked_add(1).unwrap_or(FIRST_PORT);
            (!self.flows.iter().any(|flow| flow.pair == Pair { from, to })).then_some(from)
        })
    }

    /// What to wait for, in the order in which [`Flows::carry`] takes the answers. A connection that waits for the guest
    /// is not among them: that the other end is gone would be said at once, again and again.
    pub(super) fn watch<'a>(&'a self, sockets: &SocketSet<'_>, fds: &mut Vec<PollFd<'a>>) {
        for flow in &self.flows {
            let flags = flow.awaited(sockets.get(flow.guest));
            fds.extend((!flags.is_empty()).then(|| PollFd::new(&flow.host, flags)));
        }
    }

    /// Carries bytes as far as both sides take them.
    pub(super) fn carry(&mut self, ready: &mut impl Iterator<Item = PollFlags>, sockets: &mut SocketSet<'_>) {
        for flow in &mut self.flows {
            let guest: &mut Socket<'_> = sockets.get_mut(flow.guest);
            if flow.awaited(guest).is_empty() {
                continue;
            }
            let ready = ready.next().unwrap_or(PollFlags::empty());
            if flow.carry(guest, ready).is_err() {
                flow.dead = true;
                guest.abort();
            }
        }
    }

    /// Forgets connections that are over on both sides, once the guest has been told. For the guest one may be over long
    /// before the host has taken the last bytes.
    pub(super) fn bury(&mut self, sockets: &mut SocketSet<'_>) {
        self.flows.retain(|flow| {
            let guest: &Socket<'_> = sockets.get(flow.guest);
            let told = guest.state() == State::Closed && guest.remote_endpoint().is_none() && !flow.owes(guest);
            // A frame that began it and was none after all.
            let unused = guest.state() == State::Listen;
            if told || unused || guest.state() == State::TimeWait && !flow.owes_end(guest) {
                sockets.remove(flow.guest);
                return false;
            }
            true
        });
    }
}

impl Flow {
    fn new(pair: Pair, guest: SocketHandle, host: TcpStream, connected: bool) -> Flow {
        Flow { pair, guest, host, connected, host_ended: false, guest_ended: false, dead: false }
    }

    /// What the host's side is waited for. Nothing where nothing is carried any more: a broken connection is always
    /// ready, so waiting for it would never wait.
    fn awaited(&self, guest: &Socket<'_>) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.dead || guest.state() == State::Closed && !self.owes(guest) {
            return flags;
        }
        flags.set(PollFlags::IN, self.connected && !self.host_ended && guest.can_send());
        flags.set(PollFlags::OUT, !self.connected || self.owes(guest) || self.owes_end(guest));
        flags
    }

    /// Whether the guest has sent what the host can still get.
    fn owes(&self, guest: &Socket<'_>) -> bool {
        guest.can_recv() && !self.dead
    }

    /// Whether the guest has said its last byte, and the host does not know yet.
    fn owes_end(&self, guest: &Socket<'_>) -> bool {
        let ended = matches!(guest.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        ended && !self.guest_ended
    }

    fn carry(&mut self, guest: &mut Socket<'_>, ready: PollFlags) -> io::Result<()> {
        if ready.is_empty() {
            return Ok(());
        }
        if !self.connected {
            if let Some(error) = self.host.take_error()? {
                return Err(error);
            }
            self.connected = true;
            guest.pause_synack(false);
        }
        // It has answered; from now on it may be silent.
        guest.set_timeout(None);
        self.send(guest)?;
        if self.host_ended { Ok(()) } else { self.receive(guest) }
    }

    /// From the guest to the host.
    fn send(&mut self, guest: &mut Socket<'_>) -> io::Result<()> {
        while guest.can_recv() {
            let written = guest.recv(|data| match self.host.write(data) {
                Ok(count) => (count, Ok(true)),
                Err(error) if again(&error) => (0, Ok(false)),
                Err(error) => (0, Err(error)),
            });
            if !written.map_err(io::Error::other)?? {
                return Ok(());
            }
        }
        if self.owes_end(guest) {
            self.guest_ended = true;
            self.host.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// From the host to the guest.
    fn receive(&mut self, guest: &mut Socket<'_>) -> io::Result<()> {
        while guest.can_send() {
            let read = guest.send(|room| match self.host.read(room) {
                Ok(count) => (count, Ok(Some(count))),
                Err(error) if again(&error) => (0, Ok(None)),
                Err(error) => (0, Err(error)),
            });
            match read.map_err(io::Error::other)?? {
                None => break,
                Some(0) => {
                    self.host_ended = true;
                    guest.close();
                    break;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn new_socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER_BYTES]), SocketBuffer::new(vec![0; BUFFER_BYTES]));
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket.set_keep_alive(Some(KEEP_ALIVE_INTERVAL));
    socket
}

/// Begins a connection without waiting for it.
fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}
