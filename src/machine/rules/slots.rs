//! Rules about slots for memory, and the persistent modules in them.

use super::expander::label_area;
use super::{Context, spare};
use crate::base::{ByteSize, Diagnostic};
use crate::recipe::machine::memory::Nvdimm;
use crate::recipe::machine::{Chipset, Machine};

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
            let slots = machine.nvdimms.len().clamp(4, 256);
            found.push(mistake.label("needs `memory-slots`").hint(format!("add `memory-slots = {slots}`")));
        }
        (None, Some(slots)) => {
            let mistake = Diagnostic::new(slots.span, "slots for memory need the size that memory may grow to");
            found.push(mistake.label("needs `max-memory`").hint(format!("add `max-memory = {}`", grown(machine))));
        }
        _ => {}
    }
    match &machine.max_memory {
        Some(max) if max.value <= machine.memory.value => {
            let (most, now) = (ByteSize(max.value), ByteSize(machine.memory.value));
            let message = format!("memory that may grow to {most} has {now} already");
            let mistake = Diagnostic::new(max.span, message).label("must be larger than `memory`");
            let mistake = mistake.related(machine.memory.span, "the memory at the start");
            found.push(mistake.hint(format!("write `max-memory = {}`", grown(machine))));
        }
        Some(max) if !max.value.is_multiple_of(GROWTH_UNIT) => {
            let message = format!("{} is not a multiple of 2MiB", ByteSize(max.value));
            let near = spare::within(max.value, GROWTH_UNIT, GROWTH_UNIT, u64::MAX / GROWTH_UNIT * GROWTH_UNIT);
            let mistake = Diagnostic::new(max.span, message).label("must be a multiple of 2MiB");
            found.push(mistake.hint(format!("write `max-memory = {near}`")));
        }
        _ => {}
    }
    found.extend(full(context));
    found
}

/// A size to grow to that has room for all modules, and for as much as there is at the start.
fn grown(machine: &Machine) -> ByteSize {
    let modules = machine.nvdimms.iter().fold(0u64, |sum, module| sum.saturating_add(module.size.value));
    let size = machine.memory.value.saturating_add(modules.max(machine.memory.value));
    spare::within(size, GROWTH_UNIT, GROWTH_UNIT, u64::MAX / GROWTH_UNIT * GROWTH_UNIT)
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
    let stated = [
        machine.max_memory.as_ref().map(|_| "`max-memory`"),
        machine.memory_slots.as_ref().map(|_| "`memory-slots`"),
        machine.nvdimms.first().map(|_| "every `nvdimm`"),
    ];
    let stated: Vec<&str> = stated.into_iter().flatten().collect();
    let hint = format!("remove {}: only machines of amd64 can have slots", stated.join(" and "));
    Some(mistake.related(machine.chipset.span, "the machine type").hint(hint))
}

/// More modules than slots, or than memory may grow by.
fn full(context: &Context) -> Option<Diagnostic> {
    let machine = context.machine;
    let slots = machine.memory_slots.as_ref();
    let surplus = slots.and_then(|slots| machine.nvdimms.get(slots.value as usize).map(|module| (slots, module)));
    if let Some((slots, module)) = surplus {
        let message = format!("{} NVDIMMs do not fit into {} slots", machine.nvdimms.len(), slots.value);
        let mistake = Diagnostic::new(module.span, message).label("no slot left").related(slots.span, "the slots");
        return Some(mistake.hint(match machine.nvdimms.len() {
            count @ ..=256 => format!("write `memory-slots = {count}` in the machine"),
            _ => "remove some: there are at most 256 slots".to_owned(),
        }));
    }
    let max = machine.max_memory.as_ref()?;
    let room = max.value.checked_sub(machine.memory.value).filter(|room| *room > 0)?;
    let mut taken = 0u64;
    for module in &machine.nvdimms {
        taken = taken.saturating_add(module.size.value);
        if taken > room {
            let (taken, room) = (ByteSize(taken), ByteSize(room));
            let message = format!("NVDIMMs of {taken} do not fit into the {room} that memory may grow by");
            let mistake = Diagnostic::new(module.size.span, message).label("no room left");
            let mistake = mistake.related(max.span, "memory may grow to this");
            return Some(mistake.hint(format!("write `max-memory = {}` in the machine", grown(machine))));
        }
    }
    None
}

/// Modules of sizes that Linux cannot use.
pub(super) fn nvdimms(context: &Context) -> Vec<Diagnostic> {
    context.machine.nvdimms.iter().flat_map(sizes).collect()
}

fn sizes(module: &Nvdimm) -> Vec<Diagnostic> {
    let (name, size) = (&module.name.value, module.size.value);
    let mut found = Vec::new();
    if size < MIN_MODULE || !size.is_multiple_of(MODULE_UNIT) {
        let message = format!("NVDIMM `{name}` cannot have {}", ByteSize(size));
        let mistake = Diagnostic::new(module.size.span, message).label("at least 32MiB, in steps of 16MiB");
        let near = spare::within(size, MODULE_UNIT, MIN_MODULE, u64::MAX / MODULE_UNIT * MODULE_UNIT);
        found.push(mistake.hint(format!("write `size = {near}`")));
    }
    found.extend(label_area(&format!("NVDIMM `{name}`"), &module.labels));
    found
}
