//! Serial ports, monitor, disks, random numbers.

use super::slot::{self, addr};
use super::{Console, Launch, Place, QemuOption, Text, size};
use crate::recipe::machine::Machine;

/// The console, and when asked for the test agent's port and QMP.
pub(super) fn serial(launch: &Launch) -> Vec<QemuOption> {
    let console = QemuOption::kind("-chardev", "stdio").with("id", "kiln.console").with("signal", "off");
    let mut options = match launch.console {
        Console::Pipe => vec![console],
        Console::Terminal => {
            let monitor = QemuOption::keyed("-mon").with("chardev", "kiln.console").with("mode", "readline");
            vec![console.with("mux", "on"), monitor]
        }
    };
    options.push(QemuOption::whole("-serial", "chardev:kiln.console"));
    if launch.agent {
        options.extend([socket("kiln.agent", "agent.sock"), QemuOption::whole("-serial", "chardev:kiln.agent")]);
    }
    if launch.qmp {
        options.push(socket("kiln.qmp", "qmp.sock"));
        options.push(QemuOption::keyed("-mon").with("chardev", "kiln.qmp").with("mode", "control"));
    }
    options
}

fn socket(id: &str, file: &str) -> QemuOption {
    let path = Text::from(Place::Run).then(format!("/{file}"));
    QemuOption::kind("-chardev", "socket").with("id", id).with("path", path).with("server", "on").with("wait", "off")
}

/// The image as `/dev/vda`, and an empty file of this run for each further disk.
pub(super) fn disks(machine: &Machine, launch: &Launch) -> Vec<QemuOption> {
    let root = QemuOption::keyed("-drive").with("if", "none").with("id", "kiln.root.file");
    let root = root.with("file", Place::Disk).with("format", "qcow2").with("discard", "unmap");
    let root = if launch.throw_away { root.with("snapshot", "on") } else { root };
    let mut options = vec![root, disk(machine, "kiln.root", "root", slot::ROOT_DISK)];
    for (index, extra) in machine.disks.iter().enumerate() {
        let name = &extra.name.value;
        let path = Text::from(Place::Run).then(format!("/{name}.disk"));
        // What a launch has to make before: a sparse file of this size.
        let file = QemuOption::keyed("-drive").with("if", "none").with("id", format!("{name}.file"));
        options.push(file.with("file", path).with("format", "raw").with("discard", "unmap"));
        options.push(disk(machine, name, name, slot::DISKS + index as u32));
    }
    options
}

fn disk(machine: &Machine, id: &str, serial: &str, slot: u32) -> QemuOption {
    let device = virtio(machine, "virtio-blk-pci", id, slot);
    device.with("drive", format!("{id}.file")).with("serial", serial)
}

/// A virtio device on the root bus. Where memory is emulated as MMIO, QEMU can only reach it through a bounce buffer,
/// which modern devices behind the IOMMU interface use (measured on 10.0.13: all three settings are needed).
pub(super) fn virtio(machine: &Machine, driver: &str, id: &str, slot: u32) -> QemuOption {
    let device = QemuOption::kind("-device", driver).with("id", id).with("bus", "pcie.0").with("addr", addr(slot));
    if !machine.bounce {
        return device;
    }
    device.with("iommu_platform", "on").with("disable-legacy", "on").with("x-max-bounce-buffer-size", size(1 << 30))
}

/// Random numbers from the host.
pub(super) fn rng(machine: &Machine) -> Vec<QemuOption> {
    if !machine.rng {
        return Vec::new();
    }
    let source = QemuOption::kind("-object", "rng-random").with("id", "kiln.random").with("filename", "/dev/urandom");
    vec![source, virtio(machine, "virtio-rng-pci", "kiln.rng", slot::RNG).with("rng", "kiln.random")]
}
