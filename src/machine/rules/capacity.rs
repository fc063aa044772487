//! Rules about devices and the windows that lead to them.

use std::collections::BTreeMap;

use super::Context;
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::cxl::{Bridge, Cxl, Expander, Window};

pub(super) fn leads_to(window: &Window, bridge: &Bridge) -> bool {
    window.targets.iter().any(|target| target.value == bridge.name.value)
}

/// One kind of memory of a device that no window can hold.
pub(super) fn device(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let mut found = Vec::new();
    for (bridge, expander) in cxl.expanders() {
        let Some(largest) = cxl.windows.iter().filter(|window| leads_to(window, bridge)).max_by_key(|w| w.size.value)
        else {
            continue;
        };
        for memory in expander.memories().filter(|memory| memory.value.size > largest.size.value) {
            let size = ByteSize(memory.value.size);
            let message =
                format!("expander `{}` has {size}, which is more than any of its windows", expander.name.value);
            let room = ByteSize(largest.size.value);
            let mistake = Diagnostic::new(memory.span, message).label(format!("the largest has {room}"));
            found.push(
                mistake.related(largest.size.span, "that window").hint(format!("give the window `size = {size}`")),
            );
        }
    }
    found
}

/// Devices that add up to more than the windows that lead to them: counted over bridges that windows join.
pub(super) fn sum(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let groups = groups(cxl);
    let mut sizes: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (index, bridge) in cxl.bridges.iter().enumerate() {
        let devices = cxl.expanders().filter(|(other, _)| std::ptr::eq(*other, bridge));
        let size = devices.fold(0u64, |sum, (_, expander)| sum.saturating_add(expander.size()));
        let devices = &mut sizes.entry(groups[index]).or_default().0;
        *devices = devices.saturating_add(size);
    }
    let mut first: BTreeMap<usize, &Window> = BTreeMap::new();
    for window in &cxl.windows {
        let Some(bridge) = cxl.bridges.iter().position(|bridge| leads_to(window, bridge)) else { continue };
        let room = &mut sizes.entry(groups[bridge]).or_default().1;
        *room = room.saturating_add(window.size.value);
        first.entry(groups[bridge]).or_insert(window);
    }
    let overfull = sizes.into_iter().filter(|(_, (devices, room))| devices > room);
    overfull.filter_map(|(group, sizes)| first.get(&group).map(|window| report(window, sizes))).collect()
}

fn report(window: &Window, (devices, room): (u64, u64)) -> Diagnostic {
    let (devices, room) = (ByteSize(devices), ByteSize(room));
    let message =
        format!("the expanders behind window `{}` have {devices}, but their windows have {room}", window.name.value);
    let mistake = Diagnostic::new(window.size.span, message).label("too small for all of them at a time");
    mistake.hint("regions are made until the windows are full; make the window larger, or add another one")
}

/// The group of each bridge: bridges that a window interleaves over belong together.
fn groups(cxl: &Cxl) -> Vec<usize> {
    let mut groups: Vec<usize> = (0..cxl.bridges.len()).collect();
    for window in &cxl.windows {
        let members: Vec<usize> = cxl
            .bridges
            .iter()
            .enumerate()
            .filter(|(_, bridge)| leads_to(window, bridge))
            .map(|(i, _)| groups[i])
            .collect();
        let Some(lowest) = members.iter().min().copied() else { continue };
        for group in groups.iter_mut().filter(|group| members.contains(group)) {
            *group = lowest;
        }
    }
    groups
}

/// A device that no window leads to.
pub(super) fn unreachable(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let lost = cxl.expanders().filter(|(bridge, _)| !cxl.windows.iter().any(|window| leads_to(window, bridge)));
    let report = |(bridge, expander): (&Bridge, &Expander)| {
        let message = format!("expander `{}` is not reachable through any window", expander.name.value);
        let mistake = Diagnostic::new(expander.span, message).label("its memory cannot become a region");
        let (name, size) = (&bridge.name.value, ByteSize(expander.size()));
        mistake.hint(format!("add `window w0 {{ targets = [{name}] size = {size} }}`"))
    };
    lost.map(report).collect()
}
