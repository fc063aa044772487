//! A guest on the other end of the cable: a stack like the router's own, with the guest's address.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as Now;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};

use super::super::clock::Deadline;
use super::device::Cable;
use super::reach::Reach;
use super::wire::{self, Pair, Seen};
use super::{GATEWAY, GUEST, PREFIX, RESOLVER, UserNetwork};
use crate::world::eventually::eventually;

const CARD: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 1, 2, 3]);
/// Nothing here takes longer, on any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What stands for the host's name server: it sends back what it gets.
static RESOLVING: LazyLock<SocketAddr> = LazyLock::new(|| {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&buffer[..count], from).unwrap();
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    address
});

fn resolving() -> Option<SocketAddr> {
    Some(*RESOLVING)
}

struct Guest {
    cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    clock: Deadline,
    heard: Vec<(Pair, Vec<u8>)>,
    network: Option<UserNetwork>,
}

impl Guest {
    fn boot(doors: Vec<(TcpListener, u16)>, reach: Reach) -> Guest {
        let path =
            std::env::temp_dir().join(format!("kiln-network-{}-{:?}", std::process::id(), std::thread::current().id()));
        let listener = UnixListener::bind(&path).unwrap();
        let network = UserNetwork::route(listener, doors, reach).unwrap();
        let qemu = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut cable = Cable::new(qemu).unwrap();
        let mut interface = Interface::new(Config::new(CARD.into()), &mut cable, Now::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::Ipv4(GUEST), PREFIX)).unwrap());
        interface.routes_mut().add_default_ipv4_route(GATEWAY).unwrap();
        let sockets = SocketSet::new(Vec::new());
        Guest { cable, interface, sockets, clock: Deadline::after(LIMIT), heard: Vec::new(), network: Some(network) }
    }

    /// One look around: frames in, frames out.
    fn live(&mut self) {
        let now = Now::from_micros(self.clock.elapsed().as_micros() as i64);
        self.interface.poll_egress(now, &mut self.cable, &mut self.sockets);
        self.cable.flush().unwrap();
        let limit = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        rustix::event::poll(&mut [PollFd::from_borrowed_fd(self.cable.fd(), PollFlags::IN)], Some(&limit)).unwrap();
        for frame in self.cable.frames().unwrap() {
            if let Some((_, Seen::Udp(pair, data))) = wire::look(&frame) {
                self.heard.push((pair, data.to_vec()));
            }
            self.cable.show(frame);
            self.interface.poll_ingress_single(now, &mut self.cable, &mut self.sockets);
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Guest) -> bool) {
        let deadline = Deadline::after(LIMIT);
        while !done(self) {
            assert!(!deadline.passed(), "{what}");
            self.live();
        }
    }

    fn socket(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 256 << 10]);
        self.sockets.add(Socket::new(buffer(), buffer()))
    }

    fn connect(&mut self, to: SocketAddrV4, port: u16) -> SocketHandle {
        let handle = self.socket();
        let from = IpEndpoint::new(IpAddress::Ipv4(GUEST), port);
        let socket: &mut Socket<'_> = self.sockets.get_mut(handle);
        socket.connect(self.interface.context(), IpEndpoint::from(to), from).unwrap();
        handle
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn datagram(&mut self, from: Ipv4Addr, to: SocketAddrV4, data: &[u8]) {
        let pair = Pair { from: SocketAddrV4::new(from, 4000), to };
        self.cable.send(&wire::datagram(CARD, pair, data).unwrap());
    }
}

fn test_reach() -> Reach {
    Reach::test(resolving, |_| false)
}

