//! Rules about memory devices.

use std::collections::BTreeMap;

use super::spare::QUANTUM;
use super::{Context, spare};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::machine::cxl::{Cxl, Expander};
use crate::recipe::machine::memory::SharedMemory;

fn expanders<'a>(context: &'a Context) -> impl Iterator<Item = &'a Expander> {
    context.cxl().into_iter().flat_map(|cxl| cxl.expanders()).map(|(_, expander)| expander)
}

fn is_good_size(size: u64) -> bool {
    size != 0 && size.is_multiple_of(QUANTUM)
}

/// Whether every memory has a size that it may have.
pub(super) fn has_good_sizes(cxl: &Cxl) -> bool {
    cxl.expanders().flat_map(|(_, expander)| expander.memories()).all(|memory| is_good_size(memory.value.size))
}

/// Memory that is not a positive multiple of 256 MiB.
pub(super) fn size(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for expander in expanders(context) {
        for memory in expander.memories().filter(|memory| !is_good_size(memory.value.size)) {
            let (name, size) = (&expander.name.value, ByteSize(memory.value.size));
            let message = match memory.value.size {
                0 => format!("memory of expander `{name}` has no size"),
                _ => format!("expander `{name}` has {size}, which is not a multiple of 256MiB"),
            };
            let mistake = Diagnostic::new(memory.span, message).label("must be a multiple of 256MiB");
            let regions = expander.dynamic.as_ref().filter(|dynamic| std::ptr::eq(&dynamic.memory, memory));
            let unit = regions.map_or(1, |dynamic| u64::from(dynamic.regions.value.max(1))) * QUANTUM;
            let legal = spare::within(memory.value.size.max(1), unit, unit, u64::MAX / unit * unit);
            found.push(match &memory.value.shared {
                Some(shared) => mistake
                    .related(shared.span, "the size is given here")
                    .hint(format!("write `size = {legal}` in memory `{}`", shared.name)),
                None => mistake.hint(format!("write `{legal}`")),
            });
        }
    }
    found
}

/// A device without any memory.
pub(super) fn no_memory(context: &Context) -> Vec<Diagnostic> {
    let report = |expander: &Expander| {
        let message = format!("expander `{}` has no memory", expander.name.value);
        let mistake = Diagnostic::new(expander.span, message).label("nothing to expand");
        mistake.hint("add `volatile = 256MiB`, or `persistent` or `dynamic` memory, in steps of 256MiB")
    };
    expanders(context).filter(|expander| expander.memories().next().is_none()).map(report).collect()
}

/// The unit and the bounds of label areas: two index blocks and labels, in whole pages.
const LABEL_AREAS: (u64, u64, u64) = (4 << 10, 128 << 10, 2 << 20);

/// What is wrong with the label area of `owner`, if it has a size that does not work.
pub(super) fn label_area(owner: &str, area: &Spanned<u64>) -> Option<Diagnostic> {
    let (unit, least, most) = LABEL_AREAS;
    if (least..=most).contains(&area.value) && area.value.is_multiple_of(unit) {
        return None;
    }
    let message = format!("the label area of {owner} has an invalid size of {}", ByteSize(area.value));
    let mistake = Diagnostic::new(area.span, message).label("128KiB to 2MiB, in steps of 4KiB");
    Some(mistake.hint(format!("write `lsa = {}`", spare::within(area.value, unit, least, most))))
}

/// A label area outside of what works, on a device that has use for it.
pub(super) fn labels(context: &Context) -> Vec<Diagnostic> {
    let persistent = expanders(context).filter(|expander| expander.persistent.is_some());
    let report =
        |expander: &Expander| label_area(&format!("expander `{}`", expander.name.value), expander.labels.as_ref()?);
    persistent.filter_map(report).collect()
}

