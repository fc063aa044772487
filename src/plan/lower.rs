//! Recipe and lock to the whole plan: kernels, images, disks and the QEMU of every machine.

use std::collections::BTreeMap;

use super::boot::{self, BootParts};
use super::build;
use super::builder::Builder;
use super::disk;
use super::image::{self, DiskParts, FileSystems};
use super::kernel;
use super::kind::{ArtifactKind, DiskContent, DiskLayout, IndexedKernel};
use super::parts::KernelParts;
use super::qemu::{self, Asked};
use super::ready;
use super::step::{Artifact, ArtifactOwner, Input, Plan};
use super::stock::{self, ExtraModules, Modules};
use crate::base::Arch;
use crate::lock::Lock;
use crate::recipe::Recipe;
use crate::recipe::build::BuildOutput;
use crate::recipe::image::{DiskFormat, Image};
use crate::recipe::kernel::{Kernel, Origin};
use crate::recipe::machine::{Firmware, Machine};

/// The steps that build everything the recipe's machines consist of, and the images and kernels that no machine uses.
///
/// The lock must satisfy the recipe: every set, source and archive that the recipe asks for is there.
pub fn lower(recipe: &Recipe, lock: &Lock) -> Plan {
    let mut lowering = Lowering {
        builder: Builder::of(recipe, lock),
        recipe,
        kernels: BTreeMap::new(),
        indexed: BTreeMap::new(),
        disks: BTreeMap::new(),
    };
    for machine in recipe.machines.values() {
        lowering.machine(machine);
    }
    for image in recipe.images_alone() {
        lowering.image(image);
    }
    for kernel in recipe.kernels_alone() {
        lowering.kernel_alone(kernel);
    }
    lowering.qemu_facts();
    lowering.builder.plan
}

struct Lowering<'a> {
    builder: Builder<'a>,
    recipe: &'a Recipe,
    /// Kernels as their steps leave them, by name.
    kernels: BTreeMap<String, KernelParts>,
    /// The same with indexed modules and an initramfs.
    indexed: BTreeMap<KernelKey, KernelParts>,
    disks: BTreeMap<DiskContent, FileSystems>,
}

/// Machines for which this is the same share a kernel's modules and initramfs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KernelKey {
    kernel: String,
    /// The package set that indexes its modules.
    tools: String,
    /// The package set with the initramfs's shell.
    shell: String,
    /// Modules of builds beside the kernel's own.
    extra: Vec<BuildOutput>,
}