#[test]
fn a_guest_gets_an_address_and_the_hosts_name_server_answers() {
    let mut guest = Guest::boot(Vec::new(), test_reach());
    let mut discover = vec![0; 240];
    discover[..3].copy_from_slice(&[1, 1, 6]);
    discover[236..].copy_from_slice(&[99, 130, 83, 99]);
    discover.extend([53, 1, 1, 255]);
    guest.datagram(Ipv4Addr::UNSPECIFIED, SocketAddrV4::new(Ipv4Addr::BROADCAST, 67), &discover);
    guest.until("an offer", |guest| guest.heard.iter().any(|(pair, _)| pair.to.port() == 68));
    assert_eq!(guest.heard[0].1[16..20], GUEST.octets());
    guest.heard.clear();
    let resolver = SocketAddrV4::new(RESOLVER, 53);
    guest.datagram(GUEST, resolver, b"question");
    guest.until("an answer", |guest| !guest.heard.is_empty());
    let (pair, data) = &guest.heard[0];
    assert_eq!((pair.from, pair.to, data.as_slice()), (resolver, SocketAddrV4::new(GUEST, 4000), &b"question"[..]));
}

#[test]
fn a_connection_carries_everything_both_ways_and_ends_both_ways() {
    let mut guest = Guest::boot(Vec::new(), test_reach());
    let handle = guest.connect(SocketAddrV4::new(RESOLVER, 53), 5000);
    let data: Vec<u8> = (0..6u32 << 20).map(|n| (n % 251) as u8).collect();
    let (mut sent, mut back) = (0, Vec::new());
    guest.until("everything back", |guest| {
        let socket = guest.tcp(handle);
        if socket.can_send() {
            sent += socket.send_slice(&data[sent..]).unwrap();
            if sent == data.len() {
                socket.close();
            }
        }
        if socket.can_recv() {
            socket.recv(|piece| (piece.len(), back.extend_from_slice(piece))).unwrap();
        }
        back.len() == data.len()
    });
    assert!(back == data);
    guest.until("the end", |guest| matches!(guest.tcp(handle).state(), State::TimeWait | State::Closed));
}

/// Neither what listens on this machine hears anything, nor does the guest wait: it is refused.
#[test]
fn this_machine_is_not_reached() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let datagrams = UdpSocket::bind(canary.local_addr().unwrap()).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let mut guest = Guest::boot(Vec::new(), Reach::test(resolving, |address| address == Ipv4Addr::new(192, 0, 2, 77)));
    let addresses = ["10.0.2.2", "10.0.2.3", "127.0.0.1", "127.0.0.53", "0.0.0.0", "192.0.2.77", "169.254.169.254"];
    for (number, address) in (6000..).zip(addresses) {
        let to = SocketAddrV4::new(address.parse().unwrap(), port);
        guest.datagram(GUEST, to, b"hello");
        if to.ip().is_unspecified() {
            // A stack does not even send it; the policy's own test has it, too.
            continue;
        }
        let handle = guest.connect(to, number);
        if to.ip().is_loopback() {
            // The router's stack drops such packets unanswered, as every router must (RFC 1122, 3.2.1.3).
            (0..20).for_each(|_| guest.live());
        } else {
            guest.until(address, |guest| guest.tcp(handle).state() == State::Closed);
        }
    }
    assert!(canary.accept().is_err(), "a guest reached this machine");
    assert!(datagrams.recv(&mut [0; 9]).is_err(), "a guest reached this machine");
    assert!(guest.heard.is_empty());
}

#[test]
fn a_forwarded_port_leads_into_the_guest_and_is_free_afterwards() {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = door.local_addr().unwrap();
    let mut guest = Guest::boot(vec![(door, 22)], test_reach());
    let handle = guest.socket();
    guest.tcp(handle).listen(22).unwrap();
    let caller = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"who is there?").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let mut asked = Vec::new();
    guest.until("the question, and its end", |guest| {
        let socket = guest.tcp(handle);
        if socket.can_recv() {
            socket.recv(|piece| (piece.len(), asked.extend_from_slice(piece))).unwrap();
        }
        socket.state() == State::CloseWait && !socket.can_recv()
    });
    assert_eq!(asked, b"who is there?");
    assert_eq!(guest.tcp(handle).remote_endpoint().unwrap().addr, IpAddress::Ipv4(GATEWAY));
    guest.tcp(handle).send_slice(b"a guest").unwrap();
    guest.tcp(handle).close();
    guest.until("the answer", |_| caller.is_finished());
    assert_eq!(caller.join().unwrap(), "a guest");
    drop(guest.network.take());
    eventually("the port is free again", || TcpListener::bind(address).is_ok());
}

