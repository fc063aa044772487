//! Host bridges, ports, switches, expanders and windows.

use super::memory::{backend, run_file};
use super::slot::addr;
use super::{MemoryBacking, Place, QemuOption, Text, size};
use crate::machine::topology::{BelowAt, BridgeAt, ExpanderAt, PortAt, SwitchAt, Topology};
use crate::recipe::machine::Machine;

/// Adds `cxl=on` and the windows to `-machine`.
pub(super) fn board(machine: &Machine, mut board: QemuOption) -> QemuOption {
    let Some(cxl) = &machine.cxl else { return board };
    board = board.with("cxl", "on");
    for (number, window) in cxl.windows.iter().enumerate() {
        let name = |field: &str| format!("cxl-fmw.{number}.{field}");
        for (position, target) in window.targets.iter().enumerate() {
            board = board.with(name(&format!("targets.{position}")), target.value.as_str());
        }
        board = board.with(name("size"), size(window.size.value));
        board = board.with(name("interleave-granularity"), size(window.granularity.value));
    }
    board
}

/// Backends and devices, parents before children.
pub(super) fn options(machine: &Machine, backing: MemoryBacking) -> Vec<QemuOption> {
    let Some(cxl) = &machine.cxl else { return Vec::new() };
    Topology::of(cxl).bridges.iter().flat_map(|at| bridge(at, backing)).collect()
}

fn bridge(at: &BridgeAt, backing: MemoryBacking) -> Vec<QemuOption> {
    let device = QemuOption::kind("-device", "pxb-cxl").with("id", at.id.as_str()).with("bus", "pcie.0");
    let device = device.with("addr", addr(at.slot)).with("bus_nr", at.bus.to_string());
    let device = if at.bridge.decoders { device.with("hdm_for_passthrough", "on") } else { device };
    let ports = at.ports.iter().flat_map(|at| port("cxl-rp", at, backing));
    std::iter::once(device).chain(ports).collect()
}

fn port(driver: &str, at: &PortAt, backing: MemoryBacking) -> Vec<QemuOption> {
    let device = QemuOption::kind("-device", driver).with("id", at.id.as_str()).with("bus", at.parent.as_str());
    let device = device.with("addr", addr(at.number)).with("port", at.number.to_string());
    let device = device.with("chassis", at.chassis.to_string()).with("slot", at.slot.to_string());
    let below = at.below.iter().flat_map(|below| match below {
        BelowAt::Expander(at) => expander(at, backing),
        BelowAt::Switch(at) => switch(at, backing),
    });
    std::iter::once(device).chain(below).collect()
}

fn switch(at: &SwitchAt, backing: MemoryBacking) -> Vec<QemuOption> {
    let upstream =
        QemuOption::kind("-device", "cxl-upstream").with("id", at.id.as_str()).with("bus", at.parent.as_str());
    let upstream = upstream.with("addr", "0x0").with("sn", format!("0x{:x}", at.serial));
    let upstream = upstream.with_some("cdat", at.switch.cdat.as_ref().map(|_| table_path(&at.id)));
    if at.switch.mailbox.is_none() {
        return std::iter::once(upstream)
            .chain(at.ports.iter().flat_map(|at| port("cxl-downstream", at, backing)))
            .collect();
    }
    let mailbox = QemuOption::kind("-device", "cxl-switch-mailbox-cci").with("id", format!("{}.mailbox", at.id));
    let mailbox = mailbox.with("bus", at.parent.as_str()).with("addr", "0x0.0x1").with("target", at.id.as_str());
    let mut options = vec![upstream.with("multifunction", "on"), mailbox];
    options.extend(at.ports.iter().flat_map(|at| port("cxl-downstream", at, backing)));
    options
}

fn expander(at: &ExpanderAt, backing: MemoryBacking) -> Vec<QemuOption> {
    let (expander, id) = (at.expander, &at.id);
    let name = |part: &str| format!("{id}.{part}");
    let mut options = Vec::new();
    let mut device = QemuOption::kind("-device", "cxl-type3").with("id", id.as_str()).with("bus", at.parent.as_str());
    device = device.with("addr", "0x0").with("sn", format!("0x{:x}", at.serial));
    if let Some(volatile) = &expander.volatile {
        options.push(backend(&name("volatile"), &volatile.value, backing));
        device = device.with("volatile-memdev", name("volatile"));
    }
    if let Some(persistent) = &expander.persistent {
        let id = name("persistent");
        let shared = persistent.value.shared.is_some();
        options.push(if shared {
            backend(&id, &persistent.value, backing)
        } else {
            run_file(&id, persistent.value.size)
        });
        device = device.with("persistent-memdev", id);
    }
    if let Some(labels) = &expander.labels {
        options.push(run_file(&name("labels"), labels.value));
        device = device.with("lsa", name("labels"));
    }
    if let Some(dynamic) = &expander.dynamic {
        options.push(backend(&name("dynamic"), &dynamic.memory.value, backing));
        device = device.with("volatile-dc-memdev", name("dynamic"));
        device = device.with("num-dc-regions", dynamic.regions.value.to_string());
    }
    device = device.with_some("x-speed", expander.speed.as_ref().map(|speed| speed.value.as_str()));
    device = device.with_some("x-width", expander.width.as_ref().map(|width| width.value.to_string()));
    device = device.with_some("hdm-db", expander.back_invalidate.map(|_| "on"));
    device = device.with_some("x-256b-flit", expander.flit256.map(|_| "on"));
    options.push(device.with_some("cdat", expander.cdat.as_ref().map(|_| table_path(id))));
    options
}

/// The file of a device's CDAT in the directory of a run, which a launch writes.
pub fn table_name(id: &str) -> String {
    format!("{id}.cdat")
}

fn table_path(id: &str) -> Text {
    Text::from(Place::Run).then(format!("/{}", table_name(id)))
}
