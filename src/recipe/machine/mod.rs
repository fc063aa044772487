//! `machine NAME { ... }`: what QEMU emulates, checked part by part, each part with the words that said it.
//!
//! Input: an evaluated block. Output: [`Machine`], in which names are resolved and units are bytes. What makes a
//! machine *work* (the rules of QEMU and of Linux) is judged later, in [`crate::machine::rules`].

pub mod check;
pub mod cxl;
pub mod device;
pub mod memory;

pub use check::check;

use super::build::BuildOutput;
use super::packages::PackageSet;
use super::qemu::MachineQemu;
use crate::base::Arch;
use crate::base::span::{Span, Spanned};
use cxl::{Bridge, Cxl};
use device::{Attachment, Disk, Forward};
use memory::{Attribute, Distance, MemorySlots, Node, Nvdimm};

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Key of `Recipe::kernels`.
    pub kernel: String,
    /// Key of `Recipe::images`.
    pub image: String,
    /// What emulates it.
    pub qemu: MachineQemu,
    /// Number of CPUs.
    pub cpus: Spanned<u32>,
    /// Bytes of ordinary memory; with nodes, the sum of theirs.
    pub memory: Spanned<u64>,
    /// Bytes that its memory may grow to.
    pub max_memory: Option<Spanned<u64>>,
    /// Slots for memory that is plugged in.
    pub memory_slots: Option<Spanned<u32>>,
    /// Persistent memory modules.
    pub nvdimms: Vec<Nvdimm>,
    /// Model and flags as QEMU spells them: `max`, `max,-hypervisor`.
    pub cpu: Spanned<String>,
    /// Chipset.
    pub chipset: Spanned<Chipset>,
    /// What runs before the kernel.
    pub firmware: Spanned<Firmware>,
    /// The package set that firmware and boot loader come from.
    pub boot: Option<PackageSet>,
    /// Firmware that builds of the recipe leave, in the place of a package's.
    pub uefi: Option<BuiltFirmware>,
    /// Words added to the kernel's command line, in order.
    pub append: Vec<Spanned<String>>,
    /// Words added to QEMU's command line, in order; see [`crate::machine::rules`].
    pub arguments: Vec<Spanned<String>>,
    /// NUMA nodes of ordinary memory; none means one node, made by QEMU.
    pub nodes: Vec<Node>,
    /// Distances between nodes; 10 to itself and 20 to others unless said.
    pub distances: Vec<Distance>,
    /// Latencies and bandwidths between nodes; any of them gives the guest an HMAT.
    pub attributes: Vec<Attribute>,
    /// CXL host bridges and windows.
    pub cxl: Option<Cxl>,
    /// Disks besides the image.
    pub disks: Vec<Disk>,
    /// Whether the guest reaches out through user-mode networking.
    pub user_network: bool,
    /// Ports of the host that lead to ports of the guest.
    pub forwards: Vec<Forward>,
    /// Private networks that the machine is on.
    pub attachments: Vec<Attachment>,
    /// Whether virtio devices copy what they transfer through memory that QEMU can reach directly: slower, and what
    /// keeps a disk alive when its buffers lie in CXL memory that QEMU emulates as MMIO.
    pub bounce: bool,
    /// Whether there is a virtio random number generator.
    pub rng: bool,
    /// Where it was declared.
    pub span: Span,
}

/// The chipset family; the lock makes a versioned machine type of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chipset {
    /// PCI Express: `pc-q35-VERSION`.
    Q35,
    /// Conventional PCI, without CXL: `pc-i440fx-VERSION`.
    I440fx,
    /// A machine that exists in QEMU only, with PCI Express: `virt-VERSION`.
    Virt,
}

impl Chipset {
    /// Every one.
    pub const ALL: [Chipset; 3] = [Chipset::Q35, Chipset::I440fx, Chipset::Virt];

