//! Rules about the CPUs of NUMA nodes. A list of CPUs is one word of a recipe, so it gets one error, whatever it names.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, spare};
use crate::base::{Diagnostic, Span};
use crate::recipe::machine::Machine;

/// CPUs that do not exist, are assigned twice, or are in no node.
pub(super) fn cpus(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let mut found = twice(machine);
    found.extend(beyond(machine));
    found.extend(missing(machine));
    found
}

/// Every CPU with the number of its node and the words that assign it.
fn placed(machine: &Machine) -> impl Iterator<Item = (u32, usize, Span)> {
    let of_node = |(number, node): (usize, _)| {
        let node: &crate::recipe::machine::memory::Node = node;
        node.cpus.iter().map(move |cpu| (cpu.value, number, cpu.span)).collect::<Vec<_>>()
    };
    machine.nodes.iter().enumerate().flat_map(of_node)
}

fn twice(machine: &Machine) -> Vec<Diagnostic> {
    let mut first: BTreeMap<u32, (usize, Span)> = BTreeMap::new();
    // By the nodes and words that collide.
    let mut collisions: BTreeMap<(usize, usize), (Span, Span, Vec<u32>)> = BTreeMap::new();
    for (cpu, node, span) in placed(machine) {
        let (before, at) = *first.entry(cpu).or_insert((node, span));
        if (before, at) != (node, span) || collides_within(machine, cpu, node) {
            collisions.entry((before, node)).or_insert((at, span, Vec::new())).2.push(cpu);
        }
    }
    let report = |((before, node), (at, span, cpus)): ((usize, usize), (Span, Span, Vec<u32>))| {
        if before == node {
            let name = &machine.nodes[node].name;
            let message = format!("{} more than once in node `{name}`", named(cpus, "is", "are"));
            return Diagnostic::new(span, message).label("name each CPU once").hint(remaining(machine, node));
        }
        let mistake = Diagnostic::new(span, format!("{} in two nodes", named(cpus, "is", "are")));
        mistake.label("again here").related(at, "first here").hint(remaining(machine, node))
    };
    collisions.into_iter().map(report).collect()
}

/// What a node's list is without CPUs that do not exist or that an earlier node has.
fn remaining(machine: &Machine, node: usize) -> String {
    let earlier: BTreeSet<u32> =
        machine.nodes[..node].iter().flat_map(|node| &node.cpus).map(|cpu| cpu.value).collect();
    let own: BTreeSet<u32> = machine.nodes[node].cpus.iter().map(|cpu| cpu.value).collect();
    let left: Vec<u32> = own.into_iter().filter(|cpu| *cpu < machine.cpus.value && !earlier.contains(cpu)).collect();
    match (left.is_empty(), machine.nodes[node].memory.is_some()) {
        (false, _) => format!("write `cpus = \"{}\"`", spare::cpus(left)),
        (true, true) => "remove `cpus` from this node".to_owned(),
        (true, false) => format!("remove node `{}`", machine.nodes[node].name),
    }
}

/// All CPUs of a node come from one list and have its span, so a CPU that is there twice is found by counting.
fn collides_within(machine: &Machine, cpu: u32, node: usize) -> bool {
    machine.nodes[node].cpus.iter().filter(|other| other.value == cpu).count() > 1
}

fn beyond(machine: &Machine) -> Vec<Diagnostic> {
    let count = machine.cpus.value;
    let most = placed(machine).map(|(cpu, ..)| cpu).max().unwrap_or(0).saturating_add(1);
    let mut lists: BTreeMap<usize, (Span, Vec<u32>)> = BTreeMap::new();
    for (cpu, node, span) in placed(machine).filter(|(cpu, ..)| *cpu >= count) {
        lists.entry(node).or_insert((span, Vec::new())).1.push(cpu);
    }
    let report = |(node, (span, cpus)): (usize, (Span, Vec<u32>))| {
        let mistake = Diagnostic::new(span, format!("{} not exist", named(cpus, "does", "do")));
        let numbers = if count == 1 { "the only CPU is 0".to_owned() } else { format!("CPUs are 0 to {}", count - 1) };
        let hint = format!("{}, or `cpus = {most}` in the machine", remaining(machine, node));
        mistake.label(numbers).related(machine.cpus.span, "their number").hint(hint)
    };
    lists.into_iter().map(report).collect()
}

fn missing(machine: &Machine) -> Option<Diagnostic> {
    if machine.nodes.is_empty() {
        return None;
    }
    let count = machine.cpus.value;
    let missing: Vec<u32> = (0..count).filter(|cpu| placed(machine).all(|(placed, ..)| placed != *cpu)).collect();
    if missing.is_empty() {
        return None;
    }
    let mistake = Diagnostic::new(machine.cpus.span, format!("{} in no node", named(missing.clone(), "is", "are")));
    let with_cpus = machine.nodes.iter().rposition(|node| !node.cpus.is_empty());
    let node = &machine.nodes[with_cpus.unwrap_or(0)];
    let own = node.cpus.iter().map(|cpu| cpu.value).filter(|cpu| *cpu < count);
    let all: BTreeSet<u32> = own.chain(missing).collect();
    let hint = format!("write `cpus = \"{}\"` in node `{}`, or in other nodes", spare::cpus(all), node.name);
    Some(mistake.label(format!("{count} CPUs")).hint(hint))
}

/// `CPU 3 is`, `CPUs 3 to 5 and 8 are`.
fn named(mut cpus: Vec<u32>, one: &str, several: &str) -> String {
    cpus.sort_unstable();
    cpus.dedup();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    if let [(only, last)] = ranges[..]
        && only == last
    {
        return format!("CPU {only} {one}");
    }
    let range = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first} and {last}"),
        _ => format!("{first} to {last}"),
    };
    format!("CPUs {} {several}", ranges.iter().map(range).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_named_by_its_ranges() {
        assert_eq!(named(vec![3], "is", "are"), "CPU 3 is");
        assert_eq!(named(vec![3, 3], "is", "are"), "CPU 3 is");
        assert_eq!(named(vec![9, 4, 5, 6, 7, 8], "is", "are"), "CPUs 4 to 9 are");
        assert_eq!(named(vec![1, 2, 5, 7, 8, 9], "is", "are"), "CPUs 1 and 2, 5, 7 to 9 are");
    }
}
