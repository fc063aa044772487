//! Frames: what one from the guest is about, and how a datagram becomes one for the guest.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket,
    UdpPacket,
};

use super::{GATEWAY, RESOLVER};

pub(super) const MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 0x0a, 0x00, 0x02, 0x02]);
/// Bytes of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Of an IPv4 header without options.
const IPV4: usize = 20;
/// Of a UDP header.
const UDP: usize = 8;
/// Bytes of a packet on the cable.
pub(super) const MTU: usize = 1500;

/// Who sends and who shall receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
}

/// What a frame of the guest is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// For the gateway itself: a question for its card, an echo request.
    Gateway,
    /// TCP; whether it begins a connection.
    Tcp(Pair, bool),
    /// A datagram.
    Udp(Pair, &'a [u8]),
    /// Nothing that anybody here answers.
    Other,
}

/// The card that sent a frame, and what the frame is about.
pub(super) fn look(frame: &[u8]) -> Option<(EthernetAddress, Seen<'_>)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let seen = match ethernet.ethertype() {
        EthernetProtocol::Arp => arp(ethernet.payload()),
        EthernetProtocol::Ipv4 => ipv4(frame.get(ETHERNET..)?),
        _ => None,
    };
    Some((ethernet.src_addr(), seen.unwrap_or(Seen::Other)))
}

fn own(address: Ipv4Addr) -> bool {
    address == GATEWAY || address == RESOLVER
}

/// Questions for the gateway's addresses only: for others, the guest's own among them, nobody is there.
fn arp(packet: &[u8]) -> Option<Seen<'static>> {
    let packet = ArpPacket::new_checked(packet).ok()?;
    let target: [u8; 4] = packet.target_protocol_addr().try_into().ok()?;
    let known = matches!(packet.operation(), ArpOperation::Request | ArpOperation::Reply);
    (known && own(target.into())).then_some(Seen::Gateway)
}

fn ipv4(bytes: &[u8]) -> Option<Seen<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    // Pieces of packets are nobody's here: TCP makes none, and datagrams of that size are rare.
    if !packet.verify_checksum() || packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let payload = bytes.get(usize::from(packet.header_len())..usize::from(packet.total_len()))?;
    let pair = |a, b| Pair { from: SocketAddrV4::new(from, a), to: SocketAddrV4::new(to, b) };
    match packet.next_header() {
        IpProtocol::Icmp if own(to) => Some(Seen::Gateway),
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            Some(Seen::Tcp(pair(tcp.src_port(), tcp.dst_port()), tcp.syn() && !tcp.ack()))
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            udp.verify_checksum(&from.into(), &to.into()).then_some(())?;
            let data = payload.get(UDP..usize::from(udp.len()))?;
            Some(Seen::Udp(pair(udp.src_port(), udp.dst_port()), data))
        }
        _ => None,
    }
}

/// A datagram as a frame for the guest's card; none when it is too large for one packet.
pub(super) fn datagram(card: EthernetAddress, pair: Pair, data: &[u8]) -> Option<Vec<u8>> {
    let length = IPV4 + UDP + data.len();
    if length > MTU {
        return None;
    }
    let mut frame = vec![0; ETHERNET + length];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_src_addr(MAC);
    ethernet.set_dst_addr(card);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let (from, to) = (*pair.from.ip(), *pair.to.ip());
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    packet.set_version(4);
    packet.set_header_len(IPV4 as u8);
    packet.set_total_len(u16::try_from(length).ok()?);
    packet.set_hop_limit(64);
    packet.set_next_header(IpProtocol::Udp);
    packet.set_src_addr(from);
    packet.set_dst_addr(to);
    packet.fill_checksum();
    let mut udp = UdpPacket::new_unchecked(packet.payload_mut());
    udp.set_src_port(pair.from.port());
    udp.set_dst_port(pair.to.port());
    udp.set_len(u16::try_from(UDP + data.len()).ok()?);
    udp.payload_mut().copy_from_slice(data);
    udp.fill_checksum(&from.into(), &to.into());
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(to: Ipv4Addr) -> Pair {
        Pair { from: "10.0.2.15:4000".parse().unwrap(), to: SocketAddrV4::new(to, 53) }
    }

    #[test]
    fn a_datagram_is_seen_as_it_was_written() {
        let pair = pair(RESOLVER);
        let mut frame = datagram(MAC, pair, b"question").unwrap();
        assert_eq!(look(&frame), Some((MAC, Seen::Udp(pair, b"question"))));
        *frame.last_mut().unwrap() ^= 1;
        assert_eq!(look(&frame), Some((MAC, Seen::Other)), "a checksum that is wrong");
        assert_eq!(datagram(MAC, pair, &[0; MTU]), None);
    }

    #[test]
    fn what_is_cut_off_or_in_pieces_is_nobodys() {
        let frame = datagram(MAC, pair(GATEWAY), b"x").unwrap();
        for length in 0..frame.len() {
            let seen = look(&frame[..length]);
            assert!(seen.is_none_or(|(_, seen)| seen == Seen::Other), "{length}");
        }
        let mut piece = frame.clone();
        let mut packet = Ipv4Packet::new_unchecked(&mut piece[ETHERNET..]);
        packet.set_more_frags(true);
        packet.fill_checksum();
        assert_eq!(look(&piece).map(|(_, seen)| seen), Some(Seen::Other));
    }
}
