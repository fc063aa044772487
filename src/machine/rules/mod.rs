//! What must hold of a machine before anything is built: every rule with its source.
//!
//! Input: a checked machine. Output: [`Findings`] at the recipe's words. Two kinds of rules: what QEMU refuses, said
//! early and with the line; and what QEMU takes although the guest then fails in silence. What cannot be written in the
//! language (an expander off a port, a gap in the window numbers, a backend used twice by one device) needs no rule:
//! the argv is made so that it never happens.

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
mod slots;
mod window;

use std::collections::BTreeMap;

pub use recipe::{TEST_WORDS, check_all, check_among, longest_kernel_line};

use super::finding::Findings;
use super::topology::Topology;
use crate::base::{Diagnostic, Span};
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
    /// Where the reason can be looked up.
    pub source: &'static str,
    /// Whether it stops a build.
    pub fatal: bool,
    check: fn(&Context) -> Vec<Diagnostic>,
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
    Rule { name, source, fatal: true, check }
}

const fn doubt(name: &'static str, source: &'static str, check: fn(&Context) -> Vec<Diagnostic>) -> Rule {
    Rule { name, source, fatal: false, check }
}

/// Every rule about one machine.
pub const RULES: &[Rule] = &[
    rule(
        "chipset",
        "QEMU hw/i386/pc_q35.c; `cxl=on` on `-M pc` is taken and does nothing; Linux drivers/cxl/acpi.c",
        place::chipset,
    ),
    rule(
        "cpu-flags",
        "QEMU hw/core/cpu-common.c (cpu_common_parse_features); target/i386/cpu.c",
        architecture::cpu_flags,
    ),
    rule("names", "QEMU util/id.c: ids are unique", place::names),
    rule(
        "reserved-name",
        "QEMU qom/object.c (object_property_try_add): a bus is a property of its bridge, a device one of its container",
        place::reserved,
    ),
    rule("bridges", "kiln: slots 15 to 30 of the root bus", place::bridges),
    rule("bus-number", "QEMU hw/pci-bridge/pci_expander_bridge.c (pxb_register_bus)", place::bus_number),
    rule("bus-range", "QEMU takes it; the guest finds no devices: hw/i386/acpi-build.c", place::bus_range),
    rule("port-number", "QEMU hw/pci/pcie_port.c (pcie_chassis_add_slot)", place::port_number),
    rule("port-shared", "QEMU hw/pci/pci.c: a port's bus has one device", place::port_shared),
    rule("switch-depth", "QEMU hw/cxl/cxl-host.c (cxl_cfmws_find_device): one level", place::switch_depth),
    rule("window-size", "QEMU hw/cxl/cxl-host.c (cxl_fixed_memory_window_config)", window::size),
    rule(
        "window-granularity",
        "QEMU hw/cxl/cxl-component-utils.c (cxl_interleave_granularity_enc)",
        window::granularity,
    ),
    rule("window-ways", "QEMU hw/cxl/cxl-component-utils.c (cxl_interleave_ways_enc)", window::ways),
    rule("window-target", "QEMU hw/cxl/cxl-host.c (cxl_fmws_link_targets)", window::target),
    rule(
        "window-target-twice",
        "QEMU takes it; Linux drivers/cxl/acpi.c then finds half of the targets",
        window::twice,
    ),
    rule(
        "address-space",
        "QEMU hw/i386/pc.c (pc_max_used_gpa), hw/arm/virt.c (virt_set_memmap)",
        window::address_space,
    ),
    doubt("window-interleaved", "QEMU hw/cxl/cxl-host.c; measured on 11.1.3", window::interleaved),
    rule(
        "memory-size",
        "CXL capacities count in 256 MiB; QEMU hw/mem/cxl_type3.c (CXL_CAPACITY_MULTIPLIER)",
        expander::size,
    ),
    rule("no-memory", "QEMU hw/mem/cxl_type3.c (cxl_setup_memory)", expander::no_memory),
    rule("label-area", "Linux drivers/nvdimm/label.c: two index blocks and labels", expander::labels),
    doubt(
        "unused-labels",
        "QEMU takes it; Linux drivers/cxl/pmem.c reads labels of persistent memory",
        expander::unlabelled,
    ),
    rule(
        "serial-zero",
        "Linux drivers/cxl/core/pmem.c: a persistent device is known by its serial number",
        expander::serial_zero,
    ),
    rule("serial-twice", "Linux drivers/cxl/core/region.c tells devices apart by it", expander::serial_twice),
    rule("dynamic-regions", "QEMU hw/mem/cxl_type3.c (cxl_create_dc_regions)", expander::dynamic),
    rule("device-fits", "QEMU takes it; Linux drivers/cxl/core/region.c: `no free capacity`", capacity::device),
    doubt(
        "devices-fit",
        "Linux drivers/cxl/core/region.c: `set_size failed` once the window is full; measured on 6.12",
        capacity::sum,
    ),
    rule(
        "common-kind",
        "Linux drivers/cxl/core/region.c (cxl_region_attach): one kind in a region",
        interleave::useless,
    ),
    doubt(
        "equal-devices",
        "Linux drivers/cxl/core/region.c (cxl_region_attach); ndctl cxl/region.c (collect_minsize)",
        interleave::unequal,
    ),
    doubt("no-window", "Linux drivers/cxl/core/region.c: no root decoder reaches it", capacity::unreachable),
    rule("memory-total", "QEMU hw/core/numa.c (numa_complete_configuration)", memory::total),
    rule("memory-granule", "QEMU softmmu rounds silently; kiln wants what is written", memory::granule),
    rule("node-count", "QEMU hw/core/numa.c (parse_numa_node)", |context| {
        memory::domains(context).into_iter().collect()
    }),
    rule("node-cpus", "QEMU hw/core/numa.c, hw/core/machine.c (machine_set_cpu_numa_node)", cpus::cpus),
    rule("node-empty", "Linux arch/x86/mm/numa.c drops a node with neither", memory::empty),
    rule("distance", "ACPI 6.5, 5.2.17: 10 is local and nothing else is", memory::distance),
    rule("memory-attributes", "QEMU hw/core/numa.c (parse_numa_hmat_lb); ACPI 6.5, 5.2.28.4", attribute::attributes),
    rule("memory-cache", "QEMU hw/core/numa.c (parse_numa_hmat_cache); ACPI 6.5, 5.2.28.5", cache::caches),
    rule("cdat-range", "CDAT 1.04, 3.1: a DSMAS entry describes memory of the device", cache::beyond),
    doubt("cdat-coverage", "Linux drivers/cxl/core/cdat.c (cxl_memdev_set_qos_class)", cache::uncovered),
    rule("memory-slots", "QEMU hw/core/machine.c (machine_set_memory), hw/mem/memory-device.c", slots::slots),
    rule("nvdimm", "QEMU hw/mem/nvdimm.c; Linux drivers/nvdimm/namespace_devs.c, label.c", slots::nvdimms),
    rule("shared-twice", "QEMU backends/hostmem.c: a backend has one user", memory::shared_twice),
    rule("disks", "kiln: slots 4 to 9 of the root bus; virtio 1.2, 5.2.6: a serial number has 20 bytes", device::disks),
    rule("forwards", "QEMU net/slirp.c (slirp_hostfwd)", device::forwards),
    doubt("privileged-port", "ip(7): ports below 1024 need a privilege", device::privileged),
    rule("networks", "kiln: slots 10 to 13 of the root bus; RFC 1123, 2.1", device::networks),
    rule("firmware", "kiln: what boots a disk comes out of the lock, like everything else", firmware::packages),
    rule("firmware-built", "kiln: what a recipe states is done or rejected", firmware::built),
    rule("firmware-chipset", "Debian's ovmf is built for q35 (edk2 OvmfPkg); SeaBIOS is for x86", firmware::chipset),
    rule("qemu-args", "kiln: see `SECURITY.md`", arguments::options),
    rule("firmware-words", "GRUB grub-core/lib/cmdline.c", firmware::words),
];

