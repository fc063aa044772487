//! Rules about latencies and bandwidths between nodes.

use std::collections::BTreeSet;

use super::{Context, KEEP_ONE, repeated, spare};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::machine::memory::{Attribute, AttributeKind, Node};
use crate::recipe::machine::{Chipset, Machine};

/// What a bandwidth is a multiple of, and how many of these QEMU has room for (hw/acpi/hmat.c).
const BANDWIDTH_UNIT: u64 = 1 << 20;
const MAX_BANDWIDTHS: u64 = 65534;

/// Attributes between nodes without CPUs or without memory, given twice, of a wrong size, or without their counterpart.
pub(super) fn attributes(context: &Context) -> Vec<Diagnostic> {
    let attributes = &context.machine.attributes;
    let mut found =
        repeated(attributes.iter().map(|one| (key(one), one.from.span.to(one.to.span))), |(kind, from, to)| {
            let keyword = kind.keyword();
            (format!("the {keyword} from `{from}` to `{to}` is given more than once"), KEEP_ONE.to_owned())
        });
    for attribute in attributes {
        let node = |name: &str| context.machine.nodes.iter().find(|node| node.name == name);
        let lacks = |name: &str, has: fn(&Node) -> bool| node(name).is_some_and(|node| !has(node));
        if lacks(&attribute.from.value, |node| !node.cpus.is_empty()) {
            let nodes = context.machine.nodes.iter().filter(|node| !node.cpus.is_empty());
            found.push(end(&attribute.from, "CPUs", nodes));
        }
        if lacks(&attribute.to.value, |node| node.memory.is_some()) {
            let nodes = context.machine.nodes.iter().filter(|node| node.memory.is_some());
            found.push(end(&attribute.to, "memory", nodes));
        }
        let (kind, value) = (attribute.kind, attribute.value.value);
        let units = value / BANDWIDTH_UNIT;
        let whole = value.is_multiple_of(BANDWIDTH_UNIT) && (1..=MAX_BANDWIDTHS).contains(&units);
        if kind == AttributeKind::Bandwidth && !whole {
            let message = format!("{} a second is not a bandwidth that the HMAT can have", ByteSize(value));
            let near = spare::within(value, BANDWIDTH_UNIT, BANDWIDTH_UNIT, MAX_BANDWIDTHS * BANDWIDTH_UNIT);
            let mistake = Diagnostic::new(attribute.value.span, message).label("1MiB to 65534MiB, in steps of 1MiB");
            found.push(mistake.hint(format!("write `{near}`")));
        }
    }
    found.extend(incomplete(attributes));
    found.extend(unseen(context.machine));
    found
}

/// A kernel that QEMU loads on `virt` gets a device tree, which has no such thing.
fn unseen(machine: &Machine) -> Option<Diagnostic> {
    let first = machine.attributes.first().filter(|_| machine.chipset.value == Chipset::Virt)?;
    let message = "latencies and bandwidths are found through ACPI, which a kernel on `virt` has from UEFI only";
    let mistake = Diagnostic::new(first.value.span, message).label("not seen by the guest");
    let hint = "remove the `latency` and `bandwidth` statements: only machines of amd64 can have them";
    Some(mistake.related(machine.chipset.span, "the machine type").hint(hint))
}

fn key(attribute: &Attribute) -> (AttributeKind, String, String) {
    (attribute.kind, attribute.from.value.clone(), attribute.to.value.clone())
}

/// The CPUs of the first node access the memory of the second.
fn end<'a>(name: &Spanned<String>, part: &str, others: impl Iterator<Item = &'a Node>) -> Diagnostic {
    let others: Vec<&str> = others.map(|node| node.name.as_str()).collect();
    let mistake = Diagnostic::new(name.span, format!("node `{}` has no {part}", name.value));
    mistake.label(format!("needs {part}")).hint(match others[..] {
        [] => format!("give the node {part}, or remove this statement"),
        [first, ..] => format!("write the name of a node with {part}, such as `{first}`"),
    })
}

/// Linux takes a pair into account that has both (drivers/acpi/numa/hmat.c).
fn incomplete(attributes: &[Attribute]) -> Vec<Diagnostic> {
    let keys: BTreeSet<_> = attributes.iter().map(key).collect();
    let counterpart = |attribute: &&Attribute| {
        let other = match attribute.kind {
            AttributeKind::Latency => AttributeKind::Bandwidth,
            AttributeKind::Bandwidth => AttributeKind::Latency,
        };
        !keys.contains(&(other, attribute.from.value.clone(), attribute.to.value.clone()))
    };
    attributes.iter().filter(counterpart).map(half).collect()
}

fn half(lonely: &Attribute) -> Diagnostic {
    let (from, to) = (&lonely.from.value, &lonely.to.value);
    let (has, lacks) = match lonely.kind {
        AttributeKind::Latency => ("latency", "bandwidth"),
        AttributeKind::Bandwidth => ("bandwidth", "latency"),
    };
    let message = format!("from `{from}` to `{to}` there is a {has} but no {lacks}");
    let value = if lacks == "latency" { "100" } else { "10GiB" };
    let mistake = Diagnostic::new(lonely.from.span.to(lonely.to.span), message).label("needs both");
    mistake.hint(format!("add `{lacks} {from} {to} = {value}`"))
}
