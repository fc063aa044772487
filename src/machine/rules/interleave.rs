//! Rules about windows over several bridges and the devices behind each.
//!
//! A region takes one device behind every target, all with the same kind of memory and with as much of each as the
//! smallest has (Linux drivers/cxl/core/region.c; `collect_minsize` in cxl/region.c of ndctl). Devices without a partner
//! are of use only through another window.

use std::collections::{BTreeMap, BTreeSet};

use super::region::{RegionKind, behind_targets, is_known, kinds, left_over, takes_a_region};
use super::{Context, expander, spare};
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::cxl::{Cxl, Window};

fn interleaved(cxl: &Cxl) -> impl Iterator<Item = &Window> {
    cxl.windows.iter().filter(|window| window.targets.len() > 1)
}

/// A window in which no region can be made, where no other window reaches a device behind it either.
pub(super) fn useless(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl().filter(|cxl| is_known(cxl)) else { return Vec::new() };
    let reports = remedies(cxl).into_iter().filter(|(window, _)| !takes_a_region(cxl, window));
    let served = served(cxl);
    let reports = reports.filter(|(window, _)| !is_spared(&served, window));
    reports.map(|(window, hint)| no_region(cxl, window).hint(hint)).collect()
}

/// The bridges that windows lead to in which regions can be made.
fn served(cxl: &Cxl) -> BTreeSet<&str> {
    let windows = cxl.windows.iter().filter(|window| takes_a_region(cxl, window));
    windows.flat_map(|window| &window.targets).map(|target| target.value.as_str()).collect()
}

/// Whether another window leads to a bridge of this one, in which no region can be made.
fn is_spared(served: &BTreeSet<&str>, window: &Window) -> bool {
    window.targets.iter().any(|target| served.contains(target.value.as_str()))
}

/// A window over bridges whose devices do not match one by one, although some region can be made, there or elsewhere.
pub(super) fn unequal(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl().filter(|cxl| is_known(cxl)) else { return Vec::new() };
    let (served, mut found) = (served(cxl), Vec::new());
    for (window, hint) in remedies(cxl) {
        if takes_a_region(cxl, window) {
            found.push(unmatched(cxl, window).hint(hint));
        } else if is_spared(&served, window) {
            found.push(no_region(cxl, window).hint(hint));
        }
    }
    found.extend(interleaved(cxl).filter_map(|window| sizes(cxl, window)));
    found
}

/// Every window that has to change, or has to be helped by others, and what to write. A device that is left over is told
/// of once, with the first window that leads to it in vain.
fn remedies(cxl: &Cxl) -> Vec<(&Window, String)> {
    let mut left = left_over(cxl);
    let mut names: BTreeSet<String> = cxl.windows.iter().map(|window| window.name.value.clone()).collect();
    let mut found = Vec::new();
    for window in interleaved(cxl) {
        let targets = window.targets.iter().map(|target| target.value.as_str());
        let mut lonely = targets.filter_map(|target| Some((target, left.remove(target)?))).peekable();
        if takes_a_region(cxl, window) {
            if lonely.peek().is_some() {
                let windows = alone(&mut lonely, &mut names);
                found.push((window, format!("{}for the others add {windows}", explained(cxl, window))));
            }
        } else if let Some((first, bytes)) = lonely.next() {
            let mut hint = format!("{}write `targets = [{first}]`", explained(cxl, window));
            let bytes = spare::whole(bytes);
            if window.size.value < bytes {
                hint += &format!(" and `size = {}`", ByteSize(bytes));
            }
            if lonely.peek().is_some() {
                hint += &format!(", and add {}", alone(&mut lonely, &mut names));
            }
            found.push((window, hint));
        } else if behind_targets(cxl, window).iter().any(|target| !target.is_empty()) {
            let why = "other windows lead to its expanders";
            found.push((window, format!("{}remove this window: {why}", explained(cxl, window))));
        }
    }
    found
}

/// What would make the window interleave.
fn explained(cxl: &Cxl, window: &Window) -> String {
    let empty = empty(cxl, window);
    match takes_a_region(cxl, window) {
        true => "a region takes one expander of the same kind behind each bridge; ".to_owned(),
        false if empty.is_empty() => "to interleave, give each bridge an expander of the same kind; else ".to_owned(),
        false => format!("to interleave, plug an expander into a port of {}; else ", spare::named(&empty)),
    }
}

