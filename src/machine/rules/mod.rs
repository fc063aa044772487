//! What must hold of a machine before anything is built: every rule with its source.
//!
//! Input: a checked machine. Output: [`Findings`] at the recipe's words. Two kinds of rules: what QEMU refuses, said
//! early and with the line; and what QEMU takes although the guest then fails in silence. What cannot be written in the
//! language (an expander off a port, a gap in the window numbers, a backend used twice by one device) needs no rule:
//! the argv is made so that it never happens.
//!
//! A hint says what to write, and what it says is true of this machine: with it, the report goes and no other comes. Where
//! the reason can be looked up is a note.

mod architecture;
mod arguments;
mod attribute;
mod cache;
mod capacity;
mod cpus;
mod device;
mod expander;
mod firmware;
mod interleave;
mod memory;
mod place;
mod recipe;
mod region;
mod slots;
mod spare;
mod window;

use std::collections::BTreeMap;

pub use recipe::{TEST_WORDS, check_all, check_among, longest_kernel_line};

use super::finding::Findings;
use super::topology::Topology;
use crate::base::{Diagnostic, Span};
use crate::recipe::PartlyRead;
use crate::recipe::machine::Machine;
use crate::recipe::machine::cxl::Cxl;

/// Disks besides the image that fit on the root bus.
pub const DISKS: usize = 6;
/// Private networks that fit on the root bus.
pub const NETWORKS: usize = 4;

/// One rule.
pub struct Rule {
    /// A short name, which is also the stem of its fixtures.
    pub name: &'static str,
    /// The reason, or where it can be looked up: a note of every report.
    pub source: &'static str,
    /// Whether it stops a build.
    pub fatal: bool,
    /// Words of a machine that it needs to know entirely: without a statement of these, it could report what is not so.
    pub needs: &'static [&'static str],
    check: fn(&Context) -> Vec<Diagnostic>,
}

impl Rule {
    const fn needs(self, needs: &'static [&'static str]) -> Rule {
        Rule { needs, ..self }
    }
}

/// What a rule looks at.
pub(super) struct Context<'a> {
    machine: &'a Machine,
    cxl: Option<(&'a Cxl, Topology<'a>)>,
}

impl Context<'_> {
    fn cxl(&self) -> Option<&Cxl> {
        self.cxl.as_ref().map(|(cxl, _)| *cxl)
    }

    fn topology(&self) -> Option<&Topology<'_>> {
        self.cxl.as_ref().map(|(_, topology)| topology)
    }
}

const fn rule(name: &'static str, source: &'static str, check: fn(&Context) -> Vec<Diagnostic>) -> Rule {
    Rule { name, source, fatal: true, needs: &[], check }
}

const fn doubt(name: &'static str, source: &'static str, check: fn(&Context) -> Vec<Diagnostic>) -> Rule {
    Rule { name, source, fatal: false, needs: &[], check }
}

