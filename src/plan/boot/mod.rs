//! Disks that firmware boots: a boot partition with kernel and loader, and the image as a partition of its own.
//!
//! Input: a machine with `firmware = uefi` or `firmware = seabios`, its kernel, the disk that holds its root. Output:
//! steps. It must not know how a partition is written: that is `exec::builtin::boot`.

mod grub;
mod line;
mod spec;

use std::collections::BTreeMap;

pub use grub::{is_lost_by_grub, spelled as grub_words};
pub use line::{first_words, kernel_line};
pub use spec::{BootIds, BootSpec, PartitionId};

use super::builder::Builder;
use super::disk;
use super::image::{FileSystems, file_system_id, partition_id, uuid};
use super::kind::{ArtifactKind, StepKind};
use super::parts::KernelParts;
use super::root::Fstab;
use super::step::{Builtin, Ids, Input, Step, Work};
use crate::format::tar::{TarEntry, TarPath, TarWriter};
use crate::recipe::image::{Image, ImagePartition, REPART_FILE, SWAP_FILE};
use crate::recipe::machine::{Firmware, GRUB, Machine, OVMF, STUB};
use crate::recipe::packages::PackageSet;

/// Files of OVMF by what they are delivered as.
pub const FIRMWARE: [(ArtifactKind, &str); 2] = [
    (ArtifactKind::FirmwareCode, "usr/share/OVMF/OVMF_CODE_4M.fd"),
    (ArtifactKind::FirmwareVars, "usr/share/OVMF/OVMF_VARS_4M.fd"),
];

/// repart.d(5): the root, which is the last partition, takes what is free behind it. That its file system grows, too, says
/// fstab.
const REPART: &str = "[Partition]\nType=root\n";

/// A partition is on the disk that the root came from, but under software emulation on a busy host udev may take longer to say
/// so than the 90 seconds after which systemd gives a boot up.
const PATIENT: &str = "x-systemd.device-timeout=10min";

/// An archive that makes a root mount itself by the identity of its file system, wherever that lies, and grow with its disk
/// if it is to. Nothing when the recipe brings a table of its own.
pub fn overlay(builder: &Builder<'_>, image: &Image) -> Option<Input> {
    if image.files.iter().any(|file| file.path == "/etc/fstab") {
        return None;
    }
    let disk = image.machine_disk();
    let root = format!("UUID={}", file_system_id(builder, image));
    let mut fstab = Fstab { root: &root, grow: disk.grow, swap_file: disk.swap.map(|_| SWAP_FILE) }.text();
    for ImagePartition { path, .. } in &disk.partitions {
        let id = partition_id(builder, image, path);
        fstab.push_str(&format!("UUID={id}\t{path}\text4\tdefaults,{PATIENT}\t0\t2\n"));
    }
    let mut files = vec![("etc/fstab", fstab.as_str())];
    files.extend(disk.grow.then_some((REPART_FILE.trim_start_matches('/'), REPART)));
    let mut tar = TarWriter::new(Vec::new());
    for (path, text) in files {
        let path = TarPath::new(path).expect("a constant path without dots");
        let entry = TarEntry::file(path, 0o644, builder.lock.epoch.0, text.len() as u64);
        tar.append(&entry, text.as_bytes()).expect("memory takes every archive");
    }
    Some(Input::Inline(tar.finish().expect("memory takes every archive")))
}

/// What a disk with partitions is made of.
#[derive(Debug)]
pub struct BootParts<'a> {
    /// Whose disk it is.
    pub machine: &'a Machine,
    /// What its root holds.
    pub image: &'a Image,
    /// What it boots.
    pub kernel: &'a KernelParts,
    /// Its file systems.
    pub disk: FileSystems,
}

