//! [`crate::plan::Builtin::Disk`]: archives to the file systems of a disk, in one pass: nothing lies between the contents in
//! the archives and the finished disk.
//!
//! Who decides: the archives what is there, `disk.json` everything else. What does not fit, or ext4 cannot have, is refused
//! before anything is written.

use std::fs::File;
use std::io;

use super::shortage::Shortage;
use super::split::{self, Names};
use super::{BuiltinContext, BuiltinError, input, merge};
use crate::exec::event::StepEvent;
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::interrupt;
use crate::format::ext4::write::{DiskTree, Ext4Options, Ext4WriteError, MappedDisk, SourceFile, SwapFile, lay_out};
use crate::format::qcow2::{EarlierImage, Qcow2Options, write_qcow2_like};
use crate::format::swap;
use crate::format::tar::{TarEntry, TarPath};
use crate::plan::disk::{self, DiskSpec, FileSystemSpec, SwapSpec};
use crate::recipe::image::DiskFormat;
use crate::world::fs;

const SPEC_LIMIT: u64 = 1 << 20;

/// Inputs `*.tar` and `disk.json`; outputs the root's disk in its format, and a raw one for each partition.
pub(super) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let text = fs::read(input(context, disk::SPEC)?, SPEC_LIMIT)?;
    let spec: DiskSpec = serde_json::from_slice(&text)
        .map_err(|error| BuiltinError::from(StepFailure::bug(format!("{}: {error}", disk::SPEC))))?;
    let (mut tree, sources) = merge::read(context)?;
    // Archives without an entry have no root either.
    tree.names.entry(TarPath::root()).or_insert_with(|| {
        let entry = TarEntry::directory(TarPath::root(), 0o755, spec.epoch.0);
        tree.inodes.push(SourceFile { entry, source: 0, offset: 0 });
        tree.inodes.len() - 1
    });
    let mounts: Vec<&str> = spec.partitions.iter().map(|partition| partition.mount.as_str()).collect();
    let (root, partitions) = split::split(&mut tree, &mounts)?;
    let maker = Maker { context, spec: &spec, files: &tree.inodes, sources: &sources };
    maker.make(
        Part { file_system: &spec.root, mount: None, swap: spec.swap.as_ref() },
        &root,
        spec.format,
        spec.format.file_name(),
    )?;
    for (at, (partition, names)) in spec.partitions.iter().zip(&partitions).enumerate() {
        let part = Part { file_system: &partition.file_system, mount: Some(&partition.mount), swap: None };
        maker.make(part, names, DiskFormat::Raw, &disk::part_raw(at))?;
    }
    Ok(())
}

struct Maker<'a> {
    context: &'a BuiltinContext<'a>,
    spec: &'a DiskSpec,
    files: &'a [SourceFile],
    sources: &'a [File],
}

/// One of the file systems.
#[derive(Clone, Copy)]
struct Part<'a> {
    file_system: &'a FileSystemSpec,
    /// Where it is mounted, if that is not the root.
    mount: Option<&'a str>,
    swap: Option<&'a SwapSpec>,
}

impl Maker<'_> {
    fn make(&self, part: Part<'_>, names: &Names, format: DiskFormat, name: &str) -> Result<(), BuiltinError> {
        let options = self.options(part)?;
        let tree = DiskTree { files: self.files, names };
        let map = lay_out(tree, self.sources, &options, &go_on).map_err(|error| failure(part, error))?;
        let made = MappedDisk { map: &map, sources: self.sources };
        let path = self.context.out.join(name);
        let file = fs::create_new(&path)?;
        match format {
            DiskFormat::Raw => Ok(fs::context("write", &path, made.write(&file, &go_on))?),
            DiskFormat::Qcow2 => {
                let step = self.context.step;
                let mut progress = |done, total| {
                    self.context.listener.on(StepEvent::StepProgress { step: step.to_owned(), done, total });
                };
                let earlier = earlier(self.context);
                let how = (Qcow2Options::default(), earlier.as_ref());
                Ok(write_qcow2_like(&made, file, how, &mut progress).map(drop)?)
            }
        }
    }

    fn options(&self, part: Part<'_>) -> Result<Ext4Options, BuiltinError> {
        let swap = part.swap.map(|swap| {
            let path = TarPath::new(swap.path.trim_start_matches('/'))?;
            let page = swap::first_page(swap.bytes, identity(&swap.id)?);
            Ok::<_, BuiltinError>(SwapFile { path, bytes: swap.bytes, page })
        });
        Ok(Ext4Options {
            bytes: part.file_system.size,
            uuid: identity(&part.file_system.id)?,
            hash_seed: identity(&part.file_system.hash_seed)?,
            // Whoever looks for the root may do so by its label; partitions are mounted by identity.
            label: if part.mount.is_none() { "root".to_owned() } else { String::new() },
            time: self.spec.epoch.0,
            swap: swap.transpose()?,
        })
    }
}

/// The disk that the step wrote the last time; one that cannot be read is none.
pub(super) fn earlier(context: &BuiltinContext<'_>) -> Option<EarlierImage> {
    EarlierImage::read(fs::open(context.earlier?).ok()?).ok()
}

fn go_on() -> io::Result<()> {
    if interrupt::stopped() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

fn failure(part: Part<'_>, error: Ext4WriteError) -> StepFailure {
    match error {
        Ext4WriteError::Full { needed, room } => {
            let swap = part.swap.map_or(0, |swap| swap.bytes);
            Shortage { mount: part.mount, size: part.file_system.size, swap, needed, room }.failure()
        }
        Ext4WriteError::TooSmall(_) => StepFailure::bug(error),
        Ext4WriteError::File { .. } => StepFailure::input(error),
        Ext4WriteError::Content { ref source, .. } => StepFailure::new(Fault::of_io(source), error),
    }
}

/// The bytes of a UUID.
fn identity(text: &str) -> Result<[u8; 16], BuiltinError> {
    let hex = u128::from_str_radix(&text.replace('-', ""), 16).ok().filter(|_| text.len() == 36);
    let hex = hex.ok_or_else(|| StepFailure::bug(format!("{}: `{text}` is not a UUID", disk::SPEC)))?;
    Ok(hex.to_be_bytes())
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
