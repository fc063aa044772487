//! Gives every device of a CXL topology its numbers: PCI bus, slot, chassis, port, serial number, QEMU id.
//!
//! The scheme is made so that adding a device leaves the numbers of the others alone (a guest remembers devices by
//! them, and so do labels on persistent memory):
//!
//! * A bridge or port takes the number its recipe gives it, else the number that its name ends with (`p3` is 3) when no
//!   sibling has it, else the lowest free one, in the order of declaration. Parents number independently.
//! * Bridge `n` begins at PCI bus `15 (n + 1)` and sits in slot `15 + n` of the root bus: room for 16 bridges of 15
//!   buses. A bridge that needs more takes the following cell too, and only then do bridges behind it move.
//! * Port `n` of bridge `b` has chassis `b + 1` and slot `n`; port `m` of a switch below it has chassis `b + 1 + 16 q` and
//!   slot `32 (r + 1) + m`, where `n = 7 q + r`. QEMU compares slots by their low 8 bits only
//!   (`pcie_chassis_find_slot_with_chassis` in hw/pci/pcie_port.c; measured on 10.0.13 and 11.1.3), so none is above 255.
//! * An expander's serial number comes from its name (from the shared memory's, when it shows one, so that all machines
//!   see one device), hence survives being moved to another port.
//! * Ids are paths of names joined by dots, which no name contains; an expander's id is its bare name.

mod number;

use crate::base::Digest;
use crate::recipe::machine::cxl::{Bridge, Cdat, Cxl, Expander, Port, PortTarget, Switch};
use number::{Wish, numbers};

/// Bus numbers that each bridge has to itself unless it needs more.
pub const CELL: u32 = 15;
/// Bridges that fit: as many as a window can have targets, and as the root bus has slots left for.
pub const BRIDGES: u32 = 16;
/// Slots of a PCI bus, and so ports of one parent.
pub const PORTS: u32 = 32;
/// Switches whose ports share a chassis with the root ports: what 256 slot numbers have room for.
const SWITCHES: u32 = 7;

/// A topology with every number decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology<'a> {
    /// Bridges in order of declaration.
    pub bridges: Vec<BridgeAt<'a>>,
}

/// A bridge and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeAt<'a> {
    /// What the recipe says.
    pub bridge: &'a Bridge,
    /// QEMU id, which is also the name of its bus.
    pub id: String,
    /// PCI bus number of its root bus; 1 to 255 once the rules have passed.
    pub bus: u32,
    /// Bus numbers it needs: its own, one a port, one a switch, one a switch's port.
    pub needs: u32,
    /// Slot on `pcie.0`.
    pub slot: u32,
    /// Root ports in order.
    pub ports: Vec<PortAt<'a>>,
}

/// A root port or a switch's downstream port, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortAt<'a> {
    /// What the recipe says.
    pub port: &'a Port,
    /// QEMU id.
    pub id: String,
    /// The bus it sits on.
    pub parent: String,
    /// PCI Express chassis.
    pub chassis: u32,
    /// Slot within the chassis.
    pub slot: u32,
    /// Port number, which is also its slot on the parent's bus.
    pub number: u32,
    /// What is plugged in.
    pub below: Vec<BelowAt<'a>>,
}

/// What a port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BelowAt<'a> {
    /// A memory device.
    Expander(ExpanderAt<'a>),
    /// A switch.
    Switch(SwitchAt<'a>),
}

/// A switch and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchAt<'a> {
    /// What the recipe says.
    pub switch: &'a Switch,
    /// QEMU id of its upstream port.
    pub id: String,
    /// The root port it is plugged into.
    pub parent: String,
    /// Serial number, from its path.
    pub serial: u64,
    /// Downstream ports in order.
    pub ports: Vec<PortAt<'a>>,
}

/// An expander and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpanderAt<'a> {
    /// What the recipe says.
    pub expander: &'a Expander,
    /// QEMU id.
    pub id: String,
    /// The port it is plugged into.
    pub parent: String,
    /// Serial number.
    pub serial: u64,
}

impl<'a> Topology<'a> {
    /// Decides every number. Total: what does not fit is left for the rules to point at.
    pub fn of(cxl: &'a Cxl) -> Topology<'a> {
        let wishes = cxl.bridges.iter().map(|bridge| Wish { fixed: None, name: &bridge.name.value });
        let positions = numbers(wishes, BRIDGES);
        let buses = buses(&cxl.bridges, &positions);
        let bridges = cxl.bridges.iter().zip(positions).zip(buses);
        Topology { bridges: bridges.map(|((bridge, position), bus)| place_bridge(bridge, position, bus)).collect() }
    }

    /// Every table that the recipe gives a device or a switch, with the id of its owner, in order.
    pub fn tables(&self) -> Vec<(&str, &'a Cdat)> {
        let mut found = Vec::new();
        self.bridges.iter().flat_map(|at| &at.ports).for_each(|port| tables(port, &mut found));
        found
    }

    /// Every expander with its bridge's position, in order.
    pub fn expanders(&self) -> impl Iterator<Item = &ExpanderAt<'a>> {
        self.bridges.iter().flat_map(BridgeAt::expanders)
    }
}

