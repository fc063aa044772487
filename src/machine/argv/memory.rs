//! Ordinary memory and its NUMA nodes, and backends for all memory.

use super::{Place, QemuOption, Text, size};
use crate::recipe::machine::Machine;
use crate::recipe::machine::memory::{Attribute, AttributeKind, Memory};

/// `-m`, and a backend and a `-numa node` for each node, and all distances.
pub(super) fn options(machine: &Machine) -> Vec<QemuOption> {
    let mut options = vec![QemuOption::keyed("-m").with("size", size(machine.memory.value))];
    for (number, node) in machine.nodes.iter().enumerate() {
        let id = format!("{}.memory", node.name);
        options.extend(node.memory.as_ref().map(|memory| backend(&id, &memory.value)));
        let mut numa = QemuOption::kind("-numa", "node").with("nodeid", number.to_string());
        for range in ranges(node.cpus.iter().map(|cpu| cpu.value).collect()) {
            numa = numa.with("cpus", range);
        }
        numa = numa.with_some("memdev", node.memory.as_ref().map(|_| id));
        options.push(numa.with_some("initiator", initiator(machine, number)));
    }
    if machine.nodes.is_empty() && machine.cxl.is_some() {
        options.extend(single_node(machine));
    }
    options.extend(distances(machine));
    options.extend(machine.attributes.iter().map(|attribute| in_hmat(machine, attribute)));
    options
}

/// With an HMAT, QEMU wants to know which CPUs are closest to memory without CPUs: those with the lowest latency.
fn initiator(machine: &Machine, number: usize) -> Option<String> {
    let node = &machine.nodes[number];
    if machine.attributes.is_empty() {
        return None;
    }
    if !node.cpus.is_empty() {
        return Some(number.to_string());
    }
    let latencies = machine.attributes.iter().filter(|one| one.kind == AttributeKind::Latency);
    let closest = latencies.filter(|one| one.to.value == node.name).min_by_key(|one| one.value.value);
    // QEMU wants an answer for every node (`numa_validate_initiator` in hw/core/machine.c).
    let first = || machine.nodes.iter().find(|node| !node.cpus.is_empty()).map(|node| node.name.as_str());
    let name = closest.map(|one| one.from.value.as_str()).or_else(first)?;
    Some(position(machine, name))
}

fn position(machine: &Machine, name: &str) -> String {
    let found = machine.nodes.iter().position(|node| node.name == name);
    found.expect("attributes name nodes of their machine").to_string()
}

/// One value of the HMAT, for reading and writing.
fn in_hmat(machine: &Machine, attribute: &Attribute) -> QemuOption {
    let option = QemuOption::kind("-numa", "hmat-lb").with("initiator", position(machine, &attribute.from.value));
    let option = option.with("target", position(machine, &attribute.to.value)).with("hierarchy", "memory");
    match attribute.kind {
        AttributeKind::Latency => {
            option.with("data-type", "access-latency").with("latency", attribute.value.value.to_string())
        }
        AttributeKind::Bandwidth => {
            option.with("data-type", "access-bandwidth").with("bandwidth", size(attribute.value.value))
        }
    }
}

/// Without a node QEMU writes no SRAT, and Linux puts CXL memory into node 0, beside ordinary memory, instead of a node
/// of its own (drivers/acpi/numa/srat.c: windows become nodes after those of the SRAT).
fn single_node(machine: &Machine) -> [QemuOption; 2] {
    let id = "kiln.memory";
    let object = QemuOption::kind("-object", "memory-backend-ram").with("id", id);
    let node = QemuOption::kind("-numa", "node").with("nodeid", "0").with("memdev", id);
    [object.with("size", size(machine.memory.value)), node]
}

/// Memory that nobody else sees, or a file that several machines map.
pub(super) fn backend(id: &str, memory: &Memory) -> QemuOption {
    match &memory.shared {
        None => QemuOption::kind("-object", "memory-backend-ram").with("id", id).with("size", size(memory.size)),
        Some(shared) => file(id, memory.size, Text::from(Place::Shared).then(format!("/{}.memory", shared.name))),
    }
}

/// Memory in a file of this run.
pub(super) fn run_file(id: &str, bytes: u64) -> QemuOption {
    file(id, bytes, Text::from(Place::Run).then(format!("/{id}")))
}

fn file(id: &str, bytes: u64, path: Text) -> QemuOption {
    let backend = QemuOption::kind("-object", "memory-backend-file").with("id", id).with("size", size(bytes));
    backend.with("mem-path", path).with("share", "on")
}

/// CPU numbers as ranges: 0, 1, 2, 8 is `0-2` and `8`.
fn ranges(mut cpus: Vec<u32>) -> Vec<String> {
    cpus.sort_unstable();
    cpus.dedup();
    let runs = cpus.chunk_by(|a, b| a + 1 == *b);
    runs.map(|run| if run.len() == 1 { run[0].to_string() } else { format!("{}-{}", run[0], run[run.len() - 1]) })
        .collect()
}

/// Once one distance is given, QEMU wants all of them in one direction (`complete_init_numa_distance` in hw/core/numa.c).
fn distances(machine: &Machine) -> Vec<QemuOption> {
    if machine.distances.is_empty() {
        return Vec::new();
    }
    let nodes = &machine.nodes;
    let pairs = (0..nodes.len()).flat_map(|a| (a + 1..nodes.len()).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let between = machine.distances.iter().find(|distance| {
                let ends = (&distance.from.value, &distance.to.value);
                ends == (&nodes[a].name, &nodes[b].name) || ends == (&nodes[b].name, &nodes[a].name)
            });
            let value = between.map_or(20, |distance| distance.value.value);
            let option = QemuOption::kind("-numa", "dist").with("src", a.to_string()).with("dst", b.to_string());
            option.with("val", value.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_become_ranges() {
        assert_eq!(ranges(vec![2, 0, 1, 8, 8]), ["0-2", "8"]);
        assert!(ranges(Vec::new()).is_empty());
    }
}
