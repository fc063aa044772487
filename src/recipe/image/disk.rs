//! What an image is delivered as: `format`, and the fields that only a disk has.

use serde::{Deserialize, Serialize};

use super::partition::{self, ImagePartition};
use super::size::in_bounds;
use super::{BUSYBOX, ImageFile, swap};
use crate::base::{Arch, ByteSize, Diagnostic, Span, Spanned};
use crate::recipe::packages::{PackageRequest, PackageSet};
use crate::recipe::reader::Reader;
use crate::recipe::scope::{Scope, Wanted};
use crate::recipe::value::Value;

/// A raw disk is read whole wherever its digest is compared, holes and all.
const LARGEST_RAW: u64 = 128 << 30;
/// What an archive has not, and a disk does.
const ONLY_DISKS: [&str; 4] = ["size", "swap", "grow", "tools"];

/// Where `grow = true` says to systemd-repart that the root's partition grows.
pub const REPART_FILE: &str = "/etc/repart.d/50-root.conf";

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
    /// Whether the file system grows, at boot, to the size of the disk that it is on.
    pub grow: bool,
    /// Directories that lie in partitions of their own, by path.
    pub partitions: Vec<ImagePartition>,
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
    pub(super) grow: Option<Span>,
    pub(super) format: Option<Span>,
}

/// `format`, and what belongs to it.
pub(super) fn form(reader: &mut Reader<'_>, context: &FormContext<'_>) -> (Option<ImageForm>, FormSpans) {
    let word = reader.word("format", &["qcow2", "raw", "tar"]);
    let head = reader.node().head();
    match word {
        Some(word) if word.value == "tar" => {
            archive(reader, word.span);
            (Some(ImageForm::Tar), FormSpans { size: head, grow: None, format: Some(word.span) })
        }
        word => {
            let raw = word.as_ref().is_some_and(|word| word.value == DiskFormat::Raw.name());
            let format = if raw { DiskFormat::Raw } else { DiskFormat::Qcow2 };
            let grow = reader.optional::<bool>("grow");
            grow.iter().for_each(|grow| growing(grow, context.files, reader));
            let at = grow.as_ref().map(|grow| grow.span);
            let (disk, size) = disk(reader, context, (format, grow.is_some_and(|grow| grow.value)));
            let spans = FormSpans { size: size.unwrap_or(head), grow: at, format: word.map(|word| word.span) };
            (disk.map(|disk| ImageForm::Disk(Box::new(disk))), spans)
        }
    }
}

/// A block that an archive has no use for.
const PARTITION: &str = "partition";

/// What an image inherits from one that is a disk does not matter to an archive; what its own block says would.
fn archive(reader: &mut Reader<'_>, format: Span) {
    let block = reader.node().span;
    let fields = ONLY_DISKS.into_iter().filter_map(|field| Some((field, reader.optional::<Value>(field)?.span)));
    let mut stated: Vec<(&str, Span)> = fields.collect();
    stated.extend(reader.blocks(PARTITION).into_iter().map(|node| (PARTITION, node.head())));
    let own = |at: &Span| at.file == block.file && at.start >= block.start && at.end <= block.end;
    for (what, at) in stated.into_iter().filter(|(_, at)| own(at)) {
        let wrong = Diagnostic::new(at, format!("`{what}` has no effect on a tar archive"));
        let wrong = wrong.label("only a disk has this").related(format, "the image is delivered as an archive");
        reader.error(wrong.hint("leave it out, or write `format = qcow2` or `format = raw`"));
    }
}

fn disk(
    reader: &mut Reader<'_>,
    context: &FormContext<'_>,
    (format, grow): (DiskFormat, bool),
) -> (Option<ImageDisk>, Option<Span>) {
    let &FormContext { scope, own, arch, files } = context;
    let size = reader.required::<ByteSize>("size");
    let at = size.as_ref().map(|size| size.span);
    let size = size.and_then(|size| in_bounds(size, reader));
    let swap = reader.optional::<ByteSize>("swap").and_then(|swap| swap::size(swap, size, files, reader));
    let partitions = partition::partitions(reader, files);
    let bytes = size.map(|size| partitions.iter().fold(size, |sum, partition| sum.saturating_add(partition.size)));
    if let (DiskFormat::Raw, Some(bytes), Some(at)) = (format, bytes, at) {
        raw_in_bounds(bytes, at, reader);
    }
    let wanted = Wanted { field: "tools", own_name: &format!("{own}.tools"), arch: Arch::BUILD };
    let tools = scope.required_set(reader, wanted);
    if let Some(tools) = &tools {
        needed_tools(tools, reader);
    }
    let initramfs = (arch.value != Arch::BUILD).then(|| initramfs(scope, own, arch));
    let disk =
        size.zip(tools).map(|(size, tools)| ImageDisk { size, swap, grow, partitions, format, tools, initramfs });
    (disk, at)
}

/// `grow = true` works through an option in `/etc/fstab` and, on disks with partitions, a file of systemd-repart.
fn growing(grow: &Spanned<bool>, files: &[ImageFile], reader: &Reader<'_>) {
    if let Some(file) = files.iter().find(|file| grow.value && file.path == REPART_FILE) {
        let wrong = Diagnostic::new(grow.span, format!("`grow` writes `{}`, which the recipe states", REPART_FILE));
        let wrong = wrong.label("this would replace it").related(file.span, "here");
        reader.error(wrong.hint("give the file another number, as in `60-root.conf`, or leave one of the two out"));
    }
    if let Some(file) = files.iter().find(|file| grow.value && file.path == "/etc/fstab") {
        let wrong = Diagnostic::new(grow.span, "`grow` sets an option in `/etc/fstab`, which the recipe replaces");
        let wrong = wrong.label("nothing would grow").related(file.span, "by this");
        reader.error(wrong.hint("leave one of the two out: the root's option in that file is `x-systemd.growfs`"));
    }
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

/// All file systems of a raw disk together.
fn raw_in_bounds(bytes: u64, at: Span, reader: &Reader<'_>) {
    if bytes > LARGEST_RAW {
        let wrong = Diagnostic::new(at, "a raw disk of this size cannot be delivered");
        let bound = format!("at most {}, all of which is read wherever its digest is compared", ByteSize(LARGEST_RAW));
        reader.error(wrong.label(bound).hint("`format = qcow2` has no such bound"));
    }
}
