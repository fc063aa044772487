//! What regions can be made of: one device behind every target of a window, all with the same kind of memory (Linux
//! drivers/cxl/core/region.c).

use std::collections::{BTreeMap, BTreeSet};

use crate::recipe::machine::cxl::{Bridge, Cxl, Expander, Window};

/// What a region can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RegionKind {
    Volatile,
    Persistent,
    Dynamic,
}

impl RegionKind {
    pub(super) fn name(self) -> &'static str {
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
pub(super) fn behind(cxl: &Cxl, bridge: &str) -> Vec<(RegionKind, u64)> {
    let devices = cxl.expanders().filter(|(at, _)| at.name.value == bridge);
    let mut parts: Vec<_> = devices.flat_map(|(_, expander)| parts(expander)).collect();
    parts.sort_unstable();
    parts
}

/// The kinds of the memories behind a bridge, each as often as there is a device with it.
pub(super) fn kinds(parts: &[(RegionKind, u64)]) -> Vec<RegionKind> {
    parts.iter().map(|(kind, _)| *kind).collect()
}

/// The memories behind each target of a window.
pub(super) fn behind_targets(cxl: &Cxl, window: &Window) -> Vec<Vec<(RegionKind, u64)>> {
    window.targets.iter().map(|target| behind(cxl, &target.value)).collect()
}

pub(super) fn leads_to(window: &Window, bridge: &Bridge) -> bool {
    window.targets.iter().any(|target| target.value == bridge.name.value)
}

/// Whether there is a kind of memory of which every target has some.
pub(super) fn takes_a_region(cxl: &Cxl, window: &Window) -> bool {
    let targets = behind_targets(cxl, window);
    let Some(first) = targets.first() else { return false };
    kinds(first).iter().any(|kind| targets.iter().all(|target| kinds(target).contains(kind)))
}

/// As many targets as decoders can express.
pub(super) const WAYS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// The names of all bridges.
pub(super) fn bridges(cxl: &Cxl) -> Vec<&str> {
    cxl.bridges.iter().map(|bridge| bridge.name.value.as_str()).collect()
}

/// The targets without those that are there already, in their order.
pub(super) fn distinct(window: &Window) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    window.targets.iter().map(|target| target.value.as_str()).filter(|target| seen.insert(*target)).collect()
}

/// Whether a window has different bridges that exist, as many as decoders can express.
fn has_good_targets(cxl: &Cxl, window: &Window) -> bool {
    let (bridges, targets) = (bridges(cxl), distinct(window));
    targets.len() == window.targets.len()
        && WAYS.contains(&targets.len())
        && targets.iter().all(|target| bridges.contains(target))
}

/// Whether it is known what each window leads to: until a wrong target or an expander without memory is mended, nothing
/// that follows from it is worth saying.
pub(super) fn is_known(cxl: &Cxl) -> bool {
    let empty = cxl.expanders().any(|(_, expander)| expander.memories().next().is_none());
    let twice = |bridge: &Bridge| cxl.bridges.iter().filter(|other| other.name.value == bridge.name.value).count() > 1;
    !empty && !cxl.bridges.iter().any(twice) && cxl.windows.iter().all(|window| has_good_targets(cxl, window))
}

/// Bytes behind each bridge that are left when every window has taken what it can: with the largest devices, since it
/// is not known which ones are used.
pub(super) fn left_over(cxl: &Cxl) -> BTreeMap<&str, u64> {
    let mut left: BTreeMap<&str, u64> = BTreeMap::new();
    let mut windows: Vec<&Window> = cxl.windows.iter().collect();
    windows.sort_by_key(|window| std::cmp::Reverse(window.targets.len()));
    for kind in [RegionKind::Volatile, RegionKind::Persistent, RegionKind::Dynamic] {
        let sizes = |bridge: &str| -> Vec<u64> {
            behind(cxl, bridge).into_iter().filter(|(other, _)| *other == kind).map(|(_, size)| size).collect()
        };
        let bridges = cxl.bridges.iter().map(|bridge| bridge.name.value.as_str());
        let mut counts: BTreeMap<&str, usize> = bridges.map(|bridge| (bridge, sizes(bridge).len())).collect();
        for window in &windows {
            let targets = || window.targets.iter().map(|target| target.value.as_str());
            let taken = targets().filter_map(|target| counts.get(target).copied()).min().unwrap_or(0);
            targets().for_each(|target| {
                counts.entry(target).and_modify(|count| *count -= taken);
            });
        }
        for (bridge, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let bytes = sizes(bridge).iter().rev().take(count).fold(0u64, |sum, size| sum.saturating_add(*size));
            let sum = left.entry(bridge).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    left
}
