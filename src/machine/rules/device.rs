//! Rules about disks, forwarded ports and networks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{Context, DISKS, NETWORKS, repeated, spare};
use crate::base::{ByteSize, Diagnostic};

/// Too many disks, a size that is not whole sectors, a name that does not fit into a serial number.
pub(super) fn disks(context: &Context) -> Vec<Diagnostic> {
    let disks = &context.machine.disks;
    let mut found = Vec::new();
    if let Some(surplus) = disks.get(DISKS) {
        let mistake = Diagnostic::new(surplus.span, format!("more than {DISKS} disks besides the image"));
        found.push(mistake.label("one too many").hint(match disks.len() - DISKS {
            1 => "remove this disk".to_owned(),
            more => format!("remove this disk and the {} after it", more - 1),
        }));
    }
    for disk in disks {
        if disk.size.value == 0 || !disk.size.value.is_multiple_of(1 << 20) || disk.size.value > 16 << 40 {
            let message = format!("disk `{}` has an invalid size of {}", disk.name.value, ByteSize(disk.size.value));
            let near = spare::within(disk.size.value, 1 << 20, 1 << 20, 16 << 40);
            let mistake = Diagnostic::new(disk.size.span, message).label("1MiB to 16TiB, in steps of 1MiB");
            found.push(mistake.hint(format!("write `size = {near}`")));
        }
        if disk.name.value.len() > 20 {
            let mistake = Diagnostic::new(disk.name.span, "a disk's name is its serial number in the guest");
            let near: String = disk.name.value.chars().take(20).collect();
            let mistake = mistake.label("at most 20 characters");
            found.push(mistake.hint(format!("write a shorter name, such as `{near}`")));
        }
    }
    found
}

/// One port of the host twice, or forwarding without a network to forward over.
pub(super) fn forwards(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let hosts = machine.forwards.iter().map(|forward| (forward.host.value, forward.host.span));
    let mut taken: BTreeSet<u32> = machine.forwards.iter().map(|forward| forward.host.value.into()).collect();
    let mut found = repeated(hosts, |port| {
        let free = spare::number(u32::from(*port), 65535, &taken).unwrap_or_default();
        taken.insert(free);
        (format!("host port {port} is forwarded more than once"), format!("write another port, such as `{free}`"))
    });
    if let Some(forward) = machine.forwards.first().filter(|_| !machine.user_network) {
        let mistake = Diagnostic::new(forward.guest.span, "port forwarding needs the user network, which is off");
        let mistake = mistake.label("needs `user-network = true`");
        found.push(mistake.hint("write `user-network = true`, or remove `forward`"));
    }
    found
}

/// A port of the host that only root may listen on.
pub(super) fn privileged(context: &Context) -> Vec<Diagnostic> {
    let low = context.machine.forwards.iter().filter(|forward| forward.host.value < 1024);
    let report = |port: u16, span| Diagnostic::new(span, format!("listening on host port {port} needs privileges"));
    let mut taken: BTreeSet<u32> = context.machine.forwards.iter().map(|one| one.host.value.into()).collect();
    let mut free = |port: u16| {
        let free = spare::number(8000 + u32::from(port), 65535, &taken).unwrap_or_default();
        taken.insert(free);
        format!("write a port above 1023, such as `{free}`")
    };
    low.map(|forward| {
        let port = forward.host.value;
        report(port, forward.host.span).label("below 1024").hint(free(port))
    })
    .collect()
}

/// Too many private networks, or an address that is not one of the network's hosts.
pub(super) fn networks(context: &Context) -> Vec<Diagnostic> {
    let attachments = &context.machine.attachments;
    let mut found = Vec::new();
    if let Some(surplus) = attachments.get(NETWORKS) {
        let mistake = Diagnostic::new(surplus.span, format!("more than {NETWORKS} private networks"));
        found.push(mistake.label("one too many").hint("remove this `join`, or another one"));
    }
    if let Some(first) = attachments.first().filter(|_| !is_host_name(&context.machine.name)) {
        let message = format!("`{}` cannot be the name of a machine on a network", context.machine.name);
        let mistake = Diagnostic::new(first.span, message).label("other machines address it by its name");
        found.push(mistake.hint("name the machine with letters, digits and hyphens between them, at most 63"));
    }
    for attachment in attachments {
        let Some(address) = &attachment.address else { continue };
        let network = &attachment.network;
        let last = u32::MAX.checked_shr(network.prefix.into()).unwrap_or(0);
        let host = u32::from(address.value).wrapping_sub(u32::from(network.base));
        if !(1..last).contains(&host) {
            let subnet = format!("{}/{}", network.base, network.prefix);
            let message = format!("{} is not a usable address in {subnet}", address.value);
            let mistake =
                Diagnostic::new(address.span, message).label("outside of the subnet, or its first or last address");
            let at = |host: u32| Ipv4Addr::from(u32::from(network.base).saturating_add(host));
            let hint = format!("write an address from {} to {}", at(1), at(last.saturating_sub(1)));
            found.push(mistake.related(network.span, "the network").hint(hint));
        }
    }
    found
}

/// RFC 1123, 2.1; and not the one that is taken.
fn is_host_name(name: &str) -> bool {
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    legal && !name.starts_with('-') && !name.ends_with('-') && name.len() <= 63 && name != "localhost"
}