/// The step that puts partitions together into a raw disk.
pub fn raw_disk(builder: &mut Builder<'_>, parts: BootParts<'_>) -> Input {
    let BootParts { machine, image, kernel, disk: FileSystems { root, partitions } } = parts;
    let set = boot_set(machine);
    let ids = ids(builder, (machine, image));
    // The initramfs looks for file systems, the kernel by itself for partitions.
    let place = match kernel.initrd {
        Some(_) => format!("UUID={}", file_system_id(builder, image)),
        None => format!("PARTUUID={}", ids.root),
    };
    let line = kernel_line(machine, &place);
    let mut inputs = BTreeMap::from([("root.raw".to_owned(), root), ("vmlinuz".to_owned(), kernel.vmlinuz.clone())]);
    inputs.extend(partitions.into_iter().enumerate().map(|(at, raw)| (disk::part_raw(at), raw)));
    inputs.extend(kernel.initrd.clone().map(|initrd| ("initrd.img".to_owned(), initrd)));
    let epoch = builder.lock.epoch;
    match machine.firmware.value {
        Firmware::Uefi => {
            inputs.insert("stub.deb".to_owned(), package(builder, set, STUB));
            inputs.insert("cmdline".to_owned(), Input::Inline(line.into_bytes()));
        }
        Firmware::Direct | Firmware::Seabios => {
            inputs.insert("grub.deb".to_owned(), package(builder, set, GRUB));
            inputs.insert("grub.cfg".to_owned(), Input::Inline(grub::configuration(&line, kernel.initrd.is_some())));
            inputs.insert("core.img".to_owned(), core(builder, set));
        }
    }
    let spec = BootSpec { architecture: machine.arch(), epoch, ids };
    inputs.insert("boot.json".to_owned(), Input::Inline(spec.to_json()));
    let step = builder.add_step(Step {
        kind: StepKind::Boot(machine.name.clone()),
        work: Work::Builtin(Builtin::BootDisk),
        inputs,
        outputs: vec![disk::RAW.to_owned()],
    });
    disk::transient(builder, step)
}

/// The firmware that QEMU is given, by what it is delivered as; SeaBIOS comes with QEMU.
pub fn firmware(builder: &mut Builder<'_>, machine: &Machine) -> Vec<(ArtifactKind, Input)> {
    if machine.firmware.value != Firmware::Uefi {
        return Vec::new();
    }
    let set = boot_set(machine);
    let kind = StepKind::Firmware(set.name.clone());
    let step = builder.once(kind, |builder, kind| Step {
        kind,
        work: Work::Builtin(Builtin::Firmware),
        inputs: BTreeMap::from([("ovmf.deb".to_owned(), package(builder, set, OVMF))]),
        outputs: FIRMWARE.map(|(kind, _)| kind.file_name().to_owned()).to_vec(),
    });
    FIRMWARE.map(|(kind, _)| (kind, Input::Output { step, name: kind.file_name().to_owned() })).into()
}

/// GRUB's core, which has its modules in it and is the same for every disk.
fn core(builder: &mut Builder<'_>, set: &PackageSet) -> Input {
    let step = builder.once(StepKind::Grub(set.name.clone()), |builder, kind| {
        let tools = builder.tools(&set.name);
        let work = Work::Sandbox { tools, argv: grub::mkimage(), env: BTreeMap::new(), ids: Ids::Single };
        Step { kind, work, inputs: BTreeMap::new(), outputs: vec![grub::CORE.to_owned()] }
    });
    Input::Output { step, name: grub::CORE.to_owned() }
}

fn boot_set(machine: &Machine) -> &PackageSet {
    machine.boot.as_ref().expect("a machine that passed the rules has what its firmware needs")
}

fn package(builder: &mut Builder<'_>, set: &PackageSet, name: &str) -> Input {
    let found = builder.set(&set.name).iter().find(|package| package.name == name);
    builder.fetch(found.expect("a machine that passed the rules asks for what its firmware needs"))
}

/// Every identity of a machine's disk.
fn ids(builder: &Builder<'_>, (machine, image): (&Machine, &Image)) -> BootIds {
    let id = |part: &str| uuid(builder.lock.seed, &format!("{part} of the disk of {}", machine.name));
    let partition = |partition: &ImagePartition| PartitionId {
        id: id(&partition.path),
        // The table has room for 36 characters.
        name: partition.path.trim_start_matches('/').replace('/', "-").chars().take(36).collect(),
    };
    let partitions = image.machine_disk().partitions.iter().map(partition).collect();
    let serial = u32::from_str_radix(&id("serial")[..8], 16).expect("a UUID begins with eight hexadecimal digits");
    BootIds { disk: id("table"), boot: id("boot"), root: id("root"), bios: id("bios"), partitions, serial }
}
