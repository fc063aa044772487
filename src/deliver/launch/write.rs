//! From a machine that passed the rules to the words of `launch.json`.

use super::wire;
use crate::base::{Spanned, base64};
use crate::machine::Description;
use crate::recipe::machine::cxl::{Bridge, Cdat, Cxl, Expander, Port, PortTarget, Switch, Window};
use crate::recipe::machine::device::DiskBus;
use crate::recipe::machine::memory::{AttributeKind, Memory, MemoryCache, Nvdimm};
use crate::recipe::machine::{Chipset, Firmware, Machine};

pub(super) fn machine(machine: &Machine) -> wire::Machine {
    let node = |node: &crate::recipe::machine::memory::Node| wire::Node {
        name: node.name.clone(),
        cpus: node.cpus.iter().map(|cpu| cpu.value).collect(),
        memory: node.memory.as_ref().map(|memory| named(&memory.value)),
        caches: node.caches.iter().map(cache).collect(),
    };
    let distance = |distance: &crate::recipe::machine::memory::Distance| wire::Distance {
        from: distance.from.value.clone(),
        to: distance.to.value.clone(),
        value: distance.value.value,
    };
    wire::Machine {
        name: machine.name.clone(),
        r#type: match machine.chipset.value {
            Chipset::Q35 => wire::Chipset::Q35,
            Chipset::I440fx => wire::Chipset::Pc,
            Chipset::Virt => wire::Chipset::Virt,
        },
        firmware: match machine.firmware.value {
            Firmware::Direct => wire::Firmware::Direct,
            Firmware::Seabios => wire::Firmware::Seabios,
            Firmware::Uefi => wire::Firmware::Uefi,
        },
        cpus: machine.cpus.value,
        memory: machine.memory.value,
        max_memory: machine.max_memory.as_ref().map(|size| size.value),
        memory_slots: machine.memory_slots.as_ref().map(|slots| slots.value),
        nvdimms: machine.nvdimms.iter().map(nvdimm).collect(),
        cpu: machine.cpu.value.clone(),
        append: machine.append.iter().map(|word| word.value.clone()).collect(),
        qemu_args: machine.arguments.iter().map(|word| word.value.clone()).collect(),
        nodes: machine.nodes.iter().map(node).collect(),
        distances: machine.distances.iter().map(distance).collect(),
        latencies: attributes(machine, AttributeKind::Latency),
        bandwidths: attributes(machine, AttributeKind::Bandwidth),
        cxl: machine.cxl.as_ref().map(cxl),
        disks: machine.disks.iter().map(disk).collect(),
        user_network: machine.user_network,
        forwards: machine.forwards.iter().map(forward).collect(),
        joins: machine.attachments.iter().map(|at| wire::Join { network: at.network.name.clone() }).collect(),
        bounce: machine.bounce,
        rng: machine.rng,
    }
}

fn nvdimm(module: &Nvdimm) -> wire::Nvdimm {
    let node = module.node.as_ref().map(|node| node.value.clone());
    wire::Nvdimm { name: module.name.value.clone(), size: module.size.value, lsa: module.labels.value, node }
}

fn cache(cache: &MemoryCache) -> wire::Cache {
    wire::Cache {
        size: cache.size.value,
        associativity: cache.associativity.name().to_owned(),
        policy: cache.policy.name().to_owned(),
        line: cache.line.value,
    }
}

fn disk(disk: &crate::recipe::machine::device::Disk) -> wire::Disk {
    let bus = (disk.bus != DiskBus::default()).then(|| disk.bus.name().to_owned());
    wire::Disk { name: disk.name.value.clone(), size: disk.size.value, bus }
}

fn attributes(machine: &Machine, kind: AttributeKind) -> Vec<wire::Attribute> {
    let attributes = machine.attributes.iter().filter(|attribute| attribute.kind == kind);
    let written = attributes.map(|attribute| wire::Attribute {
        from: attribute.from.value.clone(),
        to: attribute.to.value.clone(),
        value: attribute.value.value,
    });
    written.collect()
}

