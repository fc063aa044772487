//! Ordinary memory and its NUMA nodes, and backends for all memory.

use super::{MemoryBacking, Place, QemuOption, Text, size};
use crate::base::Spanned;
use crate::plan::qemu::{GENERIC_PORT, NVDIMM};
use crate::recipe::machine::Machine;
use crate::recipe::machine::memory::{Attribute, AttributeKind, Memory, MemorySlots, Node, Nvdimm};

/// `-m`, and a backend and a `-numa node` for each node, and all distances.
pub(super) fn options(machine: &Machine, backing: MemoryBacking) -> Vec<QemuOption> {
    let mut main = QemuOption::keyed("-m").with("size", size(machine.memory.value));
    if let Some(MemorySlots { slots, total }) = machine.slots() {
        main = main.with("slots", slots.to_string()).with("maxmem", size(total));
    }
    let mut options = vec![main];
    for (number, node) in machine.nodes.iter().enumerate() {
        let id = node_backend(node);
        options.extend(node.memory.as_ref().map(|memory| backend(&id, &memory.value, backing)));
        let mut numa = QemuOption::kind("-numa", "node").with("nodeid", number.to_string());
        for range in ranges(node.cpus.iter().map(|cpu| cpu.value).collect()) {
            numa = numa.with("cpus", range);
        }
        numa = numa.with_some("memdev", node.memory.as_ref().map(|_| id));
        options.push(numa.with_some("initiator", initiator(machine, number)));
    }
    if machine.nodes.is_empty() && machine.cxl.is_some() {
        options.extend(single_node(machine, backing));
    }
    options.extend(of_board(machine, backing).map(|id| whole(machine, id, backing)));
    options.extend(machine.generic_ports().enumerate().flat_map(|(index, bridge)| {
        let number = (machine.nodes.len() + index).to_string();
        let node = QemuOption::kind("-numa", "node").with("nodeid", number.as_str());
        let object = QemuOption::kind("-object", GENERIC_PORT).with("id", generic_port(&bridge.name.value));
        [node, object.with("pci-bus", bridge.name.value.as_str()).with("node", number)]
    }));
    options.extend(distances(machine));
    let names = domains(machine);
    options.extend(machine.attributes.iter().map(|attribute| in_hmat(&names, attribute)));
    options.extend(machine.nodes.iter().enumerate().flat_map(|(number, node)| caches(number, node)));
    options.extend(machine.nvdimms.iter().flat_map(|module| nvdimm(machine, module)));
    options
}

/// A module over a file of this run, whose end holds its labels.
fn nvdimm(machine: &Machine, module: &Nvdimm) -> [QemuOption; 2] {
    let id = nvdimm_file(module);
    let device = QemuOption::kind("-device", NVDIMM).with("id", module.name.value.as_str());
    let device = device.with("memdev", id.as_str()).with("label-size", size(module.labels.value));
    let node = module.node.as_ref().map(|node| position(&domains(machine), &node.value));
    [run_file(&id, module.file_size()), device.with_some("node", node)]
}

/// The file of a module in the directory of a run, which is also the id of its backend.
pub fn nvdimm_file(module: &Nvdimm) -> String {
    format!("{}.nvdimm", module.name.value)
}

/// The id of a bridge's generic port: a proximity domain of its own by which the HMAT says how far the bridge is. Linux
/// adds what the devices below say of themselves (drivers/acpi/numa/hmat.c, drivers/cxl/core/cdat.c). These domains come
/// after those of memory, whose numbers Linux' nodes have.
pub(crate) fn generic_port(bridge: &str) -> String {
    format!("kiln.generic-port.{bridge}")
}

/// Caches in front of a node's memory. QEMU wants its latency and bandwidth first, and the levels in order
/// (`parse_numa_hmat_cache` in hw/core/numa.c).
fn caches(number: usize, node: &Node) -> impl Iterator<Item = QemuOption> {
    node.caches.iter().zip(1..).map(move |(cache, level)| {
        let option = QemuOption::kind("-numa", "hmat-cache").with("node-id", number.to_string());
        let option = option.with("size", size(cache.size.value)).with("level", level.to_string());
        let option = option.with("associativity", cache.associativity.name()).with("policy", cache.policy.name());
        option.with("line", cache.line.value.to_string())
    })
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
    Some(position(&domains(machine), name))
}

