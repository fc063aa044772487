//! Rules about ordinary memory, NUMA nodes and shared memory.

use std::collections::BTreeSet;

use super::{Context, KEEP_ONE, repeated, spare};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::machine::Machine;
use crate::recipe::machine::memory::Memory;

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
    let mistake = Diagnostic::new(machine.memory.span, message).label("not the sum of the nodes");
    let first = machine.nodes.iter().find(|node| !node.cpus.is_empty()).unwrap_or(&machine.nodes[0]);
    vec![mistake.hint(match sum.0 {
        0 => format!("add `memory = {total}` to node `{}`", first.name),
        _ => "remove `memory`, which follows from the nodes".to_owned(),
    })]
}

const MIB: u64 = 1 << 20;
/// Less is too little for Linux.
const MIN_MEMORY: u64 = 64 * MIB;

/// Memory that QEMU would round, or too little to boot.
pub(super) fn granule(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let mut found = Vec::new();
    let report = |size, span| {
        let mistake = Diagnostic::new(span, format!("{} is not a whole number of MiB", ByteSize(size)));
        mistake.label("must be a multiple of 1MiB")
    };
    let near = |size| spare::within(size, MIB, MIB, u64::MAX / MIB * MIB);
    let nodes = machine.nodes.iter().filter_map(|node| node.memory.as_ref());
    for memory in nodes.filter(|memory| !memory.value.size.is_multiple_of(MIB)) {
        let mistake = report(memory.value.size, memory.span);
        found.push(match &memory.value.shared {
            Some(shared) => mistake.related(shared.span, "the size is given here").hint(format!(
                "write `size = {}` in memory `{}`",
                near(memory.value.size),
                shared.name
            )),
            None => mistake.hint(format!("write `memory = {}`", near(memory.value.size))),
        });
    }
    let (size, span) = (machine.memory.value, machine.memory.span);
    if size < MIN_MEMORY {
        let message = format!("{} is not enough memory to boot", ByteSize(size));
        let mistake = Diagnostic::new(span, message).label("at least 64MiB");
        found.push(mistake.hint(match machine.nodes.iter().find(|node| node.memory.is_some()) {
            Some(node) => format!("write `memory = 2GiB` in node `{}`", node.name),
            None => "write `memory = 2GiB`".to_owned(),
        }));
    } else if found.is_empty() && !size.is_multiple_of(MIB) {
        found.push(report(size, span).hint(format!("write `memory = {}`", near(size))));
    }
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
    let hint = match ports {
        0 if count - MAX_DOMAINS == 1 => "remove this node".to_owned(),
        0 => format!("remove {} of the nodes", count - MAX_DOMAINS),
        _ => format!("remove {} nodes, or attributes of as many CXL bridges", count - MAX_DOMAINS),
    };
    Some(Diagnostic::new(last.span, message).label(format!("QEMU has room for {MAX_DOMAINS}")).hint(hint))
}

/// A node with neither CPUs nor memory.
pub(super) fn empty(context: &Context) -> Vec<Diagnostic> {
    let empty = context.machine.nodes.iter().filter(|node| node.cpus.is_empty() && node.memory.is_none());
    let report = |node: &crate::recipe::machine::memory::Node| {
        let message = format!("node `{}` has neither CPUs nor memory", node.name);
        Diagnostic::new(node.span, message).label("the guest would ignore it").hint(filling(context.machine))
    };
    empty.map(report).collect()
}

/// What an empty node could have: memory that no node has yet, or CPUs.
fn filling(machine: &Machine) -> String {
    let sizes = machine.nodes.iter().filter_map(|node| node.memory.as_ref()).map(|memory| memory.value.size);
    let sum = sizes.fold(0u64, u64::saturating_add);
    let assigned: BTreeSet<u32> = machine.nodes.iter().flat_map(|node| &node.cpus).map(|cpu| cpu.value).collect();
    let free: Vec<u32> = (0..machine.cpus.value).filter(|cpu| !assigned.contains(cpu)).collect();
    let stated = machine.memory.span != machine.span;
    if !free.is_empty() {
        format!("add `cpus = \"{}\"`", spare::cpus(free))
    } else if !stated {
        "add `memory = 1GiB`, or remove the node".to_owned()
    } else if sum < machine.memory.value {
        format!("add `memory = {}`, or remove the node", ByteSize(machine.memory.value - sum))
    } else {
        "remove the node, or remove `memory` from the machine and add `memory = 1GiB` to the node".to_owned()
    }
}

/// A distance to itself other than 10, to another of 10, or given twice.
pub(super) fn distance(context: &Context) -> Vec<Diagnostic> {
    let distances = &context.machine.distances;
    let mut found = repeated(
        distances.iter().map(|d| {
            let (a, b) = (&d.from.value, &d.to.value);
            ((a.min(b), a.max(b)), d.from.span.to(d.to.span))
        }),
        |(a, b)| (format!("the distance between `{a}` and `{b}` is given more than once"), KEEP_ONE.to_owned()),
    );
    for distance in distances {
        let local = distance.from.value == distance.to.value;
        if local != (distance.value.value == 10) {
            let (message, hint) = match local {
                true => ("the distance of a node to itself is always 10", "remove this statement"),
                false => ("the distance to another node is above 10", "write a number from 11 to 254, such as `20`"),
            };
            found.push(Diagnostic::new(distance.value.span, message).label("10 means local").hint(hint));
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
    let size = |name: &str| {
        let shared = |memory: &&Spanned<Memory>| memory.value.shared.as_ref().is_some_and(|shared| shared.name == name);
        let nodes = context.machine.nodes.iter().filter_map(|node| node.memory.as_ref());
        let devices = context.cxl().into_iter().flat_map(|cxl| cxl.expanders()).flat_map(|(_, one)| one.memories());
        nodes.chain(devices).find(shared).map_or(0, |memory| memory.value.size)
    };
    repeated(views, |name| {
        let hint = format!(
            "write `{}` here for memory of its own: machines share a memory, devices of one machine do not",
            ByteSize(size(name))
        );
        (format!("memory `{name}` is used more than once in one machine"), hint)
    })
}