/// Every rule about one machine.
pub const RULES: &[Rule] = &[
    rule(
        "chipset",
        "QEMU ignores `cxl=on` on `-M pc` (hw/i386/pc_q35.c), and Linux finds CXL through ACPI (drivers/cxl/acpi.c)",
        place::chipset,
    )
    .needs(&["cxl", "type"]),
    rule(
        "cpu-flags",
        "QEMU hw/core/cpu-common.c (cpu_common_parse_features); target/i386/cpu.c",
        architecture::cpu_flags,
    )
    .needs(&["architecture", "cpu"]),
    rule("names", "QEMU util/id.c: ids are unique", place::names),
    rule(
        "reserved-name",
        "QEMU qom/object.c (object_property_try_add): a bus is a property of its bridge, a device one of its container",
        place::reserved,
    ),
    rule("bridges", "host bridges have slots 15 to 30 of the root bus", place::bridges),
    rule("bus-number", "QEMU hw/pci-bridge/pci_expander_bridge.c (pxb_register_bus)", place::bus_number),
    rule("bus-range", "QEMU accepts it, and the guest finds no devices (hw/i386/acpi-build.c)", place::bus_range)
        .needs(&["cxl"]),
    rule("port-number", "QEMU hw/pci/pcie_port.c (pcie_chassis_add_slot)", place::port_number).needs(&["cxl"]),
    rule("port-shared", "QEMU hw/pci/pci.c: a port's bus has one device", place::port_shared),
    rule(
        "switch-depth",
        "QEMU decodes one level of switches: hw/cxl/cxl-host.c (cxl_cfmws_find_device)",
        place::switch_depth,
    ),
    rule("window-size", "QEMU hw/cxl/cxl-host.c (cxl_fixed_memory_window_config)", window::size).needs(&["cxl"]),
    rule(
        "window-granularity",
        "QEMU hw/cxl/cxl-component-utils.c (cxl_interleave_granularity_enc)",
        window::granularity,
    ),
    rule("window-ways", "QEMU hw/cxl/cxl-component-utils.c (cxl_interleave_ways_enc)", window::ways).needs(&["cxl"]),
    rule("window-target", "QEMU hw/cxl/cxl-host.c (cxl_fmws_link_targets)", window::target).needs(&["cxl"]),
    rule(
        "window-target-twice",
        "QEMU accepts it, and Linux does not find all targets (drivers/cxl/acpi.c)",
        window::twice,
    ),
    rule(
        "address-space",
        "QEMU hw/i386/pc.c (pc_max_used_gpa), hw/arm/virt.c (virt_set_memmap)",
        window::address_space,
    )
    .needs(&["architecture", "cpu", "cxl", "max-memory", "memory", "memory-slots", "node", "type"]),
    doubt("window-interleaved", "QEMU hw/cxl/cxl-host.c; measured on 11.1.3", window::interleaved),
    rule(
        "memory-size",
        "CXL capacities count in 256 MiB; QEMU hw/mem/cxl_type3.c (CXL_CAPACITY_MULTIPLIER)",
        expander::size,
    ),
    rule("no-memory", "QEMU hw/mem/cxl_type3.c (cxl_setup_memory)", expander::no_memory).needs(&["cxl"]),
    rule("label-area", "Linux drivers/nvdimm/label.c: two index blocks and labels", expander::labels),
    doubt(
        "unused-labels",
        "QEMU accepts it; Linux reads labels of persistent memory only (drivers/cxl/pmem.c)",
        expander::unlabelled,
    ),
    rule(
        "serial-zero",
        "Linux drivers/cxl/core/pmem.c: a persistent device is known by its serial number",
        expander::serial_zero,
    ),
    rule(
        "serial-twice",
        "Linux tells devices apart by their serial numbers (drivers/cxl/core/region.c)",
        expander::serial_twice,
    )
    .needs(&["cxl"]),
    rule("dynamic-regions", "QEMU hw/mem/cxl_type3.c (cxl_create_dc_regions)", expander::dynamic),
    doubt(
        "device-fits",
        "Linux drivers/cxl/core/region.c: a region ends where its window does; measured on 6.12",
        capacity::device,
    ),
    doubt(
        "devices-fit",
        "Linux drivers/cxl/core/region.c: `set_size failed` once the window is full; measured on 6.12",
        capacity::sum,
    ),
    rule(
        "common-kind",
        "Linux makes a region of one kind of memory (cxl_region_attach in drivers/cxl/core/region.c)",
        interleave::useless,
    )
    .needs(&["cxl"]),
    doubt(
        "equal-devices",
        "Linux drivers/cxl/core/region.c (cxl_region_attach); ndctl cxl/region.c (collect_minsize)",
        interleave::unequal,
    ),
    doubt(
        "no-window",
        "Linux makes regions of what a window leads to (drivers/cxl/core/region.c)",
        capacity::unreachable,
    ),
    rule("memory-total", "QEMU hw/core/numa.c (numa_complete_configuration)", memory::total).needs(&["memory", "node"]),
    rule("memory-granule", "QEMU would round the size without a word", memory::granule).needs(&["memory", "node"]),
    rule("node-count", "QEMU hw/core/numa.c (parse_numa_node)", |context| {
        memory::domains(context).into_iter().collect()
    }),
    rule("node-cpus", "QEMU hw/core/numa.c, hw/core/machine.c (machine_set_cpu_numa_node)", cpus::cpus)
        .needs(&["cpus", "node"]),
    rule("node-empty", "Linux leaves out a node with neither (arch/x86/mm/numa.c)", memory::empty)
        .needs(&["cpus", "memory", "node"]),
    rule(
        "distance",
        "ACPI 6.5, 5.2.17: there is one distance of two nodes, and only that of a node to itself is 10",
        memory::distance,
    ),
    rule("memory-attributes", "QEMU hw/core/numa.c (parse_numa_hmat_lb); ACPI 6.5, 5.2.28.4", attribute::attributes)
        .needs(&["bandwidth", "cxl", "latency", "node", "type"]),
    rule("memory-cache", "QEMU hw/core/numa.c (parse_numa_hmat_cache); ACPI 6.5, 5.2.28.5", cache::caches).needs(&[
        "bandwidth",
        "latency",
        "node",
    ]),
    rule("cdat-range", "CDAT 1.04, 3.1: a DSMAS entry describes memory of the device", cache::beyond).needs(&["cxl"]),
    doubt("cdat-coverage", "Linux drivers/cxl/core/cdat.c (cxl_memdev_set_qos_class)", cache::uncovered),
    rule("memory-slots", "QEMU hw/core/machine.c (machine_set_memory), hw/mem/memory-device.c", slots::slots).needs(&[
        "max-memory",
        "memory",
        "memory-slots",
        "node",
        "nvdimm",
        "type",
    ]),
    rule("nvdimm", "QEMU hw/mem/nvdimm.c; Linux drivers/nvdimm/namespace_devs.c, label.c", slots::nvdimms),
    rule("shared-twice", "a backend of QEMU has one user (backends/hostmem.c)", memory::shared_twice),
    rule(
        "disks",
        "disks have slots 4 to 9 of the root bus; virtio 1.2, 5.2.6: a serial number has 20 bytes",
        device::disks,
    ),
    rule("forwards", "QEMU net/slirp.c (slirp_hostfwd)", device::forwards).needs(&["user-network"]),
    doubt("privileged-port", "ip(7): ports below 1024 need a privilege", device::privileged),
    rule(
        "networks",
        "networks have slots 10 to 13 of the root bus; RFC 1123, 2.1 says what a host name is",
        device::networks,
    ),
    rule("firmware", "what boots a disk comes out of the lock, like everything else", firmware::packages)
        .needs(&["boot", "firmware", "uefi"]),
    rule("firmware-built", "what a recipe states is done or rejected", firmware::built).needs(&["firmware"]),
    rule("firmware-chipset", "Debian's ovmf is built for q35 (edk2 OvmfPkg); SeaBIOS is for x86", firmware::chipset)
        .needs(&["architecture", "firmware", "type"]),
    rule(
        "qemu-args",
        "a recipe may be anybody's, so its options name nothing of the host; see SECURITY.md",
        arguments::options,
    )
    .needs(&["qemu-args"]),
    rule("firmware-words", "GRUB grub-core/lib/cmdline.c", firmware::words).needs(&["firmware"]),
];