impl Lowering<'_> {
    fn machine(&mut self, machine: &Machine) {
        let parts = self.kernel(machine);
        let disk = self.disk(machine, &parts);
        self.deliver(machine, ArtifactKind::Kernel, parts.vmlinuz.clone());
        if let Some(config) = parts.config.clone() {
            self.deliver(machine, ArtifactKind::KernelConfig, config);
        }
        for (kind, from) in parts.debug.clone() {
            self.deliver(machine, kind, from);
        }
        if machine.firmware.value == Firmware::Direct {
            if let Some(initrd) = parts.initrd {
                self.deliver(machine, ArtifactKind::Initrd, initrd);
            }
            self.deliver(machine, ArtifactKind::Disk(self.format(machine)), disk.root);
        } else {
            self.bootable(machine, &parts, disk);
        }
        let qemu = qemu::tree(&mut self.builder, self.recipe, &machine.qemu);
        self.builder.plan.qemu.insert(machine.name.clone(), qemu);
    }

    /// An image that no machine uses: its root file system as an archive, or on a disk of its own.
    fn image(&mut self, image: &Image) {
        let root = image::root(&mut self.builder, self.recipe, image);
        let (kind, from) = match image.disk() {
            None => (ArtifactKind::Root, root),
            Some(disk) => {
                let content = DiskContent { image: image.name.clone(), modules_of: None, layout: DiskLayout::Whole };
                let parts = DiskParts { root, modules: None, fstab: None };
                let made = image::file_systems(&mut self.builder, (image, disk), &content, parts);
                (ArtifactKind::Disk(disk.format), made.root)
            }
        };
        self.builder.plan.artifacts.push(Artifact { owner: ArtifactOwner::Image(image.name.clone()), kind, from });
    }

    /// A kernel that no machine uses: as its steps leave it, since no image lends tools to index its modules.
    fn kernel_alone(&mut self, kernel: &Kernel) {
        let KernelParts { vmlinuz, config, modules, debug, .. } = self.unindexed(&kernel.name);
        let config = config.map(|config| (ArtifactKind::KernelConfig, config));
        let files = std::iter::once((ArtifactKind::Kernel, vmlinuz)).chain(config);
        let modules = modules.map(|modules| (ArtifactKind::Modules, modules));
        for (kind, from) in files.chain(modules).chain(debug) {
            self.builder.plan.artifacts.push(Artifact {
                owner: ArtifactOwner::Kernel(kernel.name.clone()),
                kind,
                from,
            });
        }
    }

    /// Each QEMU is asked once, however many machines it runs and whatever its package set is called; a set may hold one
    /// for each architecture.
    fn qemu_facts(&mut self) {
        let mut asked: BTreeMap<(usize, Arch), Asked<'_>> = BTreeMap::new();
        for machine in self.recipe.machines.values() {
            let at = self.builder.plan.qemu[&machine.name];
            let asked = asked.entry((at, machine.arch())).or_insert_with(|| Asked::of(at, machine));
            let locked = self.builder.lock.machines.get(&machine.name);
            asked.machines.extend(locked.map(|locked| locked.machine_type.clone()));
            asked.also(machine);
        }
        for asked in asked.into_values() {
            qemu::facts(&mut self.builder, asked);
        }
    }

    fn deliver(&mut self, machine: &Machine, kind: ArtifactKind, from: Input) {
        let owner = ArtifactOwner::Machine(machine.name.clone());
        self.builder.plan.artifacts.push(Artifact { owner, kind, from });
    }

    /// That of the machine's image.
    fn format(&self, machine: &Machine) -> DiskFormat {
        self.recipe.images[&machine.image].machine_disk().format
    }

    /// A kernel is built once, however many machines boot it; the image lends the tools that index its modules.
    fn kernel(&mut self, machine: &Machine) -> KernelParts {
        let image = &self.recipe.images[&machine.image];
        let disk = image.machine_disk();
        let (tools, shell) = (&disk.tools.name, &disk.initramfs_set().name);
        let extra: Vec<BuildOutput> = image.modules.iter().map(|module| module.value.clone()).collect();
        let key = KernelKey { kernel: machine.kernel.clone(), tools: tools.clone(), shell: shell.clone(), extra };
        if let Some(parts) = self.indexed.get(&key) {
            return parts.clone();
        }
        let mut parts = self.unindexed(&machine.kernel);
        let is_first = !self.indexed.keys().any(|known| (&known.kernel, &known.extra) == (&key.kernel, &key.extra));
        let other_tools = (!is_first).then(|| key.shell.clone());
        let adding = (!key.extra.is_empty()).then(|| image.name.clone());
        let kernel = IndexedKernel { kernel: key.kernel.clone(), other_tools, image: adding };
        if let Some(mut modules) = parts.modules.take() {
            if !key.extra.is_empty() {
                let extra = ExtraModules { recipe: self.recipe, image, kernel: &machine.kernel, tree: modules };
                modules = stock::with_extra(&mut self.builder, &extra);
            }
            let wanted = self.recipe.kernels[&machine.kernel].initrd_modules();
            let modules = Modules { kernel, tree: modules, tools, shell };
            parts.modules = Some(stock::with_index(&mut self.builder, &modules));
            parts.initrd = Some(stock::initrd(&mut self.builder, &modules, wanted));
        }
        self.indexed.insert(key, parts.clone());
        parts
    }

    /// A kernel whose modules, if it has any, are not indexed, and without an initramfs.
    fn unindexed(&mut self, name: &str) -> KernelParts {
        if let Some(parts) = self.kernels.get(name) {
            return parts.clone();
        }
        let kernel = &self.recipe.kernels[name];
        for output in kernel.outputs() {
            build::output(&mut self.builder, self.recipe, &output.value);
        }
        let parts = match &kernel.origin {
            Origin::Stock { set, .. } => stock::lower(&mut self.builder, &kernel.name, set),
            Origin::Built(built) => ready::kernel(&mut self.builder, self.recipe, (kernel, built)),
            Origin::Compiled(compiled) => {
                let parts = kernel::lower(&mut self.builder, self.recipe, kernel, compiled);
                KernelParts {
                    vmlinuz: parts.vmlinuz,
                    config: Some(parts.config),
                    modules: parts.modules,
                    initrd: None,
                    debug: parts.debug,
                }
            }
        };
        self.kernels.insert(name.to_owned(), parts.clone());
        parts
    }

    fn disk(&mut self, machine: &Machine, kernel: &KernelParts) -> FileSystems {
        // Two kernels without modules share one disk.
        let modules_of = kernel.modules.is_some().then(|| machine.kernel.clone());
        let layout = match machine.firmware.value {
            Firmware::Direct => DiskLayout::Whole,
            Firmware::Uefi | Firmware::Seabios => DiskLayout::Partition,
        };
        let content = DiskContent { image: machine.image.clone(), modules_of, layout };
        if let Some(disk) = self.disks.get(&content) {
            return disk.clone();
        }
        let image = &self.recipe.images[&machine.image];
        let root = image::root(&mut self.builder, self.recipe, image);
        let fstab = match layout {
            DiskLayout::Whole => None,
            DiskLayout::Partition => boot::overlay(&self.builder, image),
        };
        let parts = DiskParts { root, modules: kernel.modules.clone(), fstab };
        let disk = image::file_systems(&mut self.builder, (image, image.machine_disk()), &content, parts);
        self.disks.insert(content, disk.clone());
        disk
    }

    /// The disk with everything on it that the machine's firmware looks for, and the firmware itself.
    fn bootable(&mut self, machine: &Machine, kernel: &KernelParts, disk: FileSystems) {
        let image = &self.recipe.images[&machine.image];
        let disk = boot::raw_disk(&mut self.builder, BootParts { machine, image, kernel, disk });
        let format = self.format(machine);
        let disk = disk::converted(&mut self.builder, disk, format);
        self.deliver(machine, ArtifactKind::Disk(format), disk);
        let firmware = match (&machine.uefi, machine.firmware.value) {
            (Some(built), Firmware::Uefi) => ready::firmware(&mut self.builder, self.recipe, (machine, built)),
            _ => boot::firmware(&mut self.builder, machine),
        };
        for (kind, file) in firmware {
            self.deliver(machine, kind, file);
        }
    }
}
