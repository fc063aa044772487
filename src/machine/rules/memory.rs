//! Rules about ordinary memory, NUMA nodes and shared memory.

use super::{Context, repeated};
use crate::base::{ByteSize, Diagnostic};

/// Nodes that do not add up to the machine's memory.
pub(super) fn total(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let sizes = machine.nodes.iter().filter_map(|node| node.memory.as_ref()).map(|memory| memory.value.size);
    let sum = sizes.fold(0u64, u64::saturating_add);
    if machine.nodes.is_empty() || sum == machine.memory.value {
        return Vec::new();
    }
    let (sum, total) = (ByteSize(sum), ByteSize(machine.memory.value));
    let message = format!("the nodes have {sum} in total, but the machine has {total}");
    vec![
        Diagnostic::new(machine.memory.span, message)
            .label("not the sum of the nodes")
            .hint("remove `memory`, which follows from the nodes"),
    ]
}

/// Memory that QEMU would round, or too little to boot.
pub(super) fn granule(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let mut found = Vec::new();
    if machine.memory.value < 64 << 20 {
        let message = format!("{} is not enough memory to boot", ByteSize(machine.memory.value));
        found.push(Diagnostic::new(machine.memory.span, message).label("at least 64MiB").hint("write `memory = 2GiB`"));
    }
    let nodes = machine.nodes.iter().filter_map(|node| node.memory.as_ref()).map(|m| (m.value.size, m.span));
    let uneven = nodes.chain([(machine.memory.value, machine.memory.span)]).filter(|(size, _)| size % (1 << 20) != 0);
    let report = |(size, span)| Diagnostic::new(span, format!("{} is not a whole number of MiB", ByteSize(size)));
    found.extend(uneven.map(|wrong| report(wrong).label("must be a multiple of 1MiB")));
    found
}

/// Proximity domains that QEMU has room for (`MAX_NODES` in include/system/numa.h).
const MAX_DOMAINS: usize = 128;

/// More nodes and generic ports than QEMU counts.
pub(super) fn domains(context: &Context) -> Option<Diagnostic> {
    let machine = context.machine;
    // Ports are found by the attributes, of which too many nodes may have very many.
    let ports = if machine.nodes.len() > MAX_DOMAINS { 0 } else { machine.generic_ports().count() };
    let count = machine.nodes.len() + ports;
    let last = machine.nodes.last().filter(|_| count > MAX_DOMAINS)?;
    let message = format!("the machine has {count} NUMA nodes and generic ports");
    Some(Diagnostic::new(last.span, message).label(format!("QEMU has room for {MAX_DOMAINS}")))
}

/// A node with neither CPUs nor memory.
pub(super) fn empty(context: &Context) -> Vec<Diagnostic> {
    let empty = context.machine.nodes.iter().filter(|node| node.cpus.is_empty() && node.memory.is_none());
    let report = |node: &crate::recipe::machine::memory::Node| {
        let message = format!("node `{}` has neither CPUs nor memory", node.name);
        Diagnostic::new(node.span, message)
            .label("the guest would ignore it")
            .hint("add `memory = 1GiB` or `cpus = \"0-1\"`")
    };
    empty.map(report).collect()
}

/// A distance to itself other than 10, to another of 10, or given twice.
pub(super) fn distance(context: &Context) -> Vec<Diagnostic> {
    let distances = &context.machine.distances;
    let mut found = repeated(
        distances.iter().map(|d| {
            let (a, b) = (&d.from.value, &d.to.value);
            ((a.min(b), a.max(b)), d.from.span.to(d.to.span))
        }),
        |(a, b)| format!("the distance between `{a}` and `{b}` is given more than once"),
    );
    for distance in distances {
        let local = distance.from.value == distance.to.value;
        if local != (distance.value.value == 10) {
            let message =
                if local { "a node is at distance 10 from itself" } else { "the distance to another node is above 10" };
            let mistake = Diagnostic::new(distance.value.span, message).label("10 means local");
            found.push(mistake.hint("write 11 to 254 between two nodes, and nothing for a node and itself"));
        }
    }
    found
}

/// One shared memory in two places of one machine.
pub(super) fn shared_twice(context: &Context) -> Vec<Diagnostic> {
    let nodes = context.machine.nodes.iter().filter_map(|node| node.memory.as_ref());
    let devices = context.cxl().into_iter().flat_map(|cxl| cxl.expanders()).flat_map(|(_, device)| device.memories());
    let views =
        nodes.chain(devices).filter_map(|memory| Some((memory.value.shared.as_ref()?.name.clone(), memory.span)));
    let found = repeated(views, |name| format!("memory `{name}` is used more than once in one machine"));
    found
        .into_iter()
        .map(|mistake| mistake.hint("several machines may share a memory, but not several devices of one machine"))
        .collect()
}
