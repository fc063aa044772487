//! Images and kernels that no machine uses: the recipe's own are delivered by themselves.
//!
//! A library declares what to start from, and what others extend is there for that as well: neither is built for its own
//! sake. What is left was declared to be built.

use std::collections::{BTreeMap, BTreeSet};

use super::Recipe;
use super::build::Build;
use super::image::Image;
use super::kernel::Kernel;
use super::scope::Scope;
use crate::base::source::FileId;
use crate::base::{Diagnostic, Span};

/// What a recipe is for, with or without a machine: blocks of its own file that no other extends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goals {
    /// Names of images.
    pub images: BTreeSet<String>,
    /// Names of kernels.
    pub kernels: BTreeSet<String>,
}

impl Goals {
    /// Whether the recipe is for nothing but its machines.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.kernels.is_empty()
    }
}

/// The images and kernels of the recipe's own file that no other extends.
pub(super) fn goals(scope: &Scope, main: FileId, extended: &BTreeSet<(String, String)>) -> Goals {
    let is_goal = |kind: &str, name: &str, span: Span| {
        span.file == main && !extended.contains(&(kind.to_owned(), name.to_owned()))
    };
    let images = scope.images.values().filter(|image| is_goal("image", &image.name, image.span));
    let kernels = scope.kernels.values().filter(|kernel| is_goal("kernel", &kernel.name, kernel.span));
    let goals = Goals {
        images: images.map(|image| image.name.clone()).collect(),
        kernels: kernels.map(|kernel| kernel.name.clone()).collect(),
    };
    clash(scope, &goals);
    unpartitioned(scope, &goals);
    goals
}

/// The files of the only machine lie beside those of images and kernels, and two of them have fixed names.
fn clash(scope: &Scope, goals: &Goals) {
    let mut machines = scope.machines.values();
    let (Some(machine), None) = (machines.next(), machines.next()) else { return };
    let image = scope.images.get("disk").filter(|image| goals.images.contains(&image.name));
    if let Some(image) = image.filter(|image| machine.image != image.name) {
        let wrong = Diagnostic::new(image.span, "an image that no machine uses cannot be called `disk` here");
        let wrong = wrong.label("its file would have the name of the machine's disk");
        scope.report.push(wrong.related(machine.span, "this machine").hint("give the image another name"));
    }
    let kernel = scope.kernels.get("kernel").filter(|kernel| goals.kernels.contains(&kernel.name));
    if let Some(kernel) = kernel.filter(|kernel| machine.kernel != kernel.name) {
        let wrong = Diagnostic::new(kernel.span, "a kernel that no machine uses cannot be called `kernel` here");
        let wrong = wrong.label("`kernel.config` is the configuration of the machine's kernel");
        scope.report.push(wrong.related(machine.span, "this machine").hint("give the kernel another name"));
    }
}

/// A disk that nothing boots has no partition table.
fn unpartitioned(scope: &Scope, goals: &Goals) {
    let used = |image: &Image| scope.machines.values().any(|machine| machine.image == image.name);
    if scope.machines.len() < scope.declared.get("machine").map_or(0, BTreeMap::len) {
        return;
    }
    let alone = scope.images.values().filter(|image| goals.images.contains(&image.name) && !used(image));
    for first in alone.filter_map(|image| image.disk()?.partitions.first()) {
        let wrong = Diagnostic::new(first.span, "only a disk that firmware boots has a partition table");
        let wrong = wrong.label("no machine uses this image: its disk is one file system");
        scope.report.push(wrong.hint("let a machine with `firmware = uefi` or `firmware = seabios` use the image"));
    }
}

impl Recipe {
    /// The images that are delivered by themselves.
    pub fn images_alone(&self) -> impl Iterator<Item = &Image> {
        self.images.values().filter(|image| self.goals.images.contains(&image.name) && !self.has_machine_with(image))
    }

    /// The kernels that are delivered by themselves: neither a machine boots one nor a build reads it.
    pub fn kernels_alone(&self) -> impl Iterator<Item = &Kernel> {
        self.kernels.values().filter(|kernel| {
            let used = self.machines.values().any(|machine| machine.kernel == kernel.name);
            let read = self.builds.values().flat_map(Build::kernels).any(|name| name == kernel.name);
            self.goals.kernels.contains(&kernel.name) && !used && !read
        })
    }

    /// Whether a machine uses the image.
    pub fn has_machine_with(&self, image: &Image) -> bool {
        self.machines.values().any(|machine| machine.image == image.name)
    }
}
