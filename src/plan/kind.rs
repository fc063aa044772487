//! What steps and artifacts are: the names that other layers ask for, as types.
//!
//! A kind's text is what people and files see: step names in locks, manifests and progress, file names in a result
//! directory. Nobody reads such a text back.

use std::fmt;

use super::root::ROOT;
use crate::base::Arch;
use crate::recipe::build::BuildOutput;
use crate::recipe::image::DiskFormat;

/// What a step makes, and of which part of the recipe. Its text is the step's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A package set, unpacked as the root of a sandbox.
    Tools(String),
    /// The configured packages of an image, and of every other image of the same packages.
    Base(String),
    /// The first of these packages, to which the step above adds those that were locked later: one of several such layers,
    /// numbered from one.
    Layer {
        /// The image.
        image: String,
        /// Which one.
        layer: usize,
    },
    /// The same under the host name of an image, where they depend on it.
    Named(String),
    /// The root file system of an image.
    Root(String),
    /// The file systems of an image: that root with what lies over it on one disk, cut where partitions are mounted.
    Disk(DiskContent),
    /// The files of a stock kernel.
    StockKernel(String),
    /// A kernel that builds of the recipe leave ready.
    ReadyKernel(String),
    /// The firmware of a machine that builds of the recipe leave.
    ReadyFirmware(String),
    /// The Kconfig files of a kernel's source.
    KernelKconfig(String),
    /// The configuration that a kernel's source makes of what the recipe asks.
    KernelConfig(String),
    /// That configuration, compared with what the recipe asks.
    KernelCheck(String),
    /// A compiled kernel.
    KernelBuild(String),
    /// Modules of builds for a kernel: those of an image.
    ExtraModules {
        /// The kernel.
        kernel: String,
        /// The image.
        image: String,
    },
    /// Both as one archive.
    AllModules {
        /// The kernel.
        kernel: String,
        /// The image.
        image: String,
    },
    /// The indexes of a kernel's modules.
    Depmod(IndexedKernel),
    /// A kernel's modules with their indexes.
    Modules(IndexedKernel),
    /// The initramfs of a kernel.
    Initrd(IndexedKernel),
    /// What a build of the recipe leaves.
    Build(String),
    /// A directory that a build left, as an archive.
    Pack(BuildOutput),
    /// The raw disk of a machine that firmware boots.
    Boot(String),
    /// The disk that another step makes, in the format in which it is delivered.
    Convert {
        /// What makes the disk.
        disk: Box<StepKind>,
        /// The format.
        format: DiskFormat,
    },
    /// The firmware of a package set.
    Firmware(String),
    /// The GRUB of a package set.
    Grub(String),
    /// A QEMU that a build made, over the packages that it needs.
    Qemu(String),
    /// What a QEMU of a package set or of a build says it can do: the one that emulates this architecture.
    QemuFacts(String, Arch),
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepKind::Tools(set) => write!(f, "tools {set}"),
            StepKind::Base(image) => write!(f, "base {image}"),
            StepKind::Layer { image, layer } => write!(f, "base {image} layer {layer}"),
            StepKind::Named(image) => write!(f, "named {image}"),
            StepKind::Root(image) => write!(f, "root {image}"),
            StepKind::Disk(content) => write!(f, "disk {content}"),
            // A kernel is one or the other.
            StepKind::StockKernel(kernel) | StepKind::ReadyKernel(kernel) => write!(f, "kernel {kernel}"),
            StepKind::ReadyFirmware(machine) => write!(f, "uefi {machine}"),
            StepKind::KernelKconfig(kernel) => write!(f, "kernel-kconfig {kernel}"),
            StepKind::KernelConfig(kernel) => write!(f, "kernel-config {kernel}"),
            StepKind::KernelCheck(kernel) => write!(f, "kernel-check {kernel}"),
            StepKind::KernelBuild(kernel) => write!(f, "kernel-build {kernel}"),
            StepKind::ExtraModules { kernel, image } => write!(f, "extra-modules {image} {kernel}"),
            StepKind::AllModules { kernel, image } => write!(f, "all-modules {image} {kernel}"),
            StepKind::Depmod(kernel) => write!(f, "depmod {kernel}"),
            StepKind::Modules(kernel) => write!(f, "modules {kernel}"),
            StepKind::Initrd(kernel) => write!(f, "initrd {kernel}"),
            StepKind::Build(build) => write!(f, "build {build}"),
            StepKind::Pack(output) => write!(f, "pack {} {}", output.build, output.name),
            StepKind::Boot(machine) => write!(f, "boot {machine}"),
            StepKind::Convert { disk, format } => write!(f, "{} {disk}", format.name()),
            StepKind::Firmware(set) => write!(f, "firmware {set}"),
            StepKind::Grub(set) => write!(f, "grub {set}"),
            StepKind::Qemu(qemu) => write!(f, "qemu {qemu}"),
            StepKind::QemuFacts(set, arch) if arch.is_default() => write!(f, "qemu-facts {set}"),
            StepKind::QemuFacts(set, arch) => write!(f, "qemu-facts {set} {arch}"),
        }
    }
}

