//! Where QEMU puts windows in the guest's physical address space, and how much of it a machine uses.
//!
//! Follows QEMU's `hw/i386/pc.c` (`pc_get_cxl_range_start`, `pc_get_cxl_range_end`, `pc_pci_hole64_start`,
//! `pc_max_used_gpa`, `pc_memory_init`) and `hw/i386/pc_q35.c` (`pc_q35_init`): low memory, high memory, the bridges' registers, windows,
//! then a hole of 32 GiB for 64-bit PCI devices, all of it below the CPU's last physical address. On `virt`
//! (`hw/arm/virt.c`, `virt_set_memmap`) only memory must lie there: what is above it and does not fit is left out.

use crate::base::Arch;
use crate::recipe::machine::cxl::Window;
use crate::recipe::machine::memory::MemorySlots;
use crate::recipe::machine::{Chipset, Machine};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// `Q35_PCI_HOST_HOLE64_SIZE_DEFAULT`
const PCI_HOLE: u64 = 32 * GIB;
/// Physical address bits of every x86 CPU under software emulation (`TCG_PHYS_ADDR_BITS`).
const EMULATED_BITS: u32 = 40;
/// Those of `max` on arm64 (`aarch64_max_tcg_initfn` in target/arm/tcg/cpu64.c), and the fewest that another 64-bit CPU has.
const ARM_MAX_BITS: u32 = 52;
const ARM_FEWEST_BITS: u32 = 40;
/// Where memory begins on `virt` (`VIRT_MEM`).
const VIRT_MEMORY: u64 = GIB;

/// Where AMD's HyperTransport range begins (`AMD_HT_START`).
const HYPERTRANSPORT: u64 = 0xfd_0000_0000;
/// Where QEMU puts high memory instead when it would reach into that range (`AMD_ABOVE_1TB_START`).
const ABOVE_HYPERTRANSPORT: u64 = 1 << 40;

/// The first address of each window, in order.
pub fn windows(machine: &Machine) -> Vec<u64> {
    let mut next = first_window(machine, high_memory(machine, 0));
    let windows = machine.cxl.iter().flat_map(|cxl| &cxl.windows);
    windows
        .map(|window| {
            let start = next;
            next = next.saturating_add(window.size.value);
            start
        })
        .collect()
}

/// One past the last address that the machine must have.
pub fn end(machine: &Machine) -> u64 {
    match machine.chipset.value {
        Chipset::Q35 | Chipset::I440fx => end_from(machine, high_memory(machine, 0), 0),
        Chipset::Virt => {
            let end = machine.memory.value.saturating_add(VIRT_MEMORY);
            end.checked_next_multiple_of(GIB).unwrap_or(u64::MAX)
        }
    }
}

/// One past the last address that its CPU has.
pub fn limit(machine: &Machine) -> u64 {
    1u64.checked_shl(bits(machine)).unwrap_or(u64::MAX)
}

/// Whether its windows may have so many bytes more.
pub fn has_room(machine: &Machine, more: u64) -> bool {
    end_from(machine, high_memory(machine, more), more) <= limit(machine)
}

/// By how many bytes memory or windows must shrink for the machine to have addresses for everything.
pub fn excess(machine: &Machine) -> u64 {
    let beyond = end(machine).saturating_sub(limit(machine));
    match machine.chipset.value {
        Chipset::Virt => beyond,
        // Small enough to lie below the HyperTransport range, it need not be moved above that.
        Chipset::Q35 | Chipset::I440fx => beyond.min(end_from(machine, 4 * GIB, 0).saturating_sub(HYPERTRANSPORT)),
    }
}

/// How many bits its CPU has for addresses: on x86 `phys-bits=N` among its flags, else what software emulation has.
pub fn bits(machine: &Machine) -> u32 {
    let mut words = machine.cpu.value.split(',');
    let model = words.next().unwrap_or_default();
    match machine.arch() {
        Arch::Arm64 if model == "max" => ARM_MAX_BITS,
        Arch::Arm64 => ARM_FEWEST_BITS,
        Arch::Amd64 => {
            let given = words.find_map(|flag| flag.strip_prefix("phys-bits="));
            let given = given.and_then(|bits| bits.parse().ok());
            given.filter(|bits| (32..=52).contains(bits)).unwrap_or(EMULATED_BITS)
        }
    }
}

/// Software emulation's CPUs are AMD's, for which QEMU keeps the HyperTransport range free: a machine that would reach
/// it has its high memory, and all that follows, above 1 TiB. (On an Intel host under KVM it stays; such a machine is
/// refused here all the same, for it would not run elsewhere.)
fn high_memory(machine: &Machine, more: u64) -> u64 {
    if end_from(machine, 4 * GIB, more) > HYPERTRANSPORT { ABOVE_HYPERTRANSPORT } else { 4 * GIB }
}

fn end_from(machine: &Machine, high: u64, more: u64) -> u64 {
    let end = |sum: u64, window: &Window| sum.saturating_add(window.size.value);
    let last = match &machine.cxl {
        Some(cxl) => cxl.windows.iter().fold(first_window(machine, high), end),
        None => memory_end(machine, high),
    };
    last.saturating_add(more).checked_next_multiple_of(GIB).unwrap_or(u64::MAX).saturating_add(PCI_HOLE)
}

/// Behind high memory, and what is plugged in, come the bridges' registers, then the windows.
fn first_window(machine: &Machine, high: u64) -> u64 {
    (memory_end(machine, high) + MIB).next_multiple_of(256 * MIB)
}

/// The end of all memory that is not CXL's.
fn memory_end(machine: &Machine, high: u64) -> u64 {
    // pc_q35_init splits at 2 GiB, or at 2.75 GiB when all memory fits below that.
    let below = if machine.memory.value >= 0xb000_0000 { 0x8000_0000 } else { 0xb000_0000 };
    // Larger than any address space is refused by a rule; here it only must not overflow.
    let memory = high.saturating_add(machine.memory.value.saturating_sub(below)).min(1 << 62);
    memory + plugged(machine, memory)
}

/// What follows high memory where memory can be plugged in: it begins at a whole GiB, and each slot may have to be moved
/// up to one (`pc_get_device_memory_range`).
fn plugged(machine: &Machine, memory: u64) -> u64 {
    let Some(MemorySlots { slots, total }) = machine.slots().filter(|slots| slots.total > machine.memory.value) else {
        return 0;
    };
    let room = (total - machine.memory.value).min(1 << 61).saturating_add(GIB * u64::from(slots));
    memory.next_multiple_of(GIB) - memory + room
}
