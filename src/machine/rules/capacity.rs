//! Rules about devices and the windows that lead to them.
//!
//! A window in which no region can be made is no room for anything; `interleave` tells of it.

use std::collections::{BTreeMap, BTreeSet};

use super::region::{is_known, leads_to, takes_a_region};
use super::{Context, expander, spare, window};
use crate::base::{ByteSize, Diagnostic, Span};
use crate::machine::address;
use crate::recipe::machine::Machine;
use crate::recipe::machine::cxl::{Bridge, Cxl, Expander, Window};

/// The devices of bridges that windows join, and the windows.
struct Group<'a> {
    windows: Vec<&'a Window>,
    devices: u64,
    room: u64,
}

impl Group<'_> {
    /// What the windows lack to hold all devices.
    fn lack(&self) -> u64 {
        self.devices.saturating_sub(self.room)
    }

    fn has(&self, window: &Window) -> bool {
        self.windows.iter().any(|other| std::ptr::eq(*other, window))
    }
}

/// The CXL part, if it is known what its windows lead to and every size is a size.
fn measurable<'a>(context: &'a Context) -> Option<&'a Cxl> {
    let good = |cxl: &&Cxl| is_known(cxl) && expander::has_good_sizes(cxl) && window::has_good_sizes(cxl);
    context.cxl().filter(good)
}

/// A window that is smaller than a device which no other window can hold either.
pub(super) fn device(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = measurable(context) else { return Vec::new() };
    let groups = groups(cxl);
    let reports = small(cxl).into_iter().map(|(at, devices)| {
        let window = &cxl.windows[at];
        let room = window.size.value;
        let names: Vec<&str> = devices.iter().map(|(name, ..)| *name).collect();
        let largest = devices.iter().map(|(.., size)| *size).max().unwrap_or(0);
        let (size, window_name) = (ByteSize(room), &window.name.value);
        let message = match devices[..] {
            [(name, _, size)] => {
                format!("expander `{name}` has {}, which is more than any of its windows", ByteSize(size))
            }
            _ => format!("expanders {} have more memory than any of their windows", spare::named(&names)),
        };
        let lack = groups.iter().find(|group| group.has(window)).map_or(0, Group::lack);
        let wanted = largest.max(room.saturating_add(lack));
        let doubt = Diagnostic::new(window.size.span, message).label(format!("window `{window_name}` has {size}"));
        let doubt = devices
            .iter()
            .take(4)
            .fold(doubt, |doubt, (_, span, size)| doubt.related(*span, format!("{} here", ByteSize(*size))));
        let part = format!("make regions of a part of a device: `cxl create-region -s {}M`", room >> 20);
        doubt.hint(match address::has_room(context.machine, wanted - room) {
            true => format!("write `size = {}`, or {part}", ByteSize(wanted)),
            false => part,
        })
    });
    reports.collect()
}

type Device<'a> = (&'a str, Span, u64);

/// For each window that is the largest of a device and smaller than a kind of its memory: these devices.
fn small(cxl: &Cxl) -> BTreeMap<usize, Vec<Device<'_>>> {
    let mut small: BTreeMap<usize, Vec<Device<'_>>> = BTreeMap::new();
    for (bridge, expander) in cxl.expanders() {
        let windows = cxl.windows.iter().enumerate();
        let windows = windows.filter(|(_, window)| leads_to(window, bridge) && takes_a_region(cxl, window));
        let Some((at, largest)) = windows.max_by_key(|(at, window)| (window.size.value, std::cmp::Reverse(*at))) else {
            continue;
        };
        let memory = expander.memories().max_by_key(|memory| memory.value.size);
        if let Some(memory) = memory.filter(|memory| memory.value.size > largest.size.value) {
            small.entry(at).or_default().push((&expander.name.value, memory.span, memory.value.size));
        }
    }
    small
}

/// Devices that add up to more than the windows that lead to them: counted over bridges that windows join. Where one of
/// them is too large by itself, that is what is told.
pub(super) fn sum(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = measurable(context) else { return Vec::new() };
    let told = small(cxl);
    let overfull = groups(cxl).into_iter().filter(|group| group.lack() > 0);
    let overfull = overfull.filter(|group| told.keys().all(|at| !group.has(&cxl.windows[*at])));
    overfull.filter_map(|group| report(context.machine, &group)).collect()
}

