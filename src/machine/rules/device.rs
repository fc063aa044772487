//! Rules about disks, forwarded ports and networks.

use super::{Context, DISKS, NETWORKS, repeated};
use crate::base::{ByteSize, Diagnostic};

/// Too many disks, a size that is not whole sectors, a name that does not fit into a serial number.
pub(super) fn disks(context: &Context) -> Vec<Diagnostic> {
    let disks = &context.machine.disks;
    let mut found = Vec::new();
    if let Some(surplus) = disks.get(DISKS) {
        found.push(
            Diagnostic::new(surplus.span, format!("more than {DISKS} disks besides the image")).label("one too many"),
        );
    }
    for disk in disks {
        if disk.size.value == 0 || !disk.size.value.is_multiple_of(1 << 20) || disk.size.value > 16 << 40 {
            let message = format!("disk `{}` has an invalid size of {}", disk.name.value, ByteSize(disk.size.value));
            found.push(Diagnostic::new(disk.size.span, message).label("1MiB to 16TiB, in steps of 1MiB"));
        }
        if disk.name.value.len() > 20 {
            let mistake = Diagnostic::new(disk.name.span, "a disk's name is its serial number in the guest");
            found.push(mistake.label("at most 20 characters"));
        }
    }
    found
}

/// One port of the host twice, or forwarding without a network to forward over.
pub(super) fn forwards(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let hosts = machine.forwards.iter().map(|forward| (forward.host.value, forward.host.span));
    let mut found = repeated(hosts, |port| format!("host port {port} is forwarded more than once"));
    if let Some(forward) = machine.forwards.first().filter(|_| !machine.user_network) {
        let mistake = Diagnostic::new(forward.guest.span, "port forwarding needs the user network, which is off");
        found.push(mistake.label("needs `user-network = true`"));
    }
    found
}

/// A port of the host that only root may listen on.
pub(super) fn privileged(context: &Context) -> Vec<Diagnostic> {
    let low = context.machine.forwards.iter().filter(|forward| forward.host.value < 1024);
    let report = |port: u16, span| Diagnostic::new(span, format!("listening on host port {port} needs privileges"));
    low.map(|forward| report(forward.host.value, forward.host.span).label("below 1024").hint("use a port above 1023"))
        .collect()
}

/// Too many private networks, or an address that is not one of the network's hosts.
pub(super) fn networks(context: &Context) -> Vec<Diagnostic> {
    let attachments = &context.machine.attachments;
    let mut found = Vec::new();
    if let Some(surplus) = attachments.get(NETWORKS) {
        found.push(
            Diagnostic::new(surplus.span, format!("more than {NETWORKS} private networks")).label("one too many"),
        );
    }
    if let Some(first) = attachments.first().filter(|_| !is_host_name(&context.machine.name)) {
        let message = format!("`{}` cannot be the name of a machine on a network", context.machine.name);
        let mistake = Diagnostic::new(first.span, message).label("other machines address it by its name");
        found.push(mistake.hint("name the machine with letters, digits and inner `-`, at most 63"));
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
            found.push(mistake.related(network.span, "the network"));
        }
    }
    found
}

/// RFC 1123, 2.1; and not the one that is taken.
fn is_host_name(name: &str) -> bool {
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    legal && !name.starts_with('-') && !name.ends_with('-') && name.len() <= 63 && name != "localhost"
}
