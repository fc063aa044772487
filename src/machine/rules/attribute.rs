//! Rules about latencies and bandwidths between nodes.

use std::collections::BTreeSet;

use super::{Context, repeated};
use crate::base::{ByteSize, Diagnostic, Span};
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
            format!("the {} from `{from}` to `{to}` is given more than once", kind.keyword())
        });
    for attribute in attributes {
        let node = |name: &str| context.machine.nodes.iter().find(|node| node.name == name);
        let lacks = |name: &str, has: fn(&Node) -> bool| node(name).is_some_and(|node| !has(node));
        if lacks(&attribute.from.value, |node| !node.cpus.is_empty()) {
            found.push(end(&attribute.from.value, attribute.from.span, "CPUs", "the first node accesses the second"));
        }
        if lacks(&attribute.to.value, |node| node.memory.is_some()) {
            found.push(end(&attribute.to.value, attribute.to.span, "memory", "the first node accesses the second"));
        }
        let (kind, value) = (attribute.kind, attribute.value.value);
        let units = value / BANDWIDTH_UNIT;
        let whole = value.is_multiple_of(BANDWIDTH_UNIT) && (1..=MAX_BANDWIDTHS).contains(&units);
        if kind == AttributeKind::Bandwidth && !whole {
            let message = format!("{} a second is not a bandwidth that the HMAT can have", ByteSize(value));
            found.push(Diagnostic::new(attribute.value.span, message).label("1MiB to 65534MiB, in steps of 1MiB"));
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
    Some(mistake.related(machine.chipset.span, "the machine type").hint("write the machine for amd64"))
}

fn key(attribute: &Attribute) -> (AttributeKind, String, String) {
    (attribute.kind, attribute.from.value.clone(), attribute.to.value.clone())
}

fn end(name: &str, span: Span, part: &str, hint: &str) -> Diagnostic {
    Diagnostic::new(span, format!("node `{name}` has no {part}")).label(format!("needs {part}")).hint(hint)
}

/// Linux takes a pair into account that has both (drivers/acpi/numa/hmat.c).
fn incomplete(attributes: &[Attribute]) -> Option<Diagnostic> {
    let keys: BTreeSet<_> = attributes.iter().map(key).collect();
    let counterpart = |attribute: &&Attribute| {
        let other = match attribute.kind {
            AttributeKind::Latency => AttributeKind::Bandwidth,
            AttributeKind::Bandwidth => AttributeKind::Latency,
        };
        !keys.contains(&(other, attribute.from.value.clone(), attribute.to.value.clone()))
    };
    let lonely = attributes.iter().find(counterpart)?;
    let (from, to) = (&lonely.from.value, &lonely.to.value);
    let (has, lacks) = match lonely.kind {
        AttributeKind::Latency => ("latency", "bandwidth"),
        AttributeKind::Bandwidth => ("bandwidth", "latency"),
    };
    let message = format!("from `{from}` to `{to}` there is a {has} but no {lacks}");
    let value = if lacks == "latency" { "100" } else { "10GiB" };
    let mistake = Diagnostic::new(lonely.from.span.to(lonely.to.span), message).label("needs both");
    Some(mistake.hint(format!("add `{lacks} {from} {to} = {value}`")))
}
