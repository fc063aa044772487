//! Datagrams: a socket of this host for each pair of addresses that the guest uses, until nobody speaks for a while.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use smoltcp::wire::EthernetAddress;

use super::super::clock::Deadline;
use super::device::Cable;
use super::reach::Reach;
use super::wire::{self, Pair};

/// Pairs at once; the quietest one gives way.
const MAX_FLOWS: usize = 256;
/// Silence after which a pair is forgotten.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Datagrams handed on in one round, so that no pair holds up the others.
const MAX_DATAGRAMS_PER_ROUND: usize = 64;

struct Flow {
    socket: UdpSocket,
    card: EthernetAddress,
    /// How long it has been silent.
    silence: Deadline,
}

/// Every pair that is spoken on.
#[derive(Default)]
pub(super) struct Flows(BTreeMap<Pair, Flow>);

impl Flows {
    /// Sends a datagram of the guest on. One that cannot be sent is lost, as datagrams may be.
    pub(super) fn send(&mut self, reach: &Reach, card: EthernetAddress, pair: Pair, data: &[u8]) {
        if !self.0.contains_key(&pair) {
            let Some(socket) = reach.target(pair.to).and_then(|target| connect(target).ok()) else { return };
            self.make_room();
            self.0.insert(pair, Flow { socket, card, silence: Deadline::after(IDLE_TIMEOUT) });
        }
        if let Some(flow) = self.0.get_mut(&pair) {
            (flow.card, flow.silence) = (card, Deadline::after(IDLE_TIMEOUT));
            let _ = flow.socket.send(data);
        }
    }

    fn make_room(&mut self) {
        self.0.retain(|_, flow| !flow.silence.passed());
        if self.0.len() >= MAX_FLOWS {
            let quietest = self.0.iter().max_by_key(|(_, flow)| flow.silence.elapsed()).map(|(pair, _)| *pair);
            quietest.and_then(|pair| self.0.remove(&pair));
        }
    }

    /// What to wait for, in the order in which [`Flows::receive`] takes the answers.
    pub(super) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.extend(self.0.values().map(|flow| PollFd::new(&flow.socket, PollFlags::IN)));
    }

    /// Hands answers to the guest.
    pub(super) fn receive(&mut self, ready: &mut impl Iterator<Item = PollFlags>, cable: &mut Cable) {
        let mut buffer = [0; 64 << 10];
        for (pair, flow) in &mut self.0 {
            if ready.next().is_none_or(|ready| ready.is_empty()) {
                continue;
            }
            for _ in 0..MAX_DATAGRAMS_PER_ROUND {
                // An error is a port that nobody listens on; the guest hears nothing, and asks again or gives up.
                let Ok(count) = flow.socket.recv(&mut buffer) else { break };
                flow.silence = Deadline::after(IDLE_TIMEOUT);
                let back = Pair { from: pair.to, to: pair.from };
                wire::datagram(flow.card, back, &buffer[..count]).iter().for_each(|frame| cable.send(frame));
            }
        }
    }
}

fn connect(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}
