//! Rules about windows over several bridges and the devices behind each.
//!
//! A region takes one device behind every target, all with the same kind of memory and with as much of each as the
//! smallest has (Linux drivers/cxl/core/region.c; `collect_minsize` in cxl/region.c of ndctl). Devices without a partner
//! are of use only through another window.

use super::Context;
use super::capacity::leads_to;
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::cxl::{Bridge, Cxl, Expander, Window};

/// What a region can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RegionKind {
    Volatile,
    Persistent,
    Dynamic,
}

impl RegionKind {
    fn name(self) -> &'static str {
        match self {
            RegionKind::Volatile => "volatile",
            RegionKind::Persistent => "persistent",
            RegionKind::Dynamic => "dynamic",
        }
    }
}

/// What a device has, kind by kind.
fn parts(expander: &Expander) -> Vec<(RegionKind, u64)> {
    let volatile = expander.volatile.as_ref().map(|memory| (RegionKind::Volatile, memory.value.size));
    let persistent = expander.persistent.as_ref().map(|memory| (RegionKind::Persistent, memory.value.size));
    let dynamic = expander.dynamic.as_ref().map(|dynamic| (RegionKind::Dynamic, dynamic.memory.value.size));
    volatile.into_iter().chain(persistent).chain(dynamic).collect()
}

/// The memories behind a bridge, sorted.
fn behind(cxl: &Cxl, bridge: &str) -> Vec<(RegionKind, u64)> {
    let devices = cxl.expanders().filter(|(at, _)| at.name.value == bridge);
    let mut parts: Vec<_> = devices.flat_map(|(_, expander)| parts(expander)).collect();
    parts.sort_unstable();
    parts
}

fn kinds(parts: &[(RegionKind, u64)]) -> Vec<RegionKind> {
    parts.iter().map(|(kind, _)| *kind).collect()
}

/// Whether there is a kind of memory of which every target has some.
fn takes_a_region(cxl: &Cxl, window: &Window) -> bool {
    let targets: Vec<Vec<RegionKind>> =
        window.targets.iter().map(|target| kinds(&behind(cxl, &target.value))).collect();
    let Some(first) = targets.first() else { return false };
    first.iter().any(|kind| targets.iter().all(|target| target.contains(kind)))
}

fn interleaved(cxl: &Cxl) -> impl Iterator<Item = &Window> {
    cxl.windows.iter().filter(|window| window.targets.len() > 1)
}

/// A window in which no region can be made, where no other window reaches a device behind it either.
pub(super) fn useless(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let useless = interleaved(cxl).filter(|window| !takes_a_region(cxl, window) && !is_spared(cxl, window));
    let report = |window: &Window| {
        let message = format!(
            "no region can be made in window `{}`: its bridges have no kind of memory in common",
            window.name.value
        );
        compared(cxl, window, message).hint(remedy(window))
    };
    useless.filter(|window| has_devices(cxl, window)).map(report).collect()
}

/// Whether a window that takes regions leads to a bridge of this one.
fn is_spared(cxl: &Cxl, window: &Window) -> bool {
    let others = cxl.windows.iter().filter(|other| !std::ptr::eq(*other, window) && takes_a_region(cxl, other));
    let bridges = || cxl.bridges.iter().filter(|bridge| leads_to(window, bridge));
    others.into_iter().any(|other| bridges().any(|bridge: &Bridge| leads_to(other, bridge)))
}

fn has_devices(cxl: &Cxl, window: &Window) -> bool {
    window.targets.iter().any(|target| !behind(cxl, &target.value).is_empty())
}

/// A window over bridges whose devices do not match one by one, although some region can be made, there or elsewhere.
pub(super) fn unequal(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let doubtful = interleaved(cxl).filter(|window| takes_a_region(cxl, window) || is_spared(cxl, window));
    let unequal = doubtful.filter_map(|window| {
        let targets: Vec<_> = window.targets.iter().map(|target| behind(cxl, &target.value)).collect();
        let first = targets.first()?;
        let name = &window.name.value;
        if targets.iter().any(|target| kinds(target) != kinds(first)) {
            let message = format!("window `{name}` interleaves bridges with devices of different kinds");
            return Some(compared(cxl, window, message).hint(remedy(window)));
        }
        let differ = targets.iter().any(|target| target != first);
        let message = format!("window `{name}` interleaves bridges with devices of different sizes");
        let hint = "a region uses as much of each device as the smallest one has";
        differ.then(|| compared(cxl, window, message).hint(hint))
    });
    unequal.collect()
}

/// Points at the first bridge that differs from the first one.
fn compared(cxl: &Cxl, window: &Window, message: String) -> Diagnostic {
    let of = |position: usize| behind(cxl, &window.targets[position].value);
    let first = of(0);
    let other = (1..window.targets.len()).find(|position| of(*position) != first).unwrap_or(0);
    let report = Diagnostic::new(window.targets[other].span, message).label(format!("{} here", describe(&of(other))));
    report.related(window.targets[0].span, format!("{} here", describe(&first)))
}

fn remedy(window: &Window) -> String {
    let alone = &window.targets[window.targets.len() - 1].value;
    let size = ByteSize(window.size.value);
    format!(
        "a region takes a device of the same kind behind each bridge; to use the others, add a window that leads to one \
         bridge alone: `window {alone}-alone {{ targets = [{alone}] size = {size} }}`"
    )
}

/// `256MiB volatile + 256MiB persistent`.
fn describe(parts: &[(RegionKind, u64)]) -> String {
    let words: Vec<String> = parts.iter().map(|(kind, size)| format!("{} {}", ByteSize(*size), kind.name())).collect();
    if words.is_empty() { "no expander".to_owned() } else { words.join(" + ") }
}