/// A label area where nothing has labels.
pub(super) fn unlabelled(context: &Context) -> Vec<Diagnostic> {
    let volatile = expanders(context).filter(|expander| expander.persistent.is_none());
    let areas = volatile.filter_map(|expander| Some((&expander.name.value, expander.labels.as_ref()?.span)));
    let report = |(name, span)| {
        let message = format!("expander `{name}` has a label area but no persistent memory");
        let doubt = Diagnostic::new(span, message).label("the guest sees the area, and has no use for it");
        doubt.hint("remove `lsa`")
    };
    areas.map(report).collect()
}

/// Serial number 0 on a persistent device.
pub(super) fn serial_zero(context: &Context) -> Vec<Diagnostic> {
    let serials = expanders(context).filter(|expander| has_serial_zero(expander));
    let report = |serial: &Spanned<u64>| {
        let mistake = Diagnostic::new(serial.span, "a persistent expander cannot have the serial number 0");
        mistake.label("newer kernels reject it").hint("remove `serial` to have one assigned")
    };
    serials.filter_map(|expander| expander.serial.as_ref()).map(report).collect()
}

fn has_serial_zero(expander: &Expander) -> bool {
    expander.persistent.is_some() && expander.serial.as_ref().is_some_and(|serial| serial.value == 0)
}

/// Two devices of one machine with one serial number. What is told already by another rule is left out: a serial
/// number 0, and that of one memory in two devices.
pub(super) fn serial_twice(context: &Context) -> Vec<Diagnostic> {
    let Some(topology) = context.topology() else { return Vec::new() };
    let mut seen: BTreeMap<u64, &Expander> = BTreeMap::new();
    let mut found = Vec::new();
    for at in topology.expanders().filter(|at| !has_serial_zero(at.expander)) {
        let Some(first) = seen.get(&at.serial) else {
            seen.insert(at.serial, at.expander);
            continue;
        };
        let names = (derived(first), derived(at.expander));
        if matches!(names, (Some(one), Some(other)) if one.name == other.name) || first.name == at.expander.name {
            continue;
        }
        let span = |expander: &Expander| expander.serial.as_ref().map_or(expander.span, |serial| serial.span);
        let message = format!("two expanders have the serial number 0x{:x}", at.serial);
        let mistake = Diagnostic::new(span(at.expander), message).label("again here");
        let hint = match (&at.expander.serial, &first.serial) {
            (Some(_), _) => "remove `serial` here to have one assigned".to_owned(),
            (None, Some(_)) => format!("remove `serial` in expander `{}` to have one assigned", first.name.value),
            (None, None) => "both are assigned by name: rename one of the two".to_owned(),
        };
        found.push(mistake.related(span(first), "first here").hint(hint));
    }
    found
}

/// The memory that a serial number comes from.
fn derived(expander: &Expander) -> Option<&SharedMemory> {
    expander.shared().filter(|_| expander.serial.is_none())
}

/// Dynamic capacity that does not divide into its regions.
pub(super) fn dynamic(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for dynamic in expanders(context).filter_map(|expander| expander.dynamic.as_ref()) {
        let (size, regions) = (dynamic.memory.value.size, u64::from(dynamic.regions.value));
        let unit = regions.saturating_mul(QUANTUM);
        if is_good_size(size) && !size.is_multiple_of(unit) {
            let message = format!("{} cannot be divided into {regions} equal regions", ByteSize(size));
            let label = format!("must be a multiple of {}", ByteSize(unit));
            let mistake = Diagnostic::new(dynamic.memory.span, message).label(label);
            let fewer = (1..regions).rfind(|fewer| size.is_multiple_of(fewer * QUANTUM)).unwrap_or(1);
            let fewer = format!("write `regions = {fewer}`");
            found.push(mistake.hint(match &dynamic.memory.value.shared {
                Some(_) => fewer,
                None => format!("{fewer}, or `dynamic = {}`", spare::within(size, unit, unit, u64::MAX / unit * unit)),
            }));
        }
    }
    found
}
