//! Rules about memory devices.

use super::window::{QUANTUM, rounded};
use super::{Context, repeated};
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::cxl::Expander;

fn expanders<'a>(context: &'a Context) -> impl Iterator<Item = &'a Expander> {
    context.cxl().into_iter().flat_map(|cxl| cxl.expanders()).map(|(_, expander)| expander)
}

/// Memory that is not a positive multiple of 256 MiB.
pub(super) fn size(context: &Context) -> Vec<Diagnostic> {
    let wrong = |size: u64| size == 0 || !size.is_multiple_of(QUANTUM);
    let mut found = Vec::new();
    for expander in expanders(context) {
        for memory in expander.memories().filter(|memory| wrong(memory.value.size)) {
            let size = ByteSize(memory.value.size);
            let message = format!("expander `{}` has {size}, which is not a multiple of 256MiB", expander.name.value);
            let mistake = Diagnostic::new(memory.span, message).label("must be a multiple of 256MiB");
            let mistake = match &memory.value.shared {
                Some(shared) => mistake.related(shared.span, "the size is given here"),
                None => mistake,
            };
            found.push(mistake.hint(rounded(memory.value.size)));
        }
    }
    found
}

/// A device without any memory.
pub(super) fn no_memory(context: &Context) -> Vec<Diagnostic> {
    let report = |expander: &Expander| {
        let message = format!("expander `{}` has no memory", expander.name.value);
        let mistake = Diagnostic::new(expander.span, message).label("nothing to expand");
        mistake.hint("add `volatile = 1GiB`, `persistent = 1GiB` or `dynamic = 1GiB`")
    };
    expanders(context).filter(|expander| expander.memories().next().is_none()).map(report).collect()
}

/// Whether a label area of this size works: two index blocks and labels, in whole pages.
pub(super) fn is_label_area(size: u64) -> bool {
    (128 << 10..=2 << 20).contains(&size) && size.is_multiple_of(4 << 10)
}

/// A label area outside of what works.
pub(super) fn labels(context: &Context) -> Vec<Diagnostic> {
    let areas = expanders(context).filter_map(|expander| Some((&expander.name.value, expander.labels.as_ref()?)));
    let report = |name: &String, size, span| {
        let message = format!("the label area of expander `{name}` has an invalid size of {}", ByteSize(size));
        let mistake = Diagnostic::new(span, message).label("128KiB to 2MiB, in steps of 4KiB");
        mistake.hint("write `128KiB`")
    };
    areas
        .filter(|(_, area)| !is_label_area(area.value))
        .map(|(name, area)| report(name, area.value, area.span))
        .collect()
}

/// A label area where nothing has labels.
pub(super) fn unlabelled(context: &Context) -> Vec<Diagnostic> {
    let volatile = expanders(context).filter(|expander| expander.persistent.is_none());
    let areas = volatile.filter_map(|expander| Some((&expander.name.value, expander.labels.as_ref()?.span)));
    let report = |(name, span)| {
        let message = format!("expander `{name}` has a label area but no persistent memory");
        let doubt = Diagnostic::new(span, message).label("the guest sees the area, and has no use for it");
        doubt.hint("remove `lsa`, or add `persistent = 1GiB`")
    };
    areas.map(report).collect()
}

/// Serial number 0 on a persistent device.
pub(super) fn serial_zero(context: &Context) -> Vec<Diagnostic> {
    let zero = |expander: &&Expander| expander.persistent.is_some();
    let serials = expanders(context).filter(zero).filter_map(|expander| expander.serial.as_ref());
    let report = |span| {
        let mistake = Diagnostic::new(span, "a persistent expander cannot have the serial number 0");
        mistake.label("newer kernels reject it").hint("remove `serial` to have one assigned")
    };
    serials.filter(|serial| serial.value == 0).map(|serial| report(serial.span)).collect()
}

/// Two devices of one machine with one serial number.
pub(super) fn serial_twice(context: &Context) -> Vec<Diagnostic> {
    let Some(topology) = context.topology() else { return Vec::new() };
    let span = |expander: &Expander| expander.serial.as_ref().map_or(expander.span, |serial| serial.span);
    let serials = topology.expanders().map(|at| (at.serial, span(at.expander)));
    let found = repeated(serials, |serial| format!("two expanders have the serial number 0x{serial:x}"));
    found.into_iter().map(|mistake| mistake.hint("remove `serial`, or use another one")).collect()
}

/// Dynamic capacity that does not divide into its regions.
pub(super) fn dynamic(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for dynamic in expanders(context).filter_map(|expander| expander.dynamic.as_ref()) {
        let (size, regions) = (dynamic.memory.value.size, u64::from(dynamic.regions.value));
        let unit = regions.saturating_mul(QUANTUM);
        if size.is_multiple_of(QUANTUM) && !size.is_multiple_of(unit) {
            let message = format!("{} cannot be divided into {regions} equal regions", ByteSize(size));
            let label = format!("must be a multiple of {}", ByteSize(unit));
            found.push(Diagnostic::new(dynamic.memory.span, message).label(label));
        }
    }
    found
}