    /// What its machines are.
    pub fn arch(self) -> Arch {
        match self {
            Chipset::Q35 | Chipset::I440fx => Arch::Amd64,
            Chipset::Virt => Arch::Arm64,
        }
    }

    /// The one that a machine has whose recipe names none.
    pub fn usual(arch: Arch) -> Chipset {
        match arch {
            Arch::Amd64 => Chipset::Q35,
            Arch::Arm64 => Chipset::Virt,
        }
    }

    /// In recipes and in `launch.json`.
    pub fn name(self) -> &'static str {
        match self {
            Chipset::Q35 => "q35",
            Chipset::I440fx => "pc",
            Chipset::Virt => "virt",
        }
    }
}

/// What runs before the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// QEMU hands the kernel and the initrd over by itself (through SeaBIOS' option ROM).
    Direct,
    /// SeaBIOS boots the disk.
    Seabios,
    /// OVMF boots the disk.
    Uefi,
}

/// OVMF: code and variables for a machine without Secure Boot.
pub const OVMF: &str = "ovmf";
/// What a kernel is put behind to become a program of UEFI.
pub const STUB: &str = "systemd-boot-efi";
/// What a BIOS starts.
pub const GRUB: &str = "grub-pc-bin";

/// UEFI firmware out of builds of the recipe: `uefi { code = ... variables = ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltFirmware {
    /// What runs, which the guest cannot write to.
    pub code: Spanned<BuildOutput>,
    /// Its variables as they are before the first boot.
    pub variables: Spanned<BuildOutput>,
    /// The block.
    pub span: Span,
}

impl BuiltFirmware {
    /// What it takes of builds.
    pub fn outputs(&self) -> [&Spanned<BuildOutput>; 2] {
        [&self.code, &self.variables]
    }
}

impl Machine {
    /// Packages that its firmware needs in `boot`: without OVMF where a build leaves the firmware.
    pub fn boot_packages(&self) -> Vec<&'static str> {
        let needed = self.firmware.value.packages().iter().copied();
        needed.filter(|name| self.uefi.is_none() || *name != OVMF).collect()
    }

    /// What it is, which its chipset says.
    pub fn arch(&self) -> Arch {
        self.chipset.value.arch()
    }

    /// Its slots for memory: those of the recipe, else one for each module.
    pub fn slots(&self) -> Option<MemorySlots> {
        let modules = self.nvdimms.iter().fold(0u64, |sum, module| sum.saturating_add(module.size.value));
        let total = self.max_memory.as_ref().map_or(self.memory.value.saturating_add(modules), |max| max.value);
        let fitted = u32::try_from(self.nvdimms.len()).unwrap_or(u32::MAX);
        let slots = self.memory_slots.as_ref().map_or(fitted, |slots| slots.value);
        (slots > 0).then_some(MemorySlots { slots, total })
    }

    /// Bridges that latencies and bandwidths lead to, in order: each gets a generic port, with a node of its own after
    /// those of the recipe.
    pub fn generic_ports(&self) -> impl Iterator<Item = &Bridge> {
        let bridges = self.cxl.iter().flat_map(|cxl| &cxl.bridges);
        bridges.filter(|bridge| self.attributes.iter().any(|attribute| attribute.to.value == bridge.name.value))
    }

    /// Whether its guest cannot see that there is a hypervisor: QEMU applies `-` last, `+` before it, and of several
    /// `hypervisor=` the last (target/i386/cpu.c).
    pub fn hides_hypervisor(&self) -> bool {
        let flags: Vec<&str> = self.cpu.value.split(',').collect();
        let last = flags.iter().rev().find_map(|flag| flag.strip_prefix("hypervisor="));
        flags.contains(&"-hypervisor") || (last == Some("off") && !flags.contains(&"+hypervisor"))
    }
}

impl Firmware {
    /// Packages that it needs in the machine's `boot`.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Firmware::Direct => &[],
            Firmware::Seabios => &[GRUB],
            Firmware::Uefi => &[OVMF, STUB],
        }
    }
}
