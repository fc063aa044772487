//! What kind of place an address is in: the internet, a private network, this machine.
//!
//! A server may send kiln on to another one, and the owner of a name decides where it leads. Neither may lead kiln to a
//! place that only this machine can reach: services on its loopback, routers, the metadata service of a cloud.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    Public,
    /// Networks that are not routed there (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// One link: `169.254.169.254` is where clouds give their machines credentials.
    LinkLocal,
    /// This machine.
    Loopback,
    /// No address that a file can be fetched from; Linux takes `0.0.0.0` as this machine.
    Nowhere,
}

/// Several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kinds(u8);

impl Kinds {
    pub const PUBLIC: Kinds = Kinds(1 << AddressKind::Public as u8);
    /// Every place.
    pub const ALL: Kinds = Kinds(u8::MAX);

    /// These and one more.
    pub fn and(self, kind: AddressKind) -> Kinds {
        Kinds(self.0 | 1 << kind as u8)
    }

    /// All of both.
    pub fn union(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether a kind is among them.
    pub fn has(self, kind: AddressKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

impl AddressKind {
    /// Of an address. An IPv6 address that only carries an IPv4 one is where that is.
    pub fn of(address: IpAddr) -> AddressKind {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => carried(address).map_or_else(|| of_v6(address), of_v4),
        }
    }

    /// What a host in a URL says of itself: an address its own kind, `localhost` this machine, any other name the internet.
    pub fn of_host(host: &str) -> AddressKind {
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
        match host.parse() {
            Ok(address) => AddressKind::of(address),
            Err(_) if host == "localhost" || host.ends_with(".localhost") => AddressKind::Loopback,
            Err(_) => AddressKind::Public,
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressKind::Public => "the internet",
            AddressKind::Private => "a private network",
            AddressKind::LinkLocal => "the local link",
            AddressKind::Loopback => "this machine",
            AddressKind::Nowhere => "not a fetchable address",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => AddressKind::Private,
        [169, 254, ..] => AddressKind::LinkLocal,
        [0 | 224..=255, ..] => AddressKind::Nowhere,
        _ => AddressKind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => AddressKind::Private,
        [0xff00..=0xffff, ..] | [0 | 0x100, 0, 0, 0, ..] | [0x2001, 0, ..] => AddressKind::Nowhere,
        _ => AddressKind::Public,
    }
}

/// The IPv4 address in a mapped, compatible, translated (RFC 6052) or 6to4 address.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_where_they_lead() {
        let cases = [
            (
                AddressKind::Loopback,
                "127.0.0.1 127.255.0.9 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
            ),
            (
                AddressKind::Private,
                "10.0.0.1 172.16.0.1 172.31.9.9 192.168.1.1 100.64.0.1 192.0.0.192 fc00::1 fdff::1 fec0::1",
            ),
            (AddressKind::Private, "::ffff:10.1.2.3 64:ff9b:1::1"),
            (AddressKind::LinkLocal, "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254"),
            (
                AddressKind::Nowhere,
                "0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1 240.0.0.1 :: ff02::1 100::1 2001::1 ::ffff:0.0.0.0",
            ),
            (
                AddressKind::Public,
                "9.9.9.9 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 169.253.0.1 11.0.0.1 2620:fe::9 64:ff9b::909:909",
            ),
        ];
        for (kind, addresses) in cases {
            for address in addresses.split(' ') {
                assert_eq!(AddressKind::of(address.parse().unwrap()), kind, "{address}");
            }
        }
    }

    #[test]
    fn hosts_say_what_they_are() {
        for host in ["localhost", "LocalHost.", "a.localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            assert_eq!(AddressKind::of_host(host), AddressKind::Loopback, "{host}");
        }
        // Other spellings of an address are names here, which may lead to the internet only.
        for host in ["mirror.example", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost.example"] {
            assert_eq!(AddressKind::of_host(host), AddressKind::Public, "{host}");
        }
    }
}
