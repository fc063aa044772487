//! What an image is delivered as: `format`, and the fields that only a disk has.

use serde::{Deserialize, Serialize};

use super::{BUSYBOX, ImageFile, swap};
use crate::base::{Arch, ByteSize, Diagnostic, Span, Spanned};
use crate::recipe::packages::{PackageRequest, PackageSet};
use crate::recipe::reader::Reader;
use crate::recipe::scope::{Scope, Wanted};
use crate::recipe::value::Value;

/// Bytes of an image's file system: less does not hold the packages that every Debian system has; more than 2 TiB is a
/// typo.
pub const SIZES: std::ops::RangeInclusive<u64> = (64 << 20)..=(2 << 40);

/// A raw disk is read whole wherever its digest is compared, holes and all.
const LARGEST_RAW: u64 = 128 << 30;
/// mke2fs counts whole blocks.
const BLOCK: u64 = 4096;

/// What an archive has not, and a disk does.
const ONLY_DISKS: [&str; 3] = ["size", "swap", "tools"];

/// What an image is delivered as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageForm {
    /// A tar archive of the root file system.
    Tar,
    /// A disk with the root file system on it.
    Disk(Box<ImageDisk>),
}

/// The disk that an image becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDisk {
    /// Bytes of the file system.
    pub size: u64,
    /// Bytes of the swap file on it.
    pub swap: Option<u64>,
    /// How it is delivered.
    pub format: DiskFormat,
    /// The tools that make the disk (mke2fs, kmod, busybox ...): unpacked beside the image, never part of it.
    pub tools: PackageSet,
    /// What the initramfs runs, where `tools` are programs of another architecture than the image.
    pub initramfs: Option<PackageSet>,
}

impl ImageDisk {
    /// The set that the initramfs's shell comes from: a program of the machine, not of what builds it.
    pub fn initramfs_set(&self) -> &PackageSet {
        self.initramfs.as_ref().unwrap_or(&self.tools)
    }
}

/// How the bytes of a disk lie in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// The disk's own bytes, one after the other; what holds nothing is a hole in the file.
    Raw,
    /// QEMU's own format, compressed and without the blocks that hold nothing.
    #[default]
    Qcow2,
}

impl DiskFormat {
    /// Its name in recipes, and QEMU's for it.
    pub fn name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
        }
    }

    /// The name of a disk's file.
    pub const fn file_name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "disk.raw",
            DiskFormat::Qcow2 => "disk.qcow2",
        }
    }
}

/// What else of an image its form depends on.
pub(super) struct FormContext<'a> {
    pub(super) scope: &'a Scope,
    /// The image's name.
    pub(super) own: &'a str,
    pub(super) arch: &'a Spanned<Arch>,
    pub(super) files: &'a [ImageFile],
}

/// Where `size` and `format` stand.
pub(super) struct FormSpans {
    pub(super) size: Span,
    pub(super) format: Option<Span>,
}

/// `format`, and what belongs to it.
pub(super) fn form(reader: &mut Reader<'_>, context: &FormContext<'_>) -> (Option<ImageForm>, FormSpans) {
    let word = reader.word("format", &["qcow2", "raw", "tar"]);
    let head = reader.node().head();
    match word {
        Some(word) if word.value == "tar" => {
            archive(reader, word.span);
            (Some(ImageForm::Tar), FormSpans { size: head, format: Some(word.span) })
        }
        word => {
            let raw = word.as_ref().is_some_and(|word| word.value == DiskFormat::Raw.name());
            let format = if raw { DiskFormat::Raw } else { DiskFormat::Qcow2 };
            let (disk, size) = disk(reader, context, format);
            let spans = FormSpans { size: size.unwrap_or(head), format: word.map(|word| word.span) };
            (disk.map(|disk| ImageForm::Disk(Box::new(disk))), spans)
        }
    }
}

/// What an image inherits from one that is a disk does not matter to an archive; what its own block says would.
fn archive(reader: &mut Reader<'_>, format: Span) {
    let block = reader.node().span;
    for field in ONLY_DISKS {
        let Some(value) = reader.optional::<Value>(field) else { continue };
        let own = value.span.file == block.file && value.span.start >= block.start && value.span.end <= block.end;
        if own {
            let wrong = Diagnostic::new(value.span, format!("`{field}` has no effect on a tar archive"));
            let wrong = wrong.label("only a disk has this").related(format, "the image is delivered as an archive");
            reader.error(wrong.hint("leave it out, or write `format = qcow2` or `format = raw`"));
        }
    }
}

fn disk(reader: &mut Reader<'_>, context: &FormContext<'_>, format: DiskFormat) -> (Option<ImageDisk>, Option<Span>) {
    let &FormContext { scope, own, arch, files } = context;
    let size = reader.required::<ByteSize>("size");
    let at = size.as_ref().map(|size| size.span);
    let size = size.and_then(|size| size_in_bounds(size, format, reader));
    let swap = reader.optional::<ByteSize>("swap").and_then(|swap| swap::size(swap, size, files, reader));
    let wanted = Wanted { field: "tools", own_name: &format!("{own}.tools"), arch: Arch::BUILD };
    let tools = scope.required_set(reader, wanted);
    if let Some(tools) = &tools {
        needed_tools(tools, reader);
    }
    let initramfs = (arch.value != Arch::BUILD).then(|| initramfs(scope, own, arch));
    let disk = size.zip(tools).map(|(size, tools)| ImageDisk { size, swap, format, tools, initramfs });
    (disk, at)
}

/// The shell of the initramfs runs in the machine: where the tools are programs of another architecture, it comes from a
/// set of its own.
fn initramfs(scope: &Scope, own: &str, arch: &Spanned<Arch>) -> PackageSet {
    let request = PackageRequest { name: BUSYBOX.to_owned(), archive: None, version: None, span: arch.span };
    scope.own_set(&format!("{own}.initramfs"), vec![request], arch.clone())
}

/// The steps that make a disk and an initramfs run these: a set without them would fail only when it is built.
fn needed_tools(tools: &PackageSet, reader: &Reader<'_>) {
    for needed in [BUSYBOX, "e2fsprogs", "kmod"] {
        if !tools.requests.iter().any(|request| request.name == needed) {
            let wrong = Diagnostic::new(reader.node().head(), format!("the tools of this image lack `{needed}`"));
            let wrong = wrong.label("its disk cannot be made").related(tools.span, "these are its tools");
            reader.error(wrong.hint(format!("ask for `{needed}` in the package set")));
        }
    }
}

fn size_in_bounds(size: Spanned<ByteSize>, format: DiskFormat, reader: &Reader<'_>) -> Option<u64> {
    let Spanned { value: ByteSize(bytes), span } = size;
    if !SIZES.contains(&bytes) || !bytes.is_multiple_of(BLOCK) {
        let (least, most) = (ByteSize(*SIZES.start()), ByteSize(*SIZES.end()));
        let bounds = format!("from {least} to {most}, in whole blocks of 4KiB");
        reader.error(Diagnostic::new(span, "`size` is out of range").label(bounds));
        return None;
    }
    if format == DiskFormat::Raw && bytes > LARGEST_RAW {
        let wrong = Diagnostic::new(span, "a raw disk of this size cannot be delivered");
        let bound = format!("at most {}, all of which is read wherever its digest is compared", ByteSize(LARGEST_RAW));
        reader.error(wrong.label(bound).hint("`format = qcow2` has no such bound"));
    }
    Some(bytes)
}
