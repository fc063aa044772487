//! Serial ports, monitor, disks, random numbers.

use super::slot;
use super::{Console, LaunchOptions, Place, QemuOption, QmpPort, Text, Writes, size};
use crate::recipe::machine::device::DiskBus;
use crate::recipe::machine::{Firmware, Machine};

/// The console, and when asked for the test agent's port and QMP. `-qmp` rather than `-mon`, which 11.1 deprecates.
pub(super) fn serial(launch: &LaunchOptions) -> Vec<QemuOption> {
    let mut options = match launch.console {
        Console::Log => {
            let file = QemuOption::kind("-chardev", "file").with("id", "kiln.console").with("path", Place::Log);
            vec![file, QemuOption::whole("-serial", "chardev:kiln.console")]
        }
        Console::Terminal => vec![QemuOption::whole("-serial", "mon:stdio")],
    };
    if launch.agent {
        let path = Text::from(Place::Run).then("/agent");
        options.push(QemuOption::kind("-chardev", "socket").with("id", "kiln.agent").with("path", path));
        options.push(QemuOption::whole("-serial", "chardev:kiln.agent"));
    }
    let monitor =
        |more: &str| QemuOption::whole("-qmp", Text::from("unix:").then(Place::Run).then(format!("/qmp{more}")));
    options.extend(match launch.qmp {
        QmpPort::None => None,
        QmpPort::Connects => Some(monitor("")),
        QmpPort::Listens => Some(monitor(",server=on,wait=off")),
    });
    options
}

/// The image as `/dev/vda`, and an empty file of this run for each further disk.
pub(super) fn disks(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    let root = QemuOption::keyed("-drive").with("if", "none").with("id", "kiln.root.file");
    let root = root.with("file", Place::Disk).with("format", launch.disk.name()).with("discard", "unmap");
    let root = match launch.writes {
        Writes::ThrownAway => root.with("snapshot", "on"),
        Writes::Kept => root,
    };
    let device = disk(machine, "kiln.root", "root", slot::ROOT_DISK);
    let boots = machine.firmware.value != Firmware::Direct;
    let mut options = vec![root, if boots { device.with("bootindex", "0") } else { device }];
    for (index, extra) in machine.disks.iter().enumerate() {
        let name = &extra.name.value;
        let path = Text::from(Place::Run).then(format!("/{name}.disk"));
        // What a launch has to make before: a sparse file of this size.
        let file = QemuOption::keyed("-drive").with("if", "none").with("id", format!("{name}.file"));
        options.push(file.with("file", path).with("format", "raw").with("discard", "unmap"));
        let place = slot::DISKS + index as u32;
        options.push(match extra.bus {
            DiskBus::Virtio => disk(machine, name, name, place),
            DiskBus::Nvme => nvme(machine, name, place),
        });
    }
    options
}

fn disk(machine: &Machine, id: &str, serial: &str, slot: u32) -> QemuOption {
    let device = virtio(machine, "virtio-blk-pci", id, slot);
    device.with("drive", format!("{id}.file")).with("serial", serial)
}

/// A controller with its one namespace.
fn nvme(machine: &Machine, name: &str, slot: u32) -> QemuOption {
    let (bus, addr) = slot::place(machine.chipset.value, slot);
    let device = QemuOption::kind("-device", "nvme").with("id", name).with("bus", bus).with("addr", addr);
    device.with("drive", format!("{name}.file")).with("serial", name)
}

/// A virtio device on the root bus.
pub(super) fn virtio(machine: &Machine, driver: &str, id: &str, slot: u32) -> QemuOption {
    let (bus, addr) = slot::place(machine.chipset.value, slot);
    attached(machine, QemuOption::kind("-device", driver).with("id", id).with("bus", bus).with("addr", addr))
}

/// A virtio device with what every one of the machine needs. Where memory is emulated as MMIO, QEMU can only reach it
/// through a bounce buffer, which modern devices behind the IOMMU interface use (measured on 10.0.13: all three settings are
/// needed).
pub(super) fn attached(machine: &Machine, device: QemuOption) -> QemuOption {
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
