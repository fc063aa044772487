//! Rules about where devices sit: chipset, names, bus numbers, ports, switches.

use std::collections::BTreeSet;

use super::{Context, repeated, spare};
use crate::base::{Diagnostic, Span, Spanned};
use crate::machine::topology::{BRIDGES, BelowAt, PORTS, PortAt};
use crate::recipe::machine::Chipset;
use crate::recipe::machine::cxl::{Port, PortTarget, Switch};

/// CXL needs PCI Express, and ACPI.
pub(super) fn chipset(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let (message, hint) = match machine.chipset.value {
        Chipset::Q35 => return Vec::new(),
        Chipset::I440fx => ("the machine type `pc` has no PCI Express, and so no CXL", "write `type = q35`"),
        Chipset::Virt => (
            "CXL is found through ACPI, which a kernel on `virt` has from UEFI only; kiln starts it without",
            "remove the `cxl` block: only machines of amd64 can have one",
        ),
    };
    let mistake = Diagnostic::new(machine.chipset.span, message);
    vec![mistake.label("not with a `cxl` block").related(cxl.span, "the CXL devices").hint(hint)]
}

/// Bridges, expanders, disks, memory modules, nodes and networks become ids of one QEMU; ports and switches share their parent's name.
pub(super) fn names(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let cxl = context.cxl();
    let bridges = cxl.iter().flat_map(|cxl| &cxl.bridges).map(|bridge| (&bridge.name.value, bridge.name.span));
    let expanders =
        cxl.iter().flat_map(|cxl| cxl.expanders()).map(|(_, device)| (&device.name.value, device.name.span));
    let disks = machine.disks.iter().map(|disk| (&disk.name.value, disk.name.span));
    let networks = machine.attachments.iter().map(|attachment| (&attachment.network.name, attachment.span));
    let nodes = machine.nodes.iter().map(|node| (&node.name, node.span));
    let modules = machine.nvdimms.iter().map(|module| (&module.name.value, module.name.span));
    let devices = bridges.chain(expanders).chain(disks).chain(networks).chain(nodes).chain(modules);
    let devices: Vec<(&String, Span)> = devices.collect();
    let mut taken: BTreeSet<String> = devices.iter().map(|(name, _)| (*name).clone()).collect();
    let mut found =
        repeated(devices, |name| (format!("duplicate device `{name}` in one machine"), renamed(name, &mut taken)));
    let windows = cxl.iter().flat_map(|cxl| &cxl.windows).map(|window| (&window.name.value, window.name.span));
    let mut taken: BTreeSet<String> = windows.clone().map(|(name, _)| name.clone()).collect();
    found.extend(repeated(windows, |name| (format!("duplicate window `{name}`"), renamed(name, &mut taken))));
    let mut parents: Vec<&[Port]> = cxl.iter().flat_map(|cxl| &cxl.bridges).map(|b| b.ports.as_slice()).collect();
    while let Some(ports) = parents.pop() {
        let names = ports.iter().map(|port| (&port.name.value, port.name.span));
        let mut taken: BTreeSet<String> = names.clone().map(|(name, _)| name.clone()).collect();
        found.extend(repeated(names, |name| {
            (format!("duplicate port `{name}` of one parent"), renamed(name, &mut taken))
        }));
        parents.extend(switches(ports).map(|switch| switch.ports.as_slice()));
    }
    let reserved = context.machine.disks.iter().filter(|disk| disk.name.value == "root");
    found.extend(reserved.map(|disk| {
        let mistake = Diagnostic::new(disk.name.span, "the name `root` is reserved for the image");
        mistake.label("taken").hint("write another name, such as `root1`")
    }));
    found
}

/// A name that nothing has yet, which then counts as taken.
fn renamed(name: &str, taken: &mut BTreeSet<String>) -> String {
    let free = spare::name(name, &taken.iter().map(String::as_str).collect());
    let hint = format!("write another name, such as `{free}`");
    taken.insert(free);
    hint
}

/// What every object has that holds others (`object_class_property_add_str` in qom/object.c).
const OF_OBJECTS: &str = "type";
/// What a bridge has before it gets its bus: qdev's properties, and those of `pxb-cxl-host`. Measured on 11.1.3, which
/// ends with `attempt to add duplicate property`.
const OF_BRIDGES: [&str; 6] =
    ["realized", "hotpluggable", "hotplugged", "parent_bus", "bypass-iommu", "x-config-reg-migration-enabled"];

