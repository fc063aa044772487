//! Who is on which private network, with which address, and how a guest learns that.

mod words;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::base::{Digest, Span};
use crate::recipe::machine::Machine;
use crate::recipe::machine::device::{Attachment, Network};

/// One machine on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The machine, and the name that resolves to its address.
    pub machine: String,
    pub address: Ipv4Addr,
    /// Bits of the prefix.
    pub prefix: u8,
    pub mac: String,
    /// Where the recipe says so.
    pub span: Span,
}

/// Members of every private network, by network; within one, by machine name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(BTreeMap<String, Vec<Member>>);

impl Networks {
    /// The members of one network.
    pub fn members(&self, network: &str) -> impl Iterator<Item = &Member> {
        self.0.get(network).into_iter().flatten()
    }

    /// Every network.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Member])> {
        self.0.iter().map(|(name, members)| (name.as_str(), members.as_slice()))
    }

    /// The networks that `machine` is on, each with its own membership there.
    fn of<'a>(&'a self, machine: &'a str) -> impl Iterator<Item = (&'a str, &'a Member)> {
        let own = move |members: &'a Vec<Member>| members.iter().find(move |member| member.machine == machine);
        self.0.iter().filter_map(move |(name, members)| Some((name.as_str(), own(members)?)))
    }

    /// The `/etc/hosts` lines that make every name known that `machine` can reach.
    pub fn hosts(&self, machine: &str) -> String {
        let own = self.0.values().filter(|members| members.iter().any(|member| member.machine == machine));
        own.flatten().map(|member| format!("{} {}\n", member.address, member.machine)).collect()
    }
}

/// Who is on which network, over all machines of a recipe.
pub fn networks(machines: &BTreeMap<String, Machine>) -> Networks {
    let mut networks: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for machine in machines.values() {
        for attachment in &machine.attachments {
            let network = &attachment.network;
            let member = Member {
                machine: machine.name.clone(),
                address: address(&machine.name, attachment),
                prefix: network.prefix,
                mac: mac(&machine.name, &network.name),
                span: attachment.span,
            };
            networks.entry(network.name.clone()).or_default().push(member);
        }
    }
    Networks(networks)
}

/// The recipe's address, else one that comes from the machine's name, so that another machine does not move it.
fn address(machine: &str, attachment: &Attachment) -> Ipv4Addr {
    let Network { base, prefix, name, .. } = &attachment.network;
    match &attachment.address {
        Some(address) => address.value,
        None => {
            let hosts = (1u32 << (32 - u32::from(*prefix))) - 2;
            Ipv4Addr::from(u32::from(*base) + 1 + number("address", machine, name) % hosts)
        }
    }
}

/// A card's address in the range that QEMU and KVM use for guests (52:54:00), from the names of machine and network.
pub fn mac(machine: &str, network: &str) -> String {
    let [_, a, b, c] = number("mac", machine, network).to_be_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

fn number(what: &str, machine: &str, network: &str) -> u32 {
    let digest = Digest::of(format!("kiln {what}\n{network}\n{machine}").as_bytes());
    let bytes = digest.as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