/// What one rule says.
pub struct RuleVerdict {
    pub rule: &'static Rule,
    /// Its words, the source included.
    pub diagnostic: Diagnostic,
}

/// What every rule says of one machine.
pub fn judge(machine: &Machine) -> Vec<RuleVerdict> {
    let context = Context { machine, cxl: machine.cxl.as_ref().map(|cxl| (cxl, Topology::of(cxl))) };
    let verdicts = RULES.iter().flat_map(|rule| {
        let said = (rule.check)(&context).into_iter();
        said.map(move |diagnostic| RuleVerdict { rule, diagnostic: sourced(diagnostic, rule.source) })
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

fn sourced(mut diagnostic: Diagnostic, source: &str) -> Diagnostic {
    diagnostic.hint = Some(match diagnostic.hint {
        Some(hint) => format!("{hint} ({source})"),
        None => format!("see {source}"),
    });
    diagnostic
}

/// Reports everything that has the same key as something before it; `what` says what is given twice.
fn repeated<K: Ord>(items: impl IntoIterator<Item = (K, Span)>, what: impl Fn(&K) -> String) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<K, Span> = BTreeMap::new();
    let mut found = Vec::new();
    for (key, span) in items {
        match seen.get(&key) {
            Some(first) => {
                found.push(Diagnostic::new(span, what(&key)).label("again here").related(*first, "first here"))
            }
            None => drop(seen.insert(key, span)),
        }
    }
    found
}