fn empty<'a>(cxl: &Cxl, window: &'a Window) -> Vec<&'a str> {
    let targets = window.targets.iter().zip(behind_targets(cxl, window));
    targets.filter(|(_, behind)| behind.is_empty()).map(|(target, _)| target.value.as_str()).collect()
}

/// A window for each bridge, with room for what is left over behind it and a name of its own.
fn alone<'a>(lonely: &mut impl Iterator<Item = (&'a str, u64)>, names: &mut BTreeSet<String>) -> String {
    let mut windows = Vec::new();
    for (bridge, bytes) in lonely {
        let name = spare::name(&format!("{bridge}-alone"), &names.iter().map(String::as_str).collect());
        let size = ByteSize(spare::whole(bytes));
        windows.push(format!("`window {name} {{ targets = [{bridge}] size = {size} }}`"));
        names.insert(name);
    }
    windows.join(" and ")
}

fn no_region(cxl: &Cxl, window: &Window) -> Diagnostic {
    let why = match empty(cxl, window)[..] {
        [] => "its bridges have no kind of memory in common".to_owned(),
        [bridge] => format!("bridge `{bridge}` has no expander"),
        ref bridges => format!("bridges {} have no expander", spare::named(bridges)),
    };
    let set = |parts: &[(RegionKind, u64)]| kinds(parts).into_iter().collect::<BTreeSet<_>>();
    let message = format!("no region can be made in window `{}`: {why}", window.name.value);
    compared(cxl, window, message, |a, b| set(a) != set(b))
}

/// A window whose bridges have other kinds of devices, or more of them than one has.
fn unmatched(cxl: &Cxl, window: &Window) -> Diagnostic {
    let set = |parts: &[(RegionKind, u64)]| kinds(parts).into_iter().collect::<BTreeSet<_>>();
    let targets = behind_targets(cxl, window);
    let name = &window.name.value;
    if targets.iter().any(|target| set(target) != set(&targets[0])) {
        let message = format!("window `{name}` interleaves bridges with devices of different kinds");
        compared(cxl, window, message, |a, b| set(a) != set(b))
    } else {
        let message = format!("window `{name}` interleaves bridges with different numbers of devices");
        compared(cxl, window, message, |a, b| kinds(a) != kinds(b))
    }
}

/// A window whose bridges have as many devices of each kind, but of different sizes.
fn sizes(cxl: &Cxl, window: &Window) -> Option<Diagnostic> {
    let targets = behind_targets(cxl, window);
    let first = targets.first()?;
    let match_by_kind = targets.iter().all(|target| kinds(target) == kinds(first));
    if !match_by_kind || targets.iter().all(|target| target == first) || !expander::has_good_sizes(cxl) {
        return None;
    }
    let message = format!("window `{}` interleaves bridges with devices of different sizes", window.name.value);
    let mut least: BTreeMap<usize, u64> = BTreeMap::new();
    let mut most = least.clone();
    for (position, (_, size)) in targets.iter().flat_map(|target| target.iter().enumerate()) {
        least.entry(position).and_modify(|least| *least = (*size).min(*least)).or_insert(*size);
        most.entry(position).and_modify(|most| *most = (*size).max(*most)).or_insert(*size);
    }
    let differ = least.into_iter().zip(most).find(|((_, least), (_, most))| least != most);
    let ((position, least), (_, most)) = differ?;
    let (kind, least, most) = (first[position].0.name(), ByteSize(least), ByteSize(most));
    let hint = format!(
        "give all of them `{kind} = {most}`, or `{kind} = {least}` if that is enough: a region uses as much of each as the \
         smallest one has"
    );
    Some(compared(cxl, window, message, |a, b| a != b).hint(hint))
}

type Parts = [(RegionKind, u64)];

/// Points at the first bridge that differs from the first one.
fn compared(cxl: &Cxl, window: &Window, message: String, differ: impl Fn(&Parts, &Parts) -> bool) -> Diagnostic {
    let targets = behind_targets(cxl, window);
    let other = targets.iter().position(|target| differ(target, &targets[0])).unwrap_or(0);
    let label = format!("{} here", describe(&targets[other]));
    let report = Diagnostic::new(window.targets[other].span, message).label(label);
    report.related(window.targets[0].span, format!("{} here", describe(&targets[0])))
}

/// `256MiB volatile + 256MiB persistent`.
fn describe(parts: &[(RegionKind, u64)]) -> String {
    let words: Vec<String> = parts.iter().map(|(kind, size)| format!("{} {}", ByteSize(*size), kind.name())).collect();
    if words.is_empty() { "no expander".to_owned() } else { words.join(" + ") }
}