/// A server that reads only when the test does, with little room for what it has not read.
static SLOW: LazyLock<TcpListener> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    listener
});

fn slow() -> Option<SocketAddr> {
    SLOW.local_addr().ok()
}

/// What the guest has sent on a new connection to it when all that is left of `data` has been taken, or nothing more is.
fn send_unread(guest: &mut Guest, port: u16, data: &[u8]) -> (SocketHandle, TcpStream, usize) {
    let handle = guest.connect(SocketAddrV4::new(RESOLVER, 53), port);
    guest.until("a connection", |guest| guest.tcp(handle).may_send());
    let (server, _) = SLOW.accept().unwrap();
    let (mut sent, mut taken, mut patience) = (0, 0, Deadline::after(LIMIT));
    guest.until("all taken", |guest| {
        let socket = guest.tcp(handle);
        if socket.can_send() {
            sent += socket.send_slice(&data[sent..]).unwrap();
        }
        let now = sent - socket.send_queue();
        if now > taken {
            (taken, patience) = (now, Deadline::after(Duration::from_secs(1)));
        }
        taken == data.len() || patience.passed()
    });
    (handle, server, taken)
}

/// Sends as much as is taken while nobody reads: the last of it is still in the router's own buffer of 256 KiB.
fn send_all_unread<'a>(guest: &mut Guest, data: &'a [u8]) -> (SocketHandle, TcpStream, &'a [u8]) {
    let mut length = data.len();
    for port in 8000..8016 {
        let (handle, server, taken) = send_unread(guest, port, &data[..length]);
        if taken == length {
            return (handle, server, &data[..length]);
        }
        // How much the host's kernel takes besides is another each time.
        length = taken - (64 << 10);
    }
    panic!("the host's kernel takes less each time");
}

/// The guest has ended, and every byte is acknowledged, while the other end has yet to read most of them.
#[test]
fn what_a_guest_sent_before_it_ended_arrives_however_slowly_it_is_read() {
    let data: Vec<u8> = (0..32u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut guest = Guest::boot(Vec::new(), Reach::test(slow, |_| false));
    let (handle, mut server, data) = send_all_unread(&mut guest, &data);
    guest.tcp(handle).close();
    guest.until("its end is heard", |guest| guest.tcp(handle).state() == State::FinWait2);
    server.shutdown(std::net::Shutdown::Write).unwrap();
    guest.until("the other end", |guest| guest.tcp(handle).state() == State::TimeWait);
    // The router hears that its own end has arrived: for the guest nothing is left of the connection.
    (0..20).for_each(|_| guest.live());
    let mut arrived = Vec::new();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    server.read_to_end(&mut arrived).unwrap();
    assert_eq!(arrived.len(), data.len());
    assert!(arrived == data);
}

#[test]
fn a_refused_connection_is_refused_in_the_guest() {
    let nobody = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().ok()
    };
    let mut guest = Guest::boot(Vec::new(), Reach::test(nobody, |_| false));
    let handle = guest.connect(SocketAddrV4::new(RESOLVER, 53), 7000);
    guest.until("a refusal", |guest| guest.tcp(handle).state() == State::Closed);
}

/// A QEMU that was taken over may send anything: it loses its network, and nothing else happens.
#[test]
fn frames_that_no_card_sends_end_the_network() {
    let path = std::env::temp_dir().join(format!("kiln-network-{}-wild", std::process::id()));
    let _network = UserNetwork::route(UnixListener::bind(&path).unwrap(), Vec::new(), test_reach()).unwrap();
    let mut qemu = UnixStream::connect(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let mut noise = vec![0, 0, 0, 3, 1, 2, 3];
    for length in [0u32, 14, 34, 54, 600] {
        noise.extend(length.to_be_bytes());
        noise.extend((0..length).map(|n| (n * 31 % 256) as u8));
    }
    qemu.write_all(&noise).unwrap();
    qemu.write_all(&[0xff; 64]).unwrap();
    qemu.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(qemu.read(&mut [0; 64]).unwrap(), 0, "the cable is cut");
}
