//! What machines need of the kernel that they boot, as options of its configuration.
//!
//! Input: a compiled kernel and the machines of its recipe. Output: [`MachineNeed`]s, which the step `kernel-check` holds
//! against the finished configuration. An option that the recipe turns off itself is not needed: whoever writes
//! `option DEV_DAX_KMEM = n` wants a machine without it, and whoever writes `require DEV_DAX_KMEM = n` has a kernel without it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::Arch;
use crate::kconfig::OptionRequest;
use crate::recipe::kernel::{BuiltKernel, OptionValue};
use crate::recipe::machine::cxl::{Cxl, Expander};
use crate::recipe::machine::device::DiskBus;
use crate::recipe::machine::{Firmware, Machine};

/// An option without which a machine would not boot, or would lack what the recipe gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineNeed {
    /// The machine.
    pub machine: String,
    /// Without `CONFIG_`.
    pub option: String,
    /// What for, in words that fit after "needs EXT4_FS ".
    pub purpose: String,
}

/// What these machines need, each option once.
pub fn of_machines<'a>(machines: impl Iterator<Item = &'a Machine>, requests: &[OptionRequest]) -> Vec<MachineNeed> {
    let waived =
        |option: &str| requests.iter().any(|request| request.value == OptionValue::No && request.name == option);
    let mut seen = BTreeSet::new();
    let mut needs = Vec::new();
    for machine in machines {
        for (option, purpose) in of_machine(machine) {
            if !waived(option) && seen.insert(option) {
                let (option, purpose) = (option.to_owned(), purpose.replace(CPU, &machine.cpu.value));
                needs.push(MachineNeed { machine: machine.name.clone(), option, purpose });
            }
        }
    }
    needs
}

/// What these machines need of a kernel that a build leaves ready, less what the recipe says that it is without.
pub fn of_ready<'a>(machines: impl Iterator<Item = &'a Machine>, built: &BuiltKernel) -> Vec<MachineNeed> {
    let mut needs = all_of_ready(machines, built);
    needs.retain(|need| built.without(&need.option).is_none());
    needs
}

/// What these machines need of such a kernel: with modules also what loads them.
pub fn all_of_ready<'a>(machines: impl Iterator<Item = &'a Machine>, built: &BuiltKernel) -> Vec<MachineNeed> {
    let machines: Vec<&Machine> = machines.collect();
    let mut needs = of_machines(machines.iter().copied(), &[]);
    if let Some(machine) = machines.first().filter(|_| built.modules.is_some()) {
        let loading = [("BLK_DEV_INITRD", "to read its initramfs"), ("MODULES", "to load its modules")];
        needs.extend(loading.map(|(option, purpose)| {
            let (option, purpose) = (option.to_owned(), purpose.to_owned());
            MachineNeed { machine: machine.name.clone(), option, purpose }
        }));
    }
    needs
}

/// Options that not every Linux has whose machines need them, with what they depend on where they are: a configuration in which
/// all of that is on, and which has no line for the option, is one of a source without it.
const YOUNG: [(&str, &[&str]); 3] = [
    ("CXL_REGION", &["CXL_BUS", "SPARSEMEM"]),
    ("CXL_REGION_INVALIDATION_TEST", &["CXL_REGION"]),
    ("DEV_DAX_CXL", &["CXL_REGION", "DEV_DAX"]),
];

/// What an option that may be missing in a source depends on where it is there.
pub fn young(option: &str) -> Option<&'static [&'static str]> {
    YOUNG.iter().find(|(young, _)| *young == option).map(|(_, dependencies)| *dependencies)
}

type Needs = Vec<(&'static str, &'static str)>;

fn of_machine(machine: &Machine) -> Needs {
    let mut needs = to_boot(machine);
    if !machine.forwards.is_empty() || !machine.attachments.is_empty() {
        needs.push(("VIRTIO_NET", "for its network"));
    }
    if !machine.nodes.is_empty() {
        needs.push(("NUMA", "for its NUMA nodes"));
    }
    if machine.disks.iter().any(|disk| disk.bus == DiskBus::Nvme) {
        needs.push(("BLK_DEV_NVME", "for its NVMe disks"));
    }
    if !machine.attributes.is_empty() {
        needs.push(("ACPI_HMAT", "for the latencies and bandwidths of its nodes"));
    }
    if !machine.nvdimms.is_empty() {
        needs.extend([("ACPI_NFIT", "to find its NVDIMMs"), ("BLK_DEV_PMEM", "for its NVDIMMs")]);
    }
    if machine.max_memory.is_some() {
        needs.push(("ACPI_HOTPLUG_MEMORY", "for memory that is plugged into its slots"));
    }
    if let Some(cxl) = &machine.cxl {
        needs.extend(of_cxl(cxl, machine));
    }
    needs
}

/// Programs, the disk, its file system, devices and the console.
fn to_boot(machine: &Machine) -> Needs {
    let console = match machine.arch() {
        Arch::Amd64 => "SERIAL_8250_CONSOLE",
        Arch::Arm64 => "SERIAL_AMBA_PL011_CONSOLE",
    };
    let mut needs = vec![
        ("BINFMT_ELF", "to start programs"),
        ("VIRTIO_PCI", "for its disk"),
        ("VIRTIO_BLK", "for its disk"),
        ("EXT4_FS", "for the file system of its disk"),
        ("DEVTMPFS", "for the devices in /dev"),
        (console, "for its console"),
    ];
    if machine.firmware.value != Firmware::Direct {
        needs.push(("EFI_PARTITION", "for the partitions of its disk"));
    }
    if machine.firmware.value == Firmware::Uefi {
        needs.push(("EFI_STUB", "to be started by UEFI"));
    }
    needs
}

fn of_cxl(cxl: &Cxl, machine: &Machine) -> Needs {
    let has = |part: fn(&Expander) -> bool| cxl.expanders().any(|(_, expander)| part(expander));
    let (volatile, persistent) = (has(|e| e.volatile.is_some()), has(|e| e.persistent.is_some()));
    let mut needs = vec![("CXL_ACPI", "to find its CXL bridges"), ("CXL_PCI", "to find its CXL devices")];
    if !volatile && !persistent {
        return needs;
    }
    needs.extend([("CXL_MEM", "for its CXL memory"), ("CXL_REGION", "for regions of its CXL memory")]);
    if volatile {
        needs.push(("DEV_DAX_CXL", "for the memory of its volatile regions"));
        needs.push(("DEV_DAX_KMEM", "to use its volatile CXL memory as a NUMA node"));
    }
    if persistent {
        needs.push(("CXL_PMEM", "for its persistent CXL memory"));
    }
    if !machine.hides_hypervisor() {
        needs.push(INVALIDATION);
    }
    needs
}

/// Where a purpose names the CPU of its machine.
const CPU: &str = "@CPU@";

/// See `rules::recipe` of the layer `machine`, which says the same of kernels that are not compiled.
const INVALIDATION: (&str, &str) = (
    "CXL_REGION_INVALIDATION_TEST",
    "to enable CXL memory in a guest (`Failed to synchronize CPU cache state`), or `cpu = \"@CPU@,-hypervisor\"`",
);
