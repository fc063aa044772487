//! Rules about memory side caches of nodes, and about tables of performance.

use super::{Context, spare};
use crate::base::{ByteSize, Diagnostic, Span};
use crate::format::cdat::CdatRange;
use crate::recipe::machine::Machine;
use crate::recipe::machine::cxl::Expander;
use crate::recipe::machine::memory::{MemoryCache, Node};

/// Levels that the HMAT has room for (`HMAT_LB_LEVELS` in QEMU's include/system/numa.h).
const MAX_LEVELS: usize = 3;
/// The longest line that QEMU's 16 bits hold and that is a power of two.
const MAX_LINE: u64 = 32 << 10;

/// Caches that QEMU refuses, or takes and writes nonsense of.
pub(super) fn caches(context: &Context) -> Vec<Diagnostic> {
    let nodes = context.machine.nodes.iter().filter(|node| !node.caches.is_empty());
    nodes.flat_map(|node| of_node(context.machine, node)).collect()
}

fn of_node(machine: &Machine, node: &Node) -> Vec<Diagnostic> {
    let (first, name) = (&node.caches[0], &node.name);
    let mut found = Vec::new();
    if node.memory.is_none() {
        let mistake = Diagnostic::new(first.span, format!("node `{name}` has a cache, but no memory behind it"));
        let mistake = mistake.label("a cache of nothing");
        found.push(mistake.hint("remove this cache, or add `memory = 1GiB` to the node"));
    } else if machine.attributes.iter().all(|attribute| attribute.to.value != *name) {
        let message = format!("the cache of node `{name}` needs the latency and bandwidth of the node's memory");
        let mistake = Diagnostic::new(first.span, message).label("behind this cache");
        let cpus = machine.nodes.iter().find(|node| !node.cpus.is_empty()).map_or("NODE", |node| &node.name);
        found.push(mistake.hint(format!("add `latency {cpus} {name} = 100` and `bandwidth {cpus} {name} = 10GiB`")));
    }
    if let Some(surplus) = node.caches.get(MAX_LEVELS) {
        let mistake = Diagnostic::new(surplus.span, format!("node `{name}` has more than {MAX_LEVELS} caches"));
        let mistake = mistake.label(format!("at most {MAX_LEVELS} levels"));
        found.push(mistake.hint(match node.caches.len() - MAX_LEVELS {
            1 => "remove this cache".to_owned(),
            more => format!("remove this cache and the {} after it", more - 1),
        }));
    }
    for pair in node.caches.windows(2) {
        if pair[1].size.value <= pair[0].size.value {
            let (size, before) = (ByteSize(pair[1].size.value), ByteSize(pair[0].size.value));
            let message = format!("a cache of {size} cannot be one level above a cache of {before}");
            let mistake = Diagnostic::new(pair[1].size.span, message).label("must be larger");
            found.push(mistake.related(pair[0].size.span, "the level below").hint("write the smallest cache first"));
        }
    }
    found.extend(node.caches.iter().flat_map(sizes));
    found
}

fn sizes(cache: &MemoryCache) -> Vec<Diagnostic> {
    let (size, line) = (cache.size.value, cache.line.value);
    let mut found = Vec::new();
    if !line.is_power_of_two() || line > MAX_LINE {
        let message = format!("a cache cannot have lines of {}", ByteSize(line));
        let near = line.max(1).checked_next_power_of_two().unwrap_or(MAX_LINE).min(MAX_LINE);
        let mistake = Diagnostic::new(cache.line.span, message).label("a power of two, up to 32KiB");
        found.push(mistake.hint(format!("write `line = {}`", ByteSize(near))));
    } else if size == 0 || !size.is_multiple_of(line) {
        let message = format!("{} is not a whole number of lines of {}", ByteSize(size), ByteSize(line));
        let mistake = Diagnostic::new(cache.size.span, message).label("must be a multiple of the line");
        let near = spare::within(size, line, line, u64::MAX / line * line);
        found.push(mistake.hint(format!("write `size = {near}`")));
    }
    found
}

/// An expander, the table that the recipe gives it, and the words that do.
fn tables<'a>(context: &'a Context) -> impl Iterator<Item = (&'a Expander, &'a [CdatRange], Span)> {
    let expanders = context.cxl().into_iter().flat_map(|cxl| cxl.expanders());
    expanders.filter_map(|(_, expander)| {
        let cdat = expander.cdat.as_ref()?;
        Some((expander, cdat.value.table.ranges.as_slice(), cdat.span))
    })
}

/// A table that describes memory which the device does not have.
pub(super) fn beyond(context: &Context) -> Vec<Diagnostic> {
    let wrong = tables(context).filter_map(|(expander, ranges, span)| {
        let end = ranges.iter().map(|range| range.start.saturating_add(range.length)).max()?;
        let (name, size) = (&expander.name.value, expander.size());
        let (ends, has) = (ByteSize(end), ByteSize(size));
        let message = format!("the CDAT describes memory up to {ends}, and expander `{name}` has {has}");
        let hint = "take the table of a device of this size, or remove `cdat`: QEMU then writes one";
        (end > size).then(|| Diagnostic::new(span, message).label("made for another device").hint(hint))
    });
    wrong.collect()
}

/// Memory that no range of the table holds: Linux looks for one that lies within a kind of memory.
pub(super) fn uncovered(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (expander, ranges, span) in tables(context) {
        let mut start = 0u64;
        for (kind, memory) in [("volatile", &expander.volatile), ("persistent", &expander.persistent)] {
            let Some(memory) = memory else { continue };
            let end = start.saturating_add(memory.value.size);
            let within = |range: &CdatRange| range.start >= start && range.start.saturating_add(range.length) <= end;
            if !ranges.iter().any(within) {
                let name = &expander.name.value;
                let message = format!("the CDAT describes no part of the {kind} memory of expander `{name}`");
                let doubt = Diagnostic::new(span, message).label("Linux will not know its performance");
                let bounds = format!("add a DSMAS entry for 0x{start:x} to 0x{:x}", end.saturating_sub(1));
                found.push(doubt.related(memory.span, "this memory").hint(bounds));
            }
            start = end;
        }
    }
    found
}
