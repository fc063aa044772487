//! Rules about slots for memory, and the persistent modules in them.

use super::Context;
use super::expander::is_label_area;
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::Chipset;
use crate::recipe::machine::memory::Nvdimm;

/// What memory grows by: less than a huge page is of no use.
const GROWTH_UNIT: u64 = 2 << 20;
/// The alignment of regions of persistent memory in Linux; measured on 6.12 as `align` of `ndctl list -R`.
const MODULE_UNIT: u64 = 16 << 20;
/// The smallest namespace of Linux (`ND_MIN_NAMESPACE_SIZE`), and as much for its own records.
const MIN_MODULE: u64 = 32 << 20;

/// Slots and the memory in them that do not go together.
pub(super) fn slots(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let mut found = Vec::new();
    found.extend(unseen(context));
    match (&machine.max_memory, &machine.memory_slots) {
        (Some(max), None) => {
            let mistake = Diagnostic::new(max.span, "memory cannot grow without slots that it is plugged into");
            found.push(mistake.label("needs `memory-slots`").hint("add `memory-slots = 4`"));
        }
        (None, Some(slots)) => {
            let mistake = Diagnostic::new(slots.span, "slots for memory need the size that memory may grow to");
            let example = ByteSize(machine.memory.value.saturating_mul(2));
            found.push(mistake.label("needs `max-memory`").hint(format!("add `max-memory = {example}`")));
        }
        (Some(max), Some(_)) if max.value <= machine.memory.value => {
            let (most, now) = (ByteSize(max.value), ByteSize(machine.memory.value));
            let message = format!("memory that may grow to {most} has {now} already");
            let mistake = Diagnostic::new(max.span, message).label("must be larger than `memory`");
            found.push(mistake.related(machine.memory.span, "the memory at the start"));
        }
        (Some(max), Some(_)) if max.value % GROWTH_UNIT != 0 => {
            let message = format!("{} is not a multiple of 2MiB", ByteSize(max.value));
            found.push(Diagnostic::new(max.span, message).label("must be a multiple of 2MiB"));
        }
        _ => {}
    }
    found.extend(full(context));
    found
}

/// A kernel that QEMU loads on `virt` gets a device tree, which has no slots.
fn unseen(context: &Context) -> Option<Diagnostic> {
    let machine = context.machine;
    let max = machine.max_memory.as_ref().map(|max| max.span);
    let slots = machine.memory_slots.as_ref().map(|slots| slots.span);
    let span = max.or(slots).or(machine.nvdimms.first().map(|module| module.span))?;
    if machine.chipset.value != Chipset::Virt {
        return None;
    }
    let message = "slots for memory are found through ACPI, which a kernel on `virt` has from UEFI only";
    let mistake = Diagnostic::new(span, message).label("not seen by the guest");
    Some(mistake.related(machine.chipset.span, "the machine type").hint("write the machine for amd64"))
}

/// More modules than slots, or than memory may grow by.
fn full(context: &Context) -> Option<Diagnostic> {
    let machine = context.machine;
    let slots = machine.memory_slots.as_ref();
    let surplus = slots.and_then(|slots| machine.nvdimms.get(slots.value as usize).map(|module| (slots, module)));
    if let Some((slots, module)) = surplus {
        let message = format!("{} NVDIMMs do not fit into {} slots", machine.nvdimms.len(), slots.value);
        return Some(Diagnostic::new(module.span, message).label("no slot left").related(slots.span, "the slots"));
    }
    let max = machine.max_memory.as_ref()?;
    let room = max.value.checked_sub(machine.memory.value)?;
    let mut taken = 0u64;
    for module in &machine.nvdimms {
        taken = taken.saturating_add(module.size.value);
        if taken > room {
            let (taken, room) = (ByteSize(taken), ByteSize(room));
            let message = format!("NVDIMMs of {taken} do not fit into the {room} that memory may grow by");
            let mistake = Diagnostic::new(module.size.span, message).label("no room left");
            return Some(mistake.related(max.span, "memory may grow to this"));
        }
    }
    None
}

/// Modules of sizes that Linux cannot use.
pub(super) fn nvdimms(context: &Context) -> Vec<Diagnostic> {
    context.machine.nvdimms.iter().flat_map(sizes).collect()
}

fn sizes(module: &Nvdimm) -> Vec<Diagnostic> {
    let (name, size, labels) = (&module.name.value, module.size.value, module.labels.value);
    let mut found = Vec::new();
    if size < MIN_MODULE || !size.is_multiple_of(MODULE_UNIT) {
        let message = format!("NVDIMM `{name}` cannot have {}", ByteSize(size));
        found.push(Diagnostic::new(module.size.span, message).label("at least 32MiB, in steps of 16MiB"));
    }
    if !is_label_area(labels) {
        let message = format!("the label area of NVDIMM `{name}` has an invalid size of {}", ByteSize(labels));
        let mistake = Diagnostic::new(module.labels.span, message).label("128KiB to 2MiB, in steps of 4KiB");
        found.push(mistake.hint("write `128KiB`"));
    }
    found
}