/// Names that make QEMU abort, since it has properties of that name where the device would become one. Ports are not
/// concerned: their ids have a dot in them.
pub(super) fn reserved(context: &Context) -> Vec<Diagnostic> {
    let cxl = context.cxl();
    let bridges = cxl.iter().flat_map(|cxl| &cxl.bridges).map(|bridge| &bridge.name);
    let of_bridges = bridges.clone().filter(|name| OF_BRIDGES.contains(&name.value.as_str()));
    let expanders = cxl.iter().flat_map(|cxl| cxl.expanders()).map(|(_, device)| &device.name);
    let disks = context.machine.disks.iter().map(|disk| &disk.name);
    let modules = context.machine.nvdimms.iter().map(|module| &module.name);
    let devices = bridges.chain(expanders).chain(disks).chain(modules).filter(|name| name.value == OF_OBJECTS);
    let report = |name: &Spanned<String>| {
        let message = format!("`{}` is not a valid device name: QEMU has a property of that name", name.value);
        Diagnostic::new(name.span, message)
            .label("QEMU would abort")
            .hint(format!("write another name everywhere, such as `{}1`", name.value))
    };
    of_bridges.chain(devices).map(report).collect()
}

fn switches(ports: &[Port]) -> impl Iterator<Item = &Switch> {
    let below = ports.iter().flat_map(|port| &port.below);
    below.filter_map(|below| if let PortTarget::Switch(switch) = below { Some(switch) } else { None })
}

/// At most 16 bridges.
pub(super) fn bridges(context: &Context) -> Vec<Diagnostic> {
    let surplus = context.cxl().and_then(|cxl| cxl.bridges.get(BRIDGES as usize));
    let report = |span| {
        let mistake = Diagnostic::new(span, format!("more than {BRIDGES} host bridges")).label("one too many");
        mistake.hint("plug its devices into other bridges: a bridge has up to 32 ports")
    };
    surplus.map(|bridge| report(bridge.span)).into_iter().collect()
}

/// The same bus number twice.
pub(super) fn bus_number(context: &Context) -> Vec<Diagnostic> {
    let bridges = context.cxl().into_iter().flat_map(|cxl| &cxl.bridges);
    let fixed = bridges.filter_map(|bridge| bridge.bus.as_ref()).map(|bus| (bus.value, bus.span));
    let hint = "remove `bus` in one of the two, which then gets a free number";
    repeated(fixed, |bus| (format!("bus number {bus} is used by more than one bridge"), hint.to_owned()))
}

/// Bus number 0, beyond 255, or so close to the next bridge that not every port has its bus.
pub(super) fn bus_range(context: &Context) -> Vec<Diagnostic> {
    let Some(topology) = context.topology() else { return Vec::new() };
    let mut found = Vec::new();
    let mut bridges: Vec<_> = topology.bridges.iter().collect();
    bridges.sort_by_key(|at| at.bus);
    for (position, at) in bridges.iter().enumerate() {
        let span = at.bridge.bus.as_ref().map_or(at.bridge.span, |bus| bus.span);
        let next = bridges.get(position + 1).filter(|next| next.bus > at.bus);
        let name = &at.bridge.name.value;
        if at.bus == 0 {
            let mistake = Diagnostic::new(span, format!("bridge `{name}` cannot have the bus number 0"));
            found.push(mistake.label("it belongs to the root bus").hint("remove `bus`, or use a number from 1 to 255"));
        } else if let Some(next) = next.filter(|next| next.bus < at.bus + at.needs) {
            let needs = at.needs;
            let message = format!(
                "bridge `{name}` needs {needs} bus numbers, but the next bridge starts {} later",
                next.bus - at.bus
            );
            let mistake = Diagnostic::new(span, message).label(format!("begins at {}", at.bus));
            let other = next.bridge.bus.as_ref().map_or(next.bridge.span, |bus| bus.span);
            let mistake = mistake.related(other, format!("begins at {}", next.bus));
            let fixed = if next.bridge.bus.is_some() { &next.bridge.name.value } else { name };
            let hint = format!("remove `bus` from bridge `{fixed}`, which then gets a free number");
            let why = "a bridge needs a number for itself, and one for each port, switch and port of a switch";
            found.push(mistake.note(why).hint(hint));
        } else if at.bus + at.needs > 256 {
            let message = format!("bridge `{name}` needs bus numbers up to {}", at.bus + at.needs - 1);
            let hint = match (&at.bridge.bus, 256u32.checked_sub(at.needs).filter(|last| *last > 0)) {
                (Some(_), Some(last)) => format!("remove `bus`, or write `bus = {last}` or less"),
                _ => "remove ports: the bridges have 255 bus numbers together".to_owned(),
            };
            found.push(Diagnostic::new(span, message).label("there are 255").hint(hint));
        }
    }
    found
}