/// What one rule says.
pub struct RuleVerdict {
    pub rule: &'static Rule,
    /// Its words, with the source as a note.
    pub diagnostic: Diagnostic,
}

/// What every rule says of one machine.
pub fn judge(machine: &Machine) -> Vec<RuleVerdict> {
    judge_by(machine, |_| true)
}

/// Mistakes in a machine of which some statements could not be read: those that are there whatever they were to say.
pub fn check_partly(partly: &PartlyRead) -> Vec<Diagnostic> {
    let known = |rule: &Rule| rule.fatal && !rule.needs.iter().any(|word| partly.unread.contains(*word));
    judge_by(&partly.machine, known).into_iter().map(|verdict| verdict.diagnostic).collect()
}

fn judge_by(machine: &Machine, asked: impl Fn(&Rule) -> bool) -> Vec<RuleVerdict> {
    let context = Context { machine, cxl: machine.cxl.as_ref().map(|cxl| (cxl, Topology::of(cxl))) };
    let verdicts = RULES.iter().filter(|rule| asked(rule)).flat_map(|rule| {
        let said = (rule.check)(&context).into_iter();
        said.map(move |diagnostic| RuleVerdict { rule, diagnostic: diagnostic.note(rule.source) })
    });
    verdicts.collect()
}

/// All mistakes and doubts about one machine.
pub fn check(machine: &Machine) -> Findings {
    let mut findings = Findings::default();
    for RuleVerdict { rule, diagnostic } in judge(machine) {
        if rule.fatal { findings.error(diagnostic) } else { findings.warning(diagnostic) }
    }
    findings
}

/// What to do about a statement that is there twice.
const KEEP_ONE: &str = "remove one of the two";

/// Reports everything that has the same key as something before it; `what` says what is given twice, and what to do about it.
fn repeated<K: Ord>(
    items: impl IntoIterator<Item = (K, Span)>,
    mut what: impl FnMut(&K) -> (String, String),
) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<K, Span> = BTreeMap::new();
    let mut found = Vec::new();
    for (key, span) in items {
        match seen.get(&key) {
            Some(first) => {
                let (message, hint) = what(&key);
                let mistake = Diagnostic::new(span, message).label("again here").related(*first, "first here");
                found.push(mistake.hint(hint));
            }
            None => drop(seen.insert(key, span)),
        }
    }
    found
}
