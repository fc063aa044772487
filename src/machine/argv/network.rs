//! User-mode networking with forwarded ports, and private networks between machines.
//!
//! A private network is a star of datagram sockets in `${shared}`: the first member's QEMU holds a hub that every other
//! member sends to. Datagrams need no connection, so machines start and stop in any order, and no root, bridge or
//! multicast address of the host is involved.

use super::device::virtio;
use super::slot;
use super::{Forwards, LaunchOptions, Place, QemuOption, Text, UserNetworkBackend};
use crate::machine::network::{Networks, mac};
use crate::recipe::machine::Machine;

/// All network devices of a machine.
pub(super) fn options(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    let mut options = user(machine, launch);
    for (index, attachment) in machine.attachments.iter().enumerate() {
        let network = &attachment.network.name;
        options.extend(backend(machine, network, launch.networks, index));
        let device = card(machine, &format!("{network}.card"), slot::NETWORKS + index as u32);
        options.push(device.with("netdev", network.as_str()).with("mac", mac(&machine.name, network)));
    }
    options
}

fn user(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    if !machine.user_network {
        return Vec::new();
    }
    let user = match launch.user_network {
        UserNetworkBackend::Slirp => slirp(machine, launch.forwards),
        UserNetworkBackend::Socket => {
            let socket = QemuOption::kind("-netdev", "stream").with("id", USER).with("server", "off");
            socket.with("addr.type", "unix").with("addr.path", Text::from(Place::Run).then("/network"))
        }
    };
    let device = card(machine, "kiln.net", slot::USER_NETWORK);
    let address = launch.mac.clone().unwrap_or_else(|| mac(&machine.name, USER));
    vec![user, device.with("netdev", USER).with("mac", address)]
}

/// The user network's id.
const USER: &str = "kiln.user";

fn slirp(machine: &Machine, forwards: Forwards) -> QemuOption {
    let mut user = QemuOption::kind("-netdev", "user").with("id", USER);
    for forward in machine.forwards.iter().filter(|_| forwards == Forwards::Open) {
        user = user.with("hostfwd", format!("tcp:127.0.0.1:{}-:{}", forward.host.value, forward.guest.value));
    }
    user
}

/// Without a boot ROM: the disk or the kernel is what boots.
fn card(machine: &Machine, id: &str, slot: u32) -> QemuOption {
    virtio(machine, "virtio-net-pci", id, slot).with("romfile", "")
}

fn backend(machine: &Machine, network: &str, networks: &Networks, hub: usize) -> Vec<QemuOption> {
    let members: Vec<&str> = networks.members(network).map(|member| member.machine.as_str()).collect();
    let first = members.first().copied().unwrap_or(&machine.name);
    let to_member = |member: &str| socket(network, member, "");
    let to_hub = |member: &str| socket(network, member, ".hub");
    if first != machine.name {
        return vec![datagrams(network, to_member(&machine.name), to_hub(&machine.name))];
    }
    let port = |id: &str| QemuOption::kind("-netdev", "hubport").with("id", id).with("hubid", hub.to_string());
    let mut options = vec![port(network)];
    for member in members.into_iter().filter(|member| *member != first) {
        let id = format!("{network}.{member}");
        options.push(datagrams(&id, to_hub(member), to_member(member)));
        options.push(port(&format!("{id}.port")).with("netdev", id));
    }
    options
}

fn socket(network: &str, member: &str, side: &str) -> Text {
    Text::from(Place::Shared).then(format!("/{network}.{member}{side}"))
}

fn datagrams(id: &str, local: Text, remote: Text) -> QemuOption {
    let option =
        QemuOption::kind("-netdev", "dgram").with("id", id).with("local.type", "unix").with("local.path", local);
    option.with("remote.type", "unix").with("remote.path", remote)
}
