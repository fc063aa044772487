//! Where a guest may go: to other machines, never to this one.
//!
//! What listens on this machine trusts it: a service on 127.0.0.1, one behind a firewall that lets local traffic through. So
//! its own addresses are refused whatever interface has them, and link-local ones with them, where clouds hand out the
//! machine's credentials. The one exception is the host's name server, which [`RESOLVER`] stands for.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::Path;

use super::{GATEWAY, GUEST, PREFIX, RESOLVER};
use crate::world::fs;

/// Where the host's name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// No such file is larger.
const LIMIT: u64 = 64 << 10;
/// DNS, over UDP and TCP.
const DNS: u16 = 53;

/// What a guest reaches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The host's name server, looked up for every new flow: it changes with the network that a laptop is in.
    resolver: fn() -> Option<SocketAddr>,
    /// Whether an address is one of this machine's.
    own: fn(Ipv4Addr) -> bool,
}

impl Reach {
    /// What this host allows.
    pub(super) fn host() -> Reach {
        Reach { resolver: host_resolver, own: is_own }
    }

    #[cfg(test)]
    pub(super) fn test(resolver: fn() -> Option<SocketAddr>, own: fn(Ipv4Addr) -> bool) -> Reach {
        Reach { resolver, own }
    }

    /// Where a flow to `to` really goes; none when it goes nowhere.
    pub(super) fn target(&self, to: SocketAddrV4) -> Option<SocketAddr> {
        if *to.ip() == RESOLVER {
            return (to.port() == DNS).then_some((self.resolver)()).flatten();
        }
        (to.port() != 0 && is_elsewhere(*to.ip()) && !(self.own)(*to.ip())).then_some(SocketAddr::V4(to))
    }
}

/// Whether an address can be another machine's at all.
fn is_elsewhere(address: Ipv4Addr) -> bool {
    let mask = u32::MAX << (32 - u32::from(PREFIX));
    let inside = u32::from(address) & mask == u32::from(GATEWAY) & mask;
    // 0.0.0.0/8 is "this host on this network": Linux takes 0.0.0.0 for 127.0.0.1. From 224.0.0.0 on: multicast, reserved.
    let special = address.octets()[0] == 0 || address.octets()[0] >= 224;
    !(inside || special || address.is_loopback() || address.is_link_local() || address == GUEST)
}

/// The kernel's own answer, without a packet. One can bind to what is local, whatever makes it so: a card's second
/// address, a local route (`ip route add local`). What it refuses for another reason, or knows no way to, counts as own:
/// in doubt a guest does not get there.
fn is_own(address: Ipv4Addr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            source(address).map_or(true, |source| source == IpAddr::V4(address))
        }
        _ => true,
    }
}

/// The address from which this machine would speak to another; to a local one it speaks from that very one.
fn source(address: Ipv4Addr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((address, DNS))?;
    Ok(socket.local_addr()?.ip())
}

fn host_resolver() -> Option<SocketAddr> {
    first_resolver(&String::from_utf8_lossy(&fs::read(Path::new(RESOLV_CONF), LIMIT).ok()?))
}

/// The first `nameserver` of a `resolv.conf(5)`. Programs of the host would ask 127.0.0.1 where there is none; a guest
/// is led to this machine only where somebody wrote so.
fn first_resolver(text: &str) -> Option<SocketAddr> {
    let server = |line: &str| {
        // What follows the address is a remark.
        let mut words = line.split_whitespace();
        // An address with a zone (`fe80::1%eth0`) is passed over.
        words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()?.parse::<IpAddr>().ok())
    };
    text.lines().find_map(server).map(|address| SocketAddr::new(address, DNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(reach: &Reach, to: &str) -> Option<String> {
        reach.target(to.parse().unwrap()).map(|target| target.to_string())
    }

    #[test]
    fn this_machine_is_out_of_reach_whatever_it_is_called() {
        let reach = Reach {
            resolver: || Some("127.0.0.53:53".parse().unwrap()),
            own: |address| address == Ipv4Addr::new(192, 168, 7, 1),
        };
        for to in [
            "127.0.0.1:80",
            "127.0.0.53:53",
            "127.255.255.255:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "10.0.2.2:80",
            "10.0.2.3:80",
            "10.0.2.15:22",
            "10.0.2.255:80",
            "169.254.169.254:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "240.0.0.1:80",
            "192.168.7.1:80",
            "198.51.100.7:0",
        ] {
            assert_eq!(goes(&reach, to), None, "{to}");
        }
        assert_eq!(goes(&reach, "198.51.100.7:80").as_deref(), Some("198.51.100.7:80"));
        assert_eq!(goes(&reach, "192.168.7.2:80").as_deref(), Some("192.168.7.2:80"));
        assert_eq!(goes(&reach, "10.0.2.3:53").as_deref(), Some("127.0.0.53:53"), "the one exception");
        assert_eq!(goes(&Reach { resolver: || None, ..reach }, "10.0.2.3:53"), None, "there is no name server");
    }

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        // The whole of 127.0.0.0/8 is a local route; only one address of it is a card's.
        for own in ["127.0.0.1", "127.5.5.5", "127.255.255.254", "0.0.0.0", "255.255.255.255"] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        let other = Ipv4Addr::new(198, 51, 100, 7);
        match source(other) {
            Ok(IpAddr::V4(here)) => {
                assert!(is_own(here), "{here}");
                assert!(!is_own(other), "there is a way to it, and it leads elsewhere");
            }
            _ => assert!(is_own(other), "nobody knows a way to it"),
        }
    }

    #[test]
    fn the_first_name_server_is_taken() {
        let first = |text| first_resolver(text).map(|server| server.to_string()).unwrap_or_default();
        assert_eq!(
            first("# x\nsearch a\nnameserver fe80::1%eth0\nnameserver  192.0.2.9 \nnameserver 192.0.2.10\n"),
            "192.0.2.9:53"
        );
        assert_eq!(first("nameserver 2001:db8::1"), "[2001:db8::1]:53");
        assert_eq!(first("nameserver 192.0.2.9 # office\nnameserver 192.0.2.10"), "192.0.2.9:53");
        assert_eq!(first("\tnameserver\t127.0.0.53\r\n"), "127.0.0.53:53", "this machine, where it is written");
        for none in
            ["", "search a", "nameserver", "# nameserver 192.0.2.9", "nameservers 192.0.2.9", "nameserver office"]
        {
            assert_eq!(first(none), "", "{none}");
        }
    }
}
