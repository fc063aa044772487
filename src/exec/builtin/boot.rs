//! [`crate::plan::Builtin::BootDisk`]: a boot partition and a root partition to one disk that firmware boots.
//!
//! What stands where: for UEFI the boot partition, then those of the image, then the root, behind which it may grow; for a
//! BIOS, before all, a partition that holds GRUB's core without a file system. The boot partition is the first by number and
//! the root the second, whatever the firmware; those of the image begin with the fourth.

mod grub;
mod parts;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::{BuiltinContext, BuiltinError, input};
use crate::base::holes;
use crate::exec::failure::{Fault, StepFailure};
use crate::format::fat;
use crate::format::gpt::{self, Guid, Partition, SECTOR, Table};
use crate::plan::boot::BootSpec;
use crate::plan::disk;
use crate::world::fs;

/// Partitions begin and end on multiples of this, as every partitioning tool has it.
const ALIGNMENT: u64 = 1 << 20;
/// Bytes of the partition that holds GRUB's core.
const BIOS_SIZE: u64 = 1 << 20;
/// Bytes that are copied at a time.
const CHUNK: usize = 64 << 10;
const SPEC_LIMIT: u64 = 1 << 20;

/// What partitions are for (UEFI specification, 5.3.3; the UAPI group's discoverable partitions; GRUB's manual).
const SYSTEM: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const LINUX_BOOT: &str = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
const LINUX_DATA: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
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
    let root = FileSystem::open(context, "root.raw")?;
    let others = (0..spec.ids.partitions.len()).map(|at| FileSystem::open(context, &disk::part_raw(at)));
    let others: Vec<FileSystem> = others.collect::<Result<_, _>>()?;
    let (files, loader) = if context.inputs.contains_key("stub.deb") {
        (parts::uefi(context, spec.architecture)?, Loader::Uefi)
    } else {
        (parts::bios(context)?, Loader::Bios(grub::Programs::read(context)?))
    };
    let sizes: Vec<u64> = others.iter().map(|one| one.size).collect();
    let layout = Layout::new(&spec, &loader, &files, (&sizes, root.size))?;
    let raw = context.out.join(disk::RAW);
    let mut out = fs::create_new(&raw)?;
    fs::context("size", &raw, out.set_len(layout.table.sectors * SECTOR))?;
    layout.write(&mut out, (&spec, &loader), &files)?;
    for (place, one) in layout.others.iter().chain([&layout.root]).zip(others.iter().chain([&root])) {
        fs::context("copy", &raw, copy(&one.file, &out, place.first * SECTOR))?;
    }
    Ok(())
}

/// A file system that becomes a partition.
struct FileSystem {
    file: File,
    size: u64,
}

impl FileSystem {
    fn open(context: &BuiltinContext<'_>, name: &str) -> Result<FileSystem, BuiltinError> {
        let path = input(context, name)?;
        let file = fs::open(path)?;
        let size = fs::context("look at", path, file.metadata())?.len();
        Ok(FileSystem { file, size })
    }
}

struct Layout {
    table: Table,
    boot: Partition,
    others: Vec<Partition>,
    root: Partition,
    bios: Option<Partition>,
}

impl Layout {
    fn new(
        spec: &BootSpec,
        loader: &Loader,
        files: &BTreeMap<&str, Vec<u8>>,
        (others, root_size): (&[u64], u64),
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
        let named = ids.partitions.iter().zip(others).zip(4..);
        let others = named.map(|((own, size), number)| partition(number, (LINUX_DATA, &own.id), &own.name, *size));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let root = partition(2, (spec.architecture.facts().root_partition, &ids.root), "root", root_size)?;
        let partitions = [&boot, &root].into_iter().chain(&bios).chain(&others).cloned().collect();
        let table = Table { disk: guid(&ids.disk)?, sectors: (end + ALIGNMENT) / SECTOR, partitions };
        Ok(Layout { table, boot, others, root, bios })
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

/// Copies what is not zero to a place in another file, which has holes there.
fn copy(from: &File, to: &File, start: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let (mut at, size) = (0, from.metadata()?.len());
    while let Some(data) = holes::next_data(from, at, size)? {
        at = data.start;
        while at < data.end {
            let count = (data.end - at).min(CHUNK as u64) as usize;
            from.read_exact_at(&mut buffer[..count], at)?;
            if buffer[..count].iter().any(|byte| *byte != 0) {
                to.write_all_at(&buffer[..count], start + at)?;
            }
            at += count as u64;
        }
    }
    Ok(())
}
