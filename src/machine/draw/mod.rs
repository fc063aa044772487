//! A machine as a picture: a tree for the terminal, an SVG for documents.
//!
//! Input: machines that passed the rules. Output: text. Both show bridges, ports, switches, devices with sizes and
//! serial numbers, and windows with their targets, under the numbers that the argv uses.

mod canvas;
mod device;
mod panel;
mod svg;
mod tree;

pub use svg::svg;
pub use tree::tree;

use super::topology::{BridgeAt, ExpanderAt};
use crate::base::{ByteSize, counted};
use crate::recipe::machine::Machine;
use crate::recipe::machine::memory::MemorySlots;

/// `4 CPUs, 4GiB`, and what is notable besides.
fn summary(machine: &Machine) -> String {
    let cpus = machine.cpus.value;
    let mut parts = vec![counted(cpus, "CPU")];
    parts.push(format!("{} memory", ByteSize(machine.memory.value)));
    if let (Some(_), Some(MemorySlots { slots, total })) = (&machine.max_memory, machine.slots()) {
        parts.push(format!("up to {} in {}", ByteSize(total), counted(slots, "slot")));
    }
    let modules = machine.nvdimms.iter();
    parts.extend(modules.map(|module| format!("nvdimm {} {}", module.name.value, ByteSize(module.size.value))));
    parts.extend(machine.disks.iter().map(|disk| format!("disk {} {}", disk.name.value, ByteSize(disk.size.value))));
    parts.extend(machine.forwards.iter().map(|f| format!("port {} on {}", f.guest.value, f.host.value)));
    parts.extend(machine.attachments.iter().map(|attachment| format!("network {}", attachment.network.name)));
    parts.join(", ")
}

/// Whether the HMAT says how far a bridge is.
fn is_generic_port(machine: &Machine, at: &BridgeAt) -> bool {
    machine.generic_ports().any(|bridge| bridge.name.value == at.bridge.name.value)
}

/// One kind of memory of a device.
struct Part {
    size: ByteSize,
    kind: &'static str,
    shared: Option<String>,
}

impl Part {
    /// `1GiB volatile`, `3GiB volatile, shared as pool`
    fn words(&self) -> String {
        let shared = self.shared.as_ref().map(|name| format!(", shared as {name}")).unwrap_or_default();
        format!("{} {}{shared}", self.size, self.kind)
    }
}

fn parts(at: &ExpanderAt) -> Vec<Part> {
    let expander = at.expander;
    let dynamic = expander.dynamic.as_ref().map(|dynamic| &dynamic.memory);
    let kinds =
        [("volatile", expander.volatile.as_ref()), ("persistent", expander.persistent.as_ref()), ("dynamic", dynamic)];
    let part =
        |(kind, memory): (&'static str, Option<&crate::base::Spanned<crate::recipe::machine::memory::Memory>>)| {
            let memory = &memory?.value;
            Some(Part {
                size: ByteSize(memory.size),
                kind,
                shared: memory.shared.as_ref().map(|shared| shared.name.clone()),
            })
        };
    kinds.into_iter().filter_map(part).collect()
}
