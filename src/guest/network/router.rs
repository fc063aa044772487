//! The loop: frames from QEMU to their flows, and what the flows have to say back.

use std::io;
use std::net::SocketAddrV4;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::time::Instant as Now;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use super::super::clock::Deadline;
use super::device::{Cable, again};
use super::reach::Reach;
use super::wire::{self, MAC, Pair, Seen};
use super::{Door, GATEWAY, PREFIX, RESOLVER, dhcp, tcp, udp};

/// Frames that one round makes for the guest before it looks around again.
const MAX_FRAMES_PER_ROUND: usize = 256;
/// How long callers wait when they cannot be let in. The poll would say at once that they are still there.
const FULL_BACKLOG_DELAY: Duration = Duration::from_millis(100);

/// Everything of one user network.
pub(super) struct Router {
    cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: tcp::Flows,
    udp: udp::Flows,
    doors: Vec<Door>,
    reach: Reach,
    /// Until when nobody is let in.
    rest: Deadline,
    /// Only its beginning counts.
    clock: Deadline,
}

impl Router {
    pub(super) fn new(qemu: UnixStream, doors: Vec<Door>, reach: Reach) -> io::Result<Router> {
        let mut cable = Cable::new(qemu)?;
        doors.iter().try_for_each(|(door, _)| door.set_nonblocking(true))?;
        let mut config = Config::new(MAC.into());
        // Sequence numbers start here: nobody else is on this cable.
        config.random_seed = u64::from(std::process::id());
        let mut interface = Interface::new(config, &mut cable, Now::ZERO);
        interface.update_ip_addrs(|addresses| {
            for address in [GATEWAY, RESOLVER] {
                // There is room for two.
                let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(address), PREFIX));
            }
        });
        // Whatever the guest asks for is answered here: "any" takes a route that leads to ourselves.
        interface.set_any_ip(true);
        interface.routes_mut().add_default_ipv4_route(GATEWAY).map_err(io::Error::other)?;
        Ok(Router {
            cable,
            interface,
            sockets: SocketSet::new(Vec::new()),
            tcp: tcp::Flows::default(),
            udp: udp::Flows::default(),
            doors,
            reach,
            rest: Deadline::after(Duration::ZERO),
            clock: Deadline::after(Duration::MAX),
        })
    }

    /// Works until QEMU ends, or `stop` says so by its end.
    pub(super) fn run(&mut self, stop: &UnixStream) -> io::Result<()> {
        loop {
            let ready = self.wait(stop)?;
            let mut ready = ready.into_iter();
            let mut next = || ready.next().unwrap_or(PollFlags::empty());
            if !next().is_empty() {
                return Ok(());
            }
            let heard = next().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
            let open: Vec<bool> = self.doors.iter().map(|_| !next().is_empty()).collect();
            // The flows that were asked, before others begin.
            self.tcp.carry(&mut ready, &mut self.sockets);
            self.udp.receive(&mut ready, &mut self.cable);
            if heard {
                self.hear()?;
            }
            self.greet(&open);
            self.speak();
            self.cable.flush()?;
            self.tcp.bury(&mut self.sockets);
        }
    }

    fn wait(&mut self, stop: &UnixStream) -> io::Result<Vec<PollFlags>> {
        let now = self.now();
        let delay = self.interface.poll_delay(now, &self.sockets).filter(|_| self.cable.has_room());
        let rest = Some(self.rest.left()).filter(|rest| !rest.is_zero());
        let limit = delay.map(Duration::from).into_iter().chain(rest).min();
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let mut cable = PollFlags::IN;
        cable.set(PollFlags::OUT, self.cable.is_waiting());
        // A caller for whom there is no room waits at the door.
        let (doors, open) = (&self.doors, !self.tcp.is_full() && rest.is_none());
        let mut fds = vec![PollFd::new(stop, PollFlags::IN), PollFd::from_borrowed_fd(self.cable.fd(), cable)];
        let flags = if open { PollFlags::IN } else { PollFlags::empty() };
        fds.extend(doors.iter().map(|(door, _)| PollFd::new(door, flags)));
        self.tcp.watch(&self.sockets, &mut fds);
        self.udp.watch(&mut fds);
        match rustix::event::poll(&mut fds, limit.as_ref()) {
            Ok(_) => Ok(fds.iter().map(PollFd::revents).collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn now(&self) -> Now {
        Now::from_micros(i64::try_from(self.clock.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Takes the guest's frames.
    fn hear(&mut self) -> io::Result<()> {
        for frame in self.cable.frames()? {
            match wire::look(&frame) {
                Some((card, Seen::Udp(pair, data))) => self.datagram(card, pair, data),
                Some((_, Seen::Tcp(pair, begins))) => {
                    if begins {
                        self.tcp.begin(&self.reach, &mut self.sockets, pair);
                    }
                    self.show(frame);
                }
                Some((_, Seen::Gateway)) => self.show(frame),
                Some((_, Seen::Other)) | None => {}
            }
        }
        Ok(())
    }

    fn show(&mut self, frame: Vec<u8>) {
        self.cable.show(frame);
        let now = self.now();
        self.interface.poll_ingress_single(now, &mut self.cable, &mut self.sockets);
    }

    fn datagram(&mut self, card: EthernetAddress, pair: Pair, data: &[u8]) {
        if pair.to.port() != dhcp::PORT {
            return self.udp.send(&self.reach, card, pair, data);
        }
        if let Some(answer) = dhcp::answer(data) {
            let (from, to) = (GATEWAY, std::net::Ipv4Addr::BROADCAST);
            let pair = Pair { from: SocketAddrV4::new(from, dhcp::PORT), to: SocketAddrV4::new(to, dhcp::PORT + 1) };
            wire::datagram(EthernetAddress::BROADCAST, pair, &answer).iter().for_each(|frame| self.cable.send(frame));
        }
    }

    /// Lets in whoever came to a forwarded port. Where that fails, this process or the host has no descriptor left.
    fn greet(&mut self, open: &[bool]) {
        for ((door, port), _) in self.doors.iter().zip(open).filter(|(_, open)| **open) {
            while !self.tcp.is_full() {
                match door.accept() {
                    Ok((host, _)) => self.tcp.forward(&mut self.interface, &mut self.sockets, host, *port),
                    Err(error) => {
                        if !again(&error) {
                            self.rest = Deadline::after(FULL_BACKLOG_DELAY);
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Makes the frames that the stack has for the guest.
    fn speak(&mut self) {
        for _ in 0..MAX_FRAMES_PER_ROUND {
            let now = self.now();
            let said = self.interface.poll_egress(now, &mut self.cable, &mut self.sockets);
            if said == PollResult::None || !self.cable.has_room() {
                break;
            }
        }
    }
}