impl<'a> BridgeAt<'a> {
    /// Every expander below the bridge, in order.
    pub fn expanders(&self) -> Vec<&ExpanderAt<'a>> {
        let mut found = Vec::new();
        self.ports.iter().for_each(|port| collect(port, &mut found));
        found
    }
}

fn collect<'t, 'a>(port: &'t PortAt<'a>, found: &mut Vec<&'t ExpanderAt<'a>>) {
    for below in &port.below {
        match below {
            BelowAt::Expander(expander) => found.push(expander),
            BelowAt::Switch(switch) => switch.ports.iter().for_each(|port| collect(port, found)),
        }
    }
}

fn tables<'t, 'a>(port: &'t PortAt<'a>, found: &mut Vec<(&'t str, &'a Cdat)>) {
    for below in &port.below {
        match below {
            BelowAt::Expander(at) => {
                found.extend(at.expander.cdat.as_ref().map(|cdat| (at.id.as_str(), &cdat.value)));
            }
            BelowAt::Switch(at) => {
                found.extend(at.switch.cdat.as_ref().map(|cdat| (at.id.as_str(), &cdat.value)));
                at.ports.iter().for_each(|port| tables(port, found));
            }
        }
    }
}

/// The serial number a name stands for: 32 bits, never zero.
pub fn serial(name: &str) -> u64 {
    let digest = Digest::of(format!("kiln serial number\n{name}").as_bytes());
    let bytes = digest.as_bytes();
    u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).max(1))
}

/// Bus numbers below a bridge, its own included.
pub fn needs(bridge: &Bridge) -> u32 {
    1 + bridge.ports.iter().map(port_needs).sum::<u32>()
}

fn port_needs(port: &Port) -> u32 {
    let switches = port.below.iter().map(|below| match below {
        PortTarget::Switch(switch) => 1 + switch.ports.iter().map(port_needs).sum::<u32>(),
        PortTarget::Expander(_) => 0,
    });
    1 + switches.sum::<u32>()
}

/// Each bridge's bus number: as written, else the first free cell from its position on.
fn buses(bridges: &[Bridge], positions: &[u32]) -> Vec<u32> {
    let mut taken: Vec<(u32, u32)> = bridges
        .iter()
        .filter_map(|b| b.bus.as_ref().map(|bus| (bus.value, bus.value.saturating_add(needs(b)))))
        .collect();
    let mut buses: Vec<u32> = bridges.iter().map(|bridge| bridge.bus.as_ref().map_or(0, |bus| bus.value)).collect();
    let mut order: Vec<usize> = (0..bridges.len()).filter(|&i| bridges[i].bus.is_none()).collect();
    order.sort_by_key(|&i| positions[i]);
    for i in order {
        let size = needs(&bridges[i]);
        let mut first = CELL * (positions[i] + 1);
        while taken.iter().any(|&(start, end)| first < end && start < first + size) {
            first += CELL;
        }
        taken.push((first, first + size));
        buses[i] = first;
    }
    buses
}

fn place_bridge(bridge: &Bridge, position: u32, bus: u32) -> BridgeAt<'_> {
    let id = bridge.name.value.clone();
    let ports = place_ports(&bridge.ports, &id, position + 1, 0);
    BridgeAt { bridge, bus, needs: needs(bridge), slot: 15 + position, ports, id }
}

fn place_ports<'a>(ports: &'a [Port], parent: &str, chassis: u32, first_slot: u32) -> Vec<PortAt<'a>> {
    let wishes = ports.iter().map(|port| Wish { fixed: port.number.as_ref().map(|n| n.value), name: &port.name.value });
    let placed = ports.iter().zip(numbers(wishes, PORTS));
    placed
        .map(|(port, number)| {
            let id = format!("{parent}.{}", port.name.value);
            let slot = first_slot.saturating_add(number);
            let below = port.below.iter().map(|below| place_below(below, &id, chassis, slot)).collect();
            PortAt { port, id, parent: parent.to_owned(), chassis, slot, number, below }
        })
        .collect()
}

fn place_below<'a>(below: &'a PortTarget, port: &str, chassis: u32, slot: u32) -> BelowAt<'a> {
    match below {
        PortTarget::Expander(expander) => BelowAt::Expander(place_expander(expander, port)),
        PortTarget::Switch(switch) => {
            let id = format!("{port}.{}", switch.name.value);
            let chassis = chassis.saturating_add(BRIDGES * (slot / SWITCHES));
            let ports = place_ports(&switch.ports, &id, chassis, PORTS * (slot % SWITCHES + 1));
            BelowAt::Switch(SwitchAt { switch, parent: port.to_owned(), serial: serial(&id), ports, id })
        }
    }
}

fn place_expander<'a>(expander: &'a Expander, port: &str) -> ExpanderAt<'a> {
    let id = expander.name.value.clone();
    let serial = match &expander.serial {
        Some(serial) => serial.value,
        None => serial(expander.shared().map_or(&id, |shared| &shared.name)),
    };
    ExpanderAt { expander, id, parent: port.to_owned(), serial }
}