fn forward(forward: &crate::recipe::machine::device::Forward) -> wire::Forward {
    wire::Forward { guest: forward.guest.value, host: forward.host.value }
}

/// The private networks that the machine is on.
pub(super) fn networks(described: &Description) -> Vec<wire::Network> {
    let attachments = described.machine.attachments.iter();
    let network = |at: &crate::recipe::machine::device::Attachment| wire::Network {
        name: at.network.name.clone(),
        subnet: format!("{}/{}", at.network.base, at.network.prefix),
        members: described
            .networks
            .members(&at.network.name)
            .map(|member| (member.machine.clone(), member.address))
            .collect(),
    };
    attachments.map(network).collect()
}

/// The memories that it shares.
pub(super) fn memories(machine: &Machine) -> Vec<wire::SharedMemory> {
    let nodes = machine.nodes.iter().filter_map(|node| node.memory.as_ref());
    let expanders = machine.cxl.iter().flat_map(Cxl::expanders).flat_map(|(_, expander)| expander.memories());
    let shared = nodes.chain(expanders).filter_map(|memory| {
        let name = memory.value.shared.as_ref()?.name.clone();
        Some(wire::SharedMemory { name, size: memory.value.size })
    });
    shared.collect()
}

fn named(memory: &Memory) -> wire::Memory {
    match &memory.shared {
        Some(shared) => wire::Memory::Shared(shared.name.clone()),
        None => wire::Memory::Size(memory.size),
    }
}

fn cxl(cxl: &Cxl) -> wire::Cxl {
    let bridge = |bridge: &Bridge| wire::Bridge {
        name: bridge.name.value.clone(),
        bus: bridge.bus.as_ref().map(|bus| bus.value),
        decoders: bridge.decoders,
        ports: bridge.ports.iter().map(port).collect(),
    };
    let window = |window: &Window| wire::Window {
        name: window.name.value.clone(),
        targets: window.targets.iter().map(|target| target.value.clone()).collect(),
        size: window.size.value,
        granularity: window.granularity.value,
    };
    wire::Cxl { bridges: cxl.bridges.iter().map(bridge).collect(), windows: cxl.windows.iter().map(window).collect() }
}

/// A machine that passed the rules has at most one thing in a port.
fn port(port: &Port) -> wire::Port {
    let mut written = wire::Port {
        name: port.name.value.clone(),
        number: port.number.as_ref().map(|number| number.value),
        expander: None,
        switch: None,
    };
    for below in &port.below {
        match below {
            PortTarget::Expander(one) => written.expander = Some(Box::new(expander(one))),
            PortTarget::Switch(one) => written.switch = Some(switch(one)),
        }
    }
    written
}

fn switch(switch: &Switch) -> wire::Switch {
    wire::Switch {
        name: switch.name.value.clone(),
        mailbox: switch.mailbox.is_some(),
        cdat: switch.cdat.as_ref().map(table),
        ports: switch.ports.iter().map(port).collect(),
    }
}

fn expander(expander: &Expander) -> wire::Expander {
    let memory = |memory: &Option<crate::base::Spanned<Memory>>| memory.as_ref().map(|memory| named(&memory.value));
    let dynamic = expander.dynamic.as_ref();
    wire::Expander {
        name: expander.name.value.clone(),
        volatile: memory(&expander.volatile),
        persistent: memory(&expander.persistent),
        lsa: expander.labels.as_ref().map(|labels| labels.value),
        dynamic: dynamic.map(|dynamic| named(&dynamic.memory.value)),
        regions: dynamic.map(|dynamic| dynamic.regions.value),
        serial: expander.serial.as_ref().map(|serial| serial.value),
        speed: expander.speed.as_ref().map(|speed| speed.value.clone()),
        width: expander.width.as_ref().map(|width| width.value),
        back_invalidate: expander.back_invalidate.is_some(),
        flit256: expander.flit256.is_some(),
        cdat: expander.cdat.as_ref().map(table),
    }
}

fn table(cdat: &Spanned<Cdat>) -> String {
    base64::encode(&cdat.value.bytes)
}