/// A kernel and the tools of an image that index its modules and make its initramfs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexedKernel {
    /// The kernel.
    pub kernel: String,
    /// The package set of the tools, unless these are the first for this kernel.
    pub other_tools: Option<String>,
    /// The image, where it adds modules of its own.
    pub image: Option<String>,
}

impl fmt::Display for IndexedKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kernel)?;
        let others = self.other_tools.iter().chain(&self.image);
        others.into_iter().try_for_each(|other| write!(f, " {other}"))
    }
}

/// What the file system on a disk holds: machines for which this is the same share the disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskContent {
    /// The image.
    pub image: String,
    /// The kernel whose modules are in it, if that has any.
    pub modules_of: Option<String>,
    /// What the file system is for.
    pub layout: DiskLayout,
}

/// What the file system of an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskLayout {
    /// It is the whole disk, whose kernel QEMU starts.
    Whole,
    /// It becomes a partition of a disk that firmware boots (see [`super::boot`]).
    Partition,
}

impl fmt::Display for DiskContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.image)?;
        if let Some(kernel) = &self.modules_of {
            write!(f, " {kernel}")?;
        }
        match self.layout {
            DiskLayout::Whole => Ok(()),
            DiskLayout::Partition => f.write_str(" partition"),
        }
    }
}

/// A file that a build delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArtifactKind {
    /// The kernel image.
    Kernel,
    /// The kernel's final configuration.
    KernelConfig,
    /// The initramfs.
    Initrd,
    /// The kernel's modules below `usr/lib/modules`, without indexes.
    Modules,
    /// The kernel as it was linked, with debug information.
    Vmlinux,
    /// The kernel's symbols.
    SystemMap,
    /// The kernel's own commands for gdb.
    GdbScripts,
    /// The disk.
    Disk(DiskFormat),
    /// The root file system as an archive.
    Root,
    /// OVMF's code.
    FirmwareCode,
    /// OVMF's variables as they are before the first boot.
    FirmwareVars,
}

impl ArtifactKind {
    /// Its name in the result directory, in manifests and among a lock's outputs.
    pub fn file_name(self) -> &'static str {
        match self {
            ArtifactKind::Kernel => "vmlinuz",
            ArtifactKind::KernelConfig => "kernel.config",
            ArtifactKind::Initrd => "initrd.img",
            ArtifactKind::Modules => "modules.tar",
            ArtifactKind::Vmlinux => "vmlinux",
            ArtifactKind::SystemMap => "System.map",
            ArtifactKind::GdbScripts => "vmlinux-gdb.py",
            ArtifactKind::Disk(format) => format.file_name(),
            ArtifactKind::Root => ROOT,
            ArtifactKind::FirmwareCode => "ovmf-code.fd",
            ArtifactKind::FirmwareVars => "ovmf-vars.fd",
        }
    }
}
