//! What a recipe's machines consist of. Libraries declare more than a recipe uses; only what is used is locked and built.

use std::collections::BTreeSet;

use super::Recipe;
use super::build::{self, Build, BuildSource};
use super::image::Image;
use super::kernel::{ConfigBase, Kernel, KernelSource, Origin};
use super::local::{LocalReader, LocalUse};
use super::machine::BuiltFirmware;
use super::packages::PackageSet;
use super::qemu::BuiltQemu;

impl Recipe {
    /// The same recipe without kernels, builds, images, package sets and archives that neither a machine nor an image
    /// or a kernel that is delivered by itself reaches. A recipe with none of those is a library, and stays whole.
    pub fn reachable(mut self) -> Recipe {
        if self.machines.is_empty() && self.goals.is_empty() {
            return self;
        }
        let used = self.machines.values().map(|machine| machine.image.clone());
        let images: BTreeSet<String> = used.chain(self.images_alone().map(|image| image.name.clone())).collect();
        self.images.retain(|name, _| images.contains(name));
        let builds = self.builds_needed();
        let qemus: BTreeSet<String> = self.built_qemus().map(|built| built.name.clone()).collect();
        self.builds.retain(|name, _| builds.contains(name));
        self.qemus.retain(|name, _| qemus.contains(name));
        let booted = self.machines.values().map(|machine| machine.kernel.as_str());
        let wanted = booted.chain(self.builds.values().flat_map(Build::kernels));
        let alone = self.kernels_alone().map(|kernel| kernel.name.as_str());
        let kernels: BTreeSet<String> = wanted.chain(alone).map(str::to_owned).collect();
        self.kernels.retain(|name, _| kernels.contains(name));
        let sets: Vec<&PackageSet> = self.sets();
        let names: BTreeSet<String> = sets.iter().map(|set| set.name.clone()).collect();
        let mut archives: BTreeSet<String> = sets.iter().flat_map(|set| set.archives.iter().cloned()).collect();
        let kernels = self.kernels.values();
        archives.extend(kernels.filter_map(source_archives).flatten().cloned());
        archives.extend(self.builds.values().flat_map(build_archives).flatten().cloned());
        self.package_sets.retain(|name, _| names.contains(name));
        self.archives.retain(|name, _| archives.contains(name));
        self
    }

    /// Every directory that something is built from and that no lock pins.
    pub fn local(&self) -> impl Iterator<Item = LocalUse<'_>> {
        let kernels = self.kernels.values().filter_map(|kernel| {
            let (place, origin, span) = kernel.local()?;
            Some(LocalUse { reader: LocalReader::Kernel(kernel.name.clone()), place, origin, span })
        });
        kernels.chain(self.builds.values().flat_map(Build::local))
    }

    fn builds_needed(&self) -> BTreeSet<String> {
        let booted = self.machines.values().filter_map(|machine| self.kernels.get(&machine.kernel));
        let firmware = self.machines.values().filter_map(|machine| machine.uefi.as_ref());
        let outputs = self.images.values().flat_map(Image::build_outputs);
        let outputs = outputs.chain(self.built_qemus().map(|built| &built.output));
        let outputs = outputs.chain(firmware.flat_map(BuiltFirmware::outputs).map(|output| &output.value));
        let outputs = outputs.chain(booted.flat_map(Kernel::outputs).map(|output| &output.value));
        let wanted: Vec<&str> = outputs.map(|output| output.build.as_str()).collect();
        let first = build::closure(&self.builds, &self.kernels, wanted.iter().copied());
        // Which kernels are delivered by themselves depends on what builds read, and these may in turn need builds.
        let read: BTreeSet<&str> = first.iter().flat_map(|name| self.builds[*name].kernels()).collect();
        let alone = self.kernels.values().filter(|kernel| {
            let booted = self.machines.values().any(|machine| machine.kernel == kernel.name);
            self.goals.kernels.contains(&kernel.name) && !booted && !read.contains(kernel.name.as_str())
        });
        let more = alone.flat_map(Kernel::outputs).map(|output| output.value.build.as_str());
        let all = build::closure(&self.builds, &self.kernels, wanted.iter().copied().chain(more));
        all.into_iter().map(str::to_owned).collect()
    }

    fn built_qemus(&self) -> impl Iterator<Item = &BuiltQemu> {
        self.machines.values().filter_map(|machine| machine.qemu.built())
    }

    /// Every package set that a machine, an image, a kernel or a build names; some more than once.
    pub fn sets(&self) -> Vec<&PackageSet> {
        let mut sets: Vec<&PackageSet> = Vec::new();
        sets.extend(
            self.machines.values().flat_map(|machine| std::iter::once(machine.qemu.packages()).chain(&machine.boot)),
        );
        let images = self.images.values();
        sets.extend(images.flat_map(Image::sets));
        sets.extend(self.kernels.values().flat_map(kernel_sets));
        sets.extend(self.builds.values().map(|build| &build.tools));
        sets
    }
}

fn kernel_sets(kernel: &Kernel) -> Vec<&PackageSet> {
    match &kernel.origin {
        Origin::Stock { set, .. } => vec![set],
        Origin::Built(_) => Vec::new(),
        Origin::Compiled(compiled) => {
            let mut sets = vec![&compiled.build];
            if let KernelSource::Package(set) = &compiled.source {
                sets.push(set);
            }
            if let ConfigBase::Debian(set) = &compiled.base {
                sets.push(set);
            }
            sets
        }
    }
}

fn build_archives(build: &Build) -> impl Iterator<Item = &Vec<String>> {
    build.sources.values().filter_map(|source| match &source.value {
        BuildSource::DebianSource(source) => Some(&source.archives),
        _ => None,
    })
}

fn source_archives(kernel: &Kernel) -> Option<&Vec<String>> {
    match &kernel.origin {
        Origin::Compiled(compiled) => match &compiled.source {
            KernelSource::DebianSource(source) => Some(&source.archives),
            KernelSource::Package(_)
            | KernelSource::Url { .. }
            | KernelSource::Output(_)
            | KernelSource::Directory(..) => None,
        },
        Origin::Stock { .. } | Origin::Built(_) => None,
    }
}
