//! [`crate::plan::Builtin::BootDisk`]: a boot partition and a root partition to one disk that firmware boots.
//!
//! What stands where: for UEFI the boot partition, then the root; for a BIOS, before both, a partition that holds GRUB's
//! core without a file system. The boot partition is the first by number and the root the second, whatever the firmware.

mod grub;
mod parts;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::{BuiltinContext, BuiltinError, input};
use crate::exec::event::StepEvent;
use crate::exec::failure::{Fault, StepFailure};
use crate::format::fat;
use crate::format::gpt::{self, Guid, Partition, SECTOR, Table};
use crate::format::qcow2::{self, Qcow2Reader};
use crate::plan::boot::BootSpec;
use crate::world::fs;

/// Partitions begin and end on multiples of this, as every partitioning tool has it.
const ALIGNMENT: u64 = 1 << 20;
/// Bytes of the partition that holds GRUB's core.
const BIOS_SIZE: u64 = 1 << 20;
/// A cluster of the disk that is read, so that none is unpacked twice.
const CHUNK: usize = 64 << 10;
const SPEC_LIMIT: u64 = 1 << 20;

/// What partitions are for (UEFI specification, 5.3.3; the UAPI group's discoverable partitions; GRUB's manual).
const SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const LINUX_BOOT: &str = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";

/// What the firmware finds besides the partitions' contents.
enum Loader {
    /// A program on the boot partition.
    Uefi,
    /// The program of the boot record, and the one that it loads.
    Bios(grub::Programs),
}

/// Inputs and output: see [`crate::plan::Builtin::BootDisk`].
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let text = fs::read(input(context, "boot.json")?, SPEC_LIMIT)?;
    let spec: BootSpec = serde_json::from_slice(&text)
        .map_err(|error| BuiltinError::from(StepFailure::bug(format!("boot.json: {error}"))))?;
    let path = input(context, "root.qcow2")?;
    let mut root = fs::context("read", path, Qcow2Reader::new(fs::open(path)?))?;
    let (files, loader) = if context.inputs.contains_key("stub.deb") {
        (parts::uefi(context, spec.architecture)?, Loader::Uefi)
    } else {
        (parts::bios(context)?, Loader::Bios(grub::Programs::read(context)?))
    };
    let layout = Layout::new(&spec, &loader, &files, root.size())?;
    let raw = context.scratch.join("disk.raw");
    let mut out = fs::create_new(&raw)?;
    fs::context("size", &raw, out.set_len(layout.table.sectors * SECTOR))?;
    layout.write(&mut out, (&spec, &loader), &files)?;
    fs::context("copy", &raw, copy(&mut root, &mut out, layout.root.first * SECTOR))?;
    compress(context, &out)
}

/// Where everything lies.
struct Layout {
    table: Table,
    boot: Partition,
    root: Partition,
    bios: Option<Partition>,
}

impl Layout {
    fn new(
        spec: &BootSpec,
        loader: &Loader,
        files: &BTreeMap<&str, Vec<u8>>,
        root_size: u64,
    ) -> Result<Layout, BuiltinError> {
        let mut end = ALIGNMENT;
        let mut partition = |number, (kind, id): (&str, &str), name: &str, size: u64| {
            let first = end / SECTOR;
            end += size.next_multiple_of(ALIGNMENT);
            let (name, sectors) = (name.to_owned(), size.div_ceil(SECTOR));
            Ok::<_, BuiltinError>(Partition { number, kind: guid(kind)?, id: guid(id)?, name, first, sectors })
        };
        let ids = &spec.ids;
        let (bios, kind) = match loader {
            Loader::Uefi => (None, SYSTEM),
            Loader::Bios(_) => (Some(partition(3, (BIOS_BOOT, &ids.bios), "bios", BIOS_SIZE)?), LINUX_BOOT),
        };
        let size = fat::suitable_size(files.values().map(|bytes| bytes.len() as u64));
        let boot = partition(1, (kind, &ids.boot), "boot", size)?;
        let root = partition(2, (spec.architecture.facts().root_partition, &ids.root), "root", root_size)?;
        let partitions = [&boot, &root].into_iter().chain(&bios).cloned().collect();
        let table = Table { disk: guid(&ids.disk)?, sectors: (end + ALIGNMENT) / SECTOR, partitions };
        Ok(Layout { table, boot, root, bios })
    }

    fn write(
        &self,
        out: &mut File,
        (spec, loader): (&BootSpec, &Loader),
        files: &BTreeMap<&str, Vec<u8>>,
    ) -> Result<(), BuiltinError> {
        let options = fat::FatOptions {
            start: self.boot.first * SECTOR,
            size: self.boot.sectors * SECTOR,
            serial: spec.ids.serial,
            label: "BOOT".to_owned(),
            time: spec.epoch,
        };
        let files = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
        fat::write(out, &options, &files)?;
        let program = match (loader, &self.bios) {
            (Loader::Bios(programs), Some(bios)) => {
                let (record, core) = programs.placed(bios)?;
                let written = out.seek(SeekFrom::Start(bios.first * SECTOR)).and_then(|_| out.write_all(&core));
                written.map_err(|error| {
                    BuiltinError::from(StepFailure::new(Fault::Host, format!("cannot write GRUB's core: {error}")))
                })?;
                record
            }
            _ => Vec::new(),
        };
        Ok(gpt::write(out, &self.table, &program)?)
    }
}

fn guid(text: &str) -> Result<Guid, BuiltinError> {
    Guid::parse(text).ok_or_else(|| BuiltinError::from(StepFailure::bug(format!("boot.json: `{text}` is not a GUID"))))
}

/// Copies what is not zero.
fn copy(from: &mut Qcow2Reader<File>, to: &mut File, start: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let size = from.size();
    for offset in (0..size).step_by(CHUNK) {
        let count = (size - offset).min(CHUNK as u64) as usize;
        from.read_at(offset, &mut buffer[..count])?;
        if buffer[..count].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(start + offset))?;
            to.write_all(&buffer[..count])?;
        }
        if crate::exec::interrupt::stopped() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
    }
    Ok(())
}

fn compress(context: &BuiltinContext<'_>, raw: &File) -> Result<(), BuiltinError> {
    let target = fs::create_new(&context.out.join("disk.qcow2"))?;
    let step = context.step;
    let mut progress =
        |done, total| context.listener.on(StepEvent::StepProgress { step: step.to_owned(), done, total });
    let written = qcow2::write_qcow2(raw, target, qcow2::Qcow2Options::default(), &mut progress);
    written?;
    Ok(())
}