fn report(machine: &Machine, group: &Group) -> Option<Diagnostic> {
    let window = group.windows.first()?;
    let (devices, room) = (ByteSize(group.devices), ByteSize(group.room));
    let message = match group.windows.len() {
        1 => format!("the expanders behind window `{}` have {devices}, but the window has {room}", window.name.value),
        _ => {
            format!("the expanders behind window `{}` have {devices}, but their windows have {room}", window.name.value)
        }
    };
    let doubt = Diagnostic::new(window.size.span, message).label("too small for all of them at a time");
    let larger = ByteSize(window.size.value.saturating_add(group.lack()));
    Some(doubt.hint(match address::has_room(machine, group.lack()) {
        true => format!("write `size = {larger}`; as it is, regions can be made until the windows are full"),
        false => {
            "regions can be made until the windows are full, and there are no addresses for larger ones".to_owned()
        }
    }))
}

/// Bridges that a window interleaves over belong together.
fn groups(cxl: &Cxl) -> Vec<Group<'_>> {
    let windows: Vec<&Window> = cxl.windows.iter().filter(|window| takes_a_region(cxl, window)).collect();
    let mut numbers: Vec<usize> = (0..cxl.bridges.len()).collect();
    for window in &windows {
        let bridges = cxl.bridges.iter().enumerate().filter(|(_, bridge)| leads_to(window, bridge));
        let members: BTreeSet<usize> = bridges.map(|(at, _)| numbers[at]).collect();
        let Some(lowest) = members.first().copied() else { continue };
        for number in numbers.iter_mut().filter(|number| members.contains(number)) {
            *number = lowest;
        }
    }
    let mut groups: BTreeMap<usize, Group<'_>> = BTreeMap::new();
    for window in windows {
        let Some(at) = cxl.bridges.iter().position(|bridge| leads_to(window, bridge)) else { continue };
        let new = Group { windows: Vec::new(), devices: 0, room: 0 };
        let group = groups.entry(numbers[at]).or_insert(new);
        group.windows.push(window);
        group.room = group.room.saturating_add(window.size.value);
    }
    for (bridge, expander) in cxl.expanders() {
        let at = cxl.bridges.iter().position(|other| std::ptr::eq(other, bridge));
        if let Some(group) = at.and_then(|at| groups.get_mut(&numbers[at])) {
            group.devices = group.devices.saturating_add(expander.size());
        }
    }
    groups.into_values().collect()
}

/// A bridge with devices that no window leads to.
pub(super) fn unreachable(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl().filter(|cxl| is_known(cxl)) else { return Vec::new() };
    let mut names: BTreeSet<String> = cxl.windows.iter().map(|window| window.name.value.clone()).collect();
    let lost = cxl.bridges.iter().filter(|bridge| !cxl.windows.iter().any(|window| leads_to(window, bridge)));
    let report = |bridge: &Bridge| {
        let expanders: Vec<&Expander> =
            cxl.expanders().filter(|(at, _)| std::ptr::eq(*at, bridge)).map(|(_, expander)| expander).collect();
        let first = expanders.first()?;
        let devices: Vec<&str> = expanders.iter().map(|expander| expander.name.value.as_str()).collect();
        let (message, label) = match devices[..] {
            [name] => (format!("expander `{name}` is not reachable through any window"), "its memory"),
            _ => (format!("expanders {} are not reachable through any window", spare::named(&devices)), "their memory"),
        };
        let bytes = expanders.iter().fold(0u64, |sum, expander| sum.saturating_add(expander.size()));
        let size = ByteSize(spare::whole(bytes));
        let name = spare::name("w0", &names.iter().map(String::as_str).collect());
        let hint = format!("add `window {name} {{ targets = [{}] size = {size} }}`", bridge.name.value);
        names.insert(name);
        Some(Diagnostic::new(first.span, message).label(format!("{label} cannot become a region")).hint(hint))
    };
    lost.filter_map(report).collect()
}
