//! Where QEMU puts windows in the guest's physical address space, and how much of it a machine uses.
//!
//! Follows QEMU's `hw/i386/pc.c` (`pc_get_cxl_range_start`, `pc_get_cxl_range_end`, `pc_pci_hole64_start`,
//! `pc_max_used_gpa`) and `hw/i386/pc_q35.c` (`pc_q35_init`): low memory, high memory, the bridges' registers, windows,
//! then a hole of 32 GiB for 64-bit PCI devices, all of it below the CPU's last physical address.

use crate::recipe::machine::Machine;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// `Q35_PCI_HOST_HOLE64_SIZE_DEFAULT`
const PCI_HOLE: u64 = 32 * GIB;
/// Physical address bits of every CPU under software emulation (`TCG_PHYS_ADDR_BITS`).
pub const EMULATED_BITS: u32 = 40;

/// The first address of each window, in order.
pub fn windows(machine: &Machine) -> Vec<u64> {
    let mut next = registers(machine).saturating_add(MIB).next_multiple_of(256 * MIB);
    let windows = machine.cxl.iter().flat_map(|cxl| &cxl.windows);
    windows
        .map(|window| {
            let start = next;
            next = next.saturating_add(window.size.value);
            start
        })
        .collect()
}

/// One past the last address that the machine uses.
pub fn end(machine: &Machine) -> u64 {
    let windows = machine.cxl.iter().flat_map(|cxl| &cxl.windows);
    let first = registers(machine).saturating_add(MIB).next_multiple_of(256 * MIB);
    let last = windows.fold(first, |sum: u64, window| sum.saturating_add(window.size.value));
    last.checked_next_multiple_of(GIB).unwrap_or(u64::MAX).saturating_add(PCI_HOLE)
}

/// Where the bridges' registers lie: behind high memory.
fn registers(machine: &Machine) -> u64 {
    // pc_q35_init splits at 2 GiB, or at 2.75 GiB when all memory fits below that.
    let below = if machine.memory.value >= 0xb000_0000 { 0x8000_0000 } else { 0xb000_0000 };
    // Larger than any address space is refused by a rule; here it only must not overflow.
    (4 * GIB).saturating_add(machine.memory.value.saturating_sub(below)).min(1 << 62)
}