/// What has a proximity domain, by its number: nodes, then generic ports of bridges.
fn domains(machine: &Machine) -> Vec<&str> {
    let nodes = machine.nodes.iter().map(|node| node.name.as_str());
    nodes.chain(machine.generic_ports().map(|bridge| bridge.name.value.as_str())).collect()
}

fn position(domains: &[&str], name: &str) -> String {
    let found = domains.iter().position(|known| *known == name);
    found.expect("attributes name nodes and bridges of their machine").to_string()
}

/// One value of the HMAT, for reading and writing.
fn in_hmat(domains: &[&str], attribute: &Attribute) -> QemuOption {
    let option = QemuOption::kind("-numa", "hmat-lb").with("initiator", position(domains, &attribute.from.value));
    let option = option.with("target", position(domains, &attribute.to.value)).with("hierarchy", "memory");
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
fn single_node(machine: &Machine, backing: MemoryBacking) -> [QemuOption; 2] {
    let node = QemuOption::kind("-numa", "node").with("nodeid", "0").with("memdev", WHOLE);
    [whole(machine, WHOLE, backing), node]
}

/// The backend of all ordinary memory, where no nodes divide it.
const WHOLE: &str = "kiln.memory";

fn whole(machine: &Machine, id: &str, backing: MemoryBacking) -> QemuOption {
    backend(id, &Memory { size: machine.memory.value, shared: None }, backing)
}

/// The backend that `-machine` must name: where there are no nodes, and memory is not what QEMU makes by itself.
pub(super) fn of_board(machine: &Machine, backing: MemoryBacking) -> Option<&'static str> {
    let named = machine.nodes.is_empty() && machine.cxl.is_none() && backing != MemoryBacking::Anonymous;
    named.then_some(WHOLE)
}

fn node_backend(node: &Node) -> String {
    format!("{}.memory", node.name)
}

/// Every memory that no other machine sees and that ends with the run: the id of its backend, and bytes.
pub fn private(machine: &Machine) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = Vec::new();
    if machine.nodes.is_empty() {
        found.push((WHOLE.to_owned(), machine.memory.value));
    }
    let mut add = |id: String, memory: Option<&Spanned<Memory>>| {
        let private = memory.filter(|memory| memory.value.shared.is_none());
        found.extend(private.map(|memory| (id, memory.value.size)));
    };
    machine.nodes.iter().for_each(|node| add(node_backend(node), node.memory.as_ref()));
    for (_, expander) in machine.cxl.iter().flat_map(|cxl| cxl.expanders()) {
        let name = |part: &str| format!("{}.{part}", expander.name.value);
        add(name("volatile"), expander.volatile.as_ref());
        add(name("dynamic"), expander.dynamic.as_ref().map(|dynamic| &dynamic.memory));
    }
    found
}

/// Memory that nobody else sees, or a file that several machines map. Memory of the host that can run out is taken at the
/// start, where an error can be told; later it would be a SIGBUS.
pub(super) fn backend(id: &str, memory: &Memory, backing: MemoryBacking) -> QemuOption {
    match (&memory.shared, backing) {
        (Some(shared), _) => file(id, memory.size, Text::from(Place::Shared).then(format!("/{}.memory", shared.name))),
        (None, MemoryBacking::Anonymous) => {
            QemuOption::kind("-object", "memory-backend-ram").with("id", id).with("size", size(memory.size))
        }
        (None, MemoryBacking::Shareable) => {
            let option = QemuOption::kind("-object", "memory-backend-memfd").with("id", id);
            option.with("size", size(memory.size)).with("share", "on")
        }
        (None, MemoryBacking::Files) => {
            file(id, memory.size, Text::from(Place::Memory).then(format!("/{id}"))).with("prealloc", "on")
        }
        (None, MemoryBacking::HugePages(page)) => {
            let option =
                QemuOption::kind("-object", "memory-backend-memfd").with("id", id).with("size", size(memory.size));
            option.with("hugetlb", "on").with("hugetlbsize", size(page)).with("share", "on").with("prealloc", "on")
        }
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
    let nodes: Vec<Option<&str>> = machine
        .nodes
        .iter()
        .map(|node| Some(node.name.as_str()))
        .chain(machine.generic_ports().map(|_| None))
        .collect();
    let pairs = (0..nodes.len()).flat_map(|a| (a + 1..nodes.len()).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let between = machine.distances.iter().find(|distance| {
                let ends = (Some(distance.from.value.as_str()), Some(distance.to.value.as_str()));
                ends == (nodes[a], nodes[b]) || ends == (nodes[b], nodes[a])
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