/// Two ports of one parent with one number, or more ports than numbers.
pub(super) fn port_number(context: &Context) -> Vec<Diagnostic> {
    let Some(topology) = context.topology() else { return Vec::new() };
    let mut found = Vec::new();
    let mut parents: Vec<&[PortAt]> = topology.bridges.iter().map(|at| at.ports.as_slice()).collect();
    while let Some(ports) = parents.pop() {
        let span = |at: &PortAt| at.port.number.as_ref().map_or(at.port.span, |number| number.span);
        let numbers = ports.iter().map(|at| (at.number, span(at)));
        let mut taken: BTreeSet<u32> = ports.iter().map(|at| at.number).collect();
        found.extend(repeated(numbers, |number| {
            let hint = match spare::number(0, PORTS - 1, &taken) {
                Some(free) => format!("write another number, such as `{free}`"),
                None => "remove one of the two ports".to_owned(),
            };
            taken.extend(spare::number(0, PORTS - 1, &taken));
            (format!("port number {number} is used more than once by one parent"), hint)
        }));
        let surplus = ports.iter().find(|at| at.number >= PORTS);
        found.extend(surplus.map(|at| {
            let mistake = Diagnostic::new(span(at), format!("more than {PORTS} ports")).label("one too many");
            mistake.hint("plug its device into another bridge, or into a switch")
        }));
        for below in ports.iter().flat_map(|at| &at.below) {
            if let BelowAt::Switch(switch) = below {
                parents.push(&switch.ports);
            }
        }
    }
    found
}

/// Two devices in one port.
pub(super) fn port_shared(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut parents: Vec<&[Port]> =
        context.cxl().into_iter().flat_map(|cxl| &cxl.bridges).map(|bridge| bridge.ports.as_slice()).collect();
    while let Some(ports) = parents.pop() {
        for port in ports {
            if let [first, second, ..] = &port.below[..] {
                let message = format!("port `{}` has more than one device", port.name.value);
                let mistake = Diagnostic::new(span(second), message).label("the second device");
                let taken = ports.iter().map(|port| port.name.value.as_str()).collect();
                let free = spare::name(&port.name.value, &taken);
                let hint = format!("move it to a port of its own: `port {free} {{ {} {{ ... }} }}`", title(second));
                found.push(mistake.related(span(first), "already here").hint(hint));
            }
        }
        parents.extend(switches(ports).map(|switch| switch.ports.as_slice()));
    }
    found
}

fn title(below: &PortTarget) -> String {
    match below {
        PortTarget::Expander(expander) => format!("expander {}", expander.name.value),
        PortTarget::Switch(switch) => format!("switch {}", switch.name.value),
    }
}

fn span(below: &PortTarget) -> Span {
    match below {
        PortTarget::Expander(expander) => expander.span,
        PortTarget::Switch(switch) => switch.span,
    }
}

/// A switch below a switch.
pub(super) fn switch_depth(context: &Context) -> Vec<Diagnostic> {
    let bridges = context.cxl().into_iter().flat_map(|cxl| &cxl.bridges);
    let outer = bridges.flat_map(|bridge| switches(&bridge.ports));
    let inner = outer.flat_map(|outer| switches(&outer.ports).map(move |inner| (outer, inner)));
    let report = |(outer, inner): (&Switch, &Switch)| {
        let message = format!("switch `{}` is below another switch", inner.name.value);
        let mistake = Diagnostic::new(inner.span, message).label("QEMU decodes only one level of switches");
        mistake.related(outer.span, "the other switch").hint("move its expanders to ports of the outer switch")
    };
    inner.map(report).collect()
}
