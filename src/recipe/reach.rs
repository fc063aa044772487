//! What a recipe's machines consist of. Libraries declare more than a recipe uses; only what is used is locked and built.

use std::collections::BTreeSet;

use super::Recipe;
use super::kernel::{ConfigBase, Kernel, KernelSource, Origin};
use super::packages::PackageSet;

impl Recipe {
    /// The same recipe without kernels, images, package sets and archives that no machine reaches. A recipe without
    /// machines is for images and kernels alone, and stays whole.
    pub fn reachable(mut self) -> Recipe {
        if self.machines.is_empty() {
            return self;
        }
        let kernels: BTreeSet<&String> = self.machines.values().map(|machine| &machine.kernel).collect();
        self.kernels.retain(|name, _| kernels.contains(name));
        let images: BTreeSet<&String> = self.machines.values().map(|machine| &machine.image).collect();
        self.images.retain(|name, _| images.contains(name));
        let sets: Vec<&PackageSet> = self.sets();
        let names: BTreeSet<String> = sets.iter().map(|set| set.name.clone()).collect();
        let mut archives: BTreeSet<String> = sets.iter().flat_map(|set| set.archives.iter().cloned()).collect();
        let kernels = self.kernels.values();
        archives.extend(kernels.filter_map(source_archives).flatten().cloned());
        self.package_sets.retain(|name, _| names.contains(name));
        self.archives.retain(|name, _| archives.contains(name));
        self
    }

    /// Every package set that a machine, an image or a kernel names; some more than once.
    pub fn sets(&self) -> Vec<&PackageSet> {
        let mut sets: Vec<&PackageSet> = Vec::new();
        sets.extend(self.machines.values().flat_map(|machine| std::iter::once(&machine.qemu).chain(&machine.boot)));
        let images = self.images.values();
        let of_images = images.flat_map(|image| [Some(&image.packages), Some(&image.tools), image.initramfs.as_ref()]);
        sets.extend(of_images.flatten());
        sets.extend(self.kernels.values().flat_map(kernel_sets));
        sets
    }
}

fn kernel_sets(kernel: &Kernel) -> Vec<&PackageSet> {
    match &kernel.origin {
        Origin::Stock { set, .. } => vec![set],
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

fn source_archives(kernel: &Kernel) -> Option<&Vec<String>> {
    match &kernel.origin {
        Origin::Compiled(compiled) => match &compiled.source {
            KernelSource::DebianSource(_, archives) => Some(archives),
            KernelSource::Package(_) | KernelSource::Url { .. } => None,
        },
        Origin::Stock { .. } => None,
    }
}
