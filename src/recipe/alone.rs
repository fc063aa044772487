//! Images that no machine uses: the recipe's own are delivered by themselves.
//!
//! A library declares images to start from, and an image that others extend is one as well: neither is built for its own
//! sake. What is left was declared to be built.

use std::collections::{BTreeMap, BTreeSet};

use super::Recipe;
use super::image::Image;
use super::scope::Scope;
use crate::base::Diagnostic;
use crate::base::source::FileId;

/// The images of the recipe's own file that no other extends.
pub(super) fn goals(scope: &Scope, main: FileId, extended: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    let is_base = |image: &Image| extended.contains(&("image".to_owned(), image.name.clone()));
    let own = scope.images.values().filter(|image| image.span.file == main && !is_base(image));
    let goals: BTreeSet<String> = own.map(|image| image.name.clone()).collect();
    clash(scope, &goals);
    unpartitioned(scope, &goals);
    goals
}

/// The files of the only machine lie beside those of images, and its disk has a fixed name.
fn clash(scope: &Scope, goals: &BTreeSet<String>) {
    let mut machines = scope.machines.values();
    let (Some(machine), None) = (machines.next(), machines.next()) else { return };
    let Some(image) = scope.images.get("disk").filter(|image| goals.contains(&image.name)) else { return };
    if machine.image != image.name {
        let wrong = Diagnostic::new(image.span, "an image that no machine uses cannot be called `disk` here");
        let wrong = wrong.label("its file would have the name of the machine's disk");
        scope.report.push(wrong.related(machine.span, "this machine").hint("give the image another name"));
    }
}

/// A disk that nothing boots has no partition table.
fn unpartitioned(scope: &Scope, goals: &BTreeSet<String>) {
    let used = |image: &Image| scope.machines.values().any(|machine| machine.image == image.name);
    if scope.machines.len() < scope.declared.get("machine").map_or(0, BTreeMap::len) {
        return;
    }
    let alone = scope.images.values().filter(|image| goals.contains(&image.name) && !used(image));
    for first in alone.filter_map(|image| image.disk()?.partitions.first()) {
        let wrong = Diagnostic::new(first.span, "only a disk that firmware boots has a partition table");
        let wrong = wrong.label("no machine uses this image: its disk is one file system");
        scope.report.push(wrong.hint("let a machine with `firmware = uefi` or `firmware = seabios` use the image"));
    }
}

impl Recipe {
    /// The images that are delivered by themselves.
    pub fn images_alone(&self) -> impl Iterator<Item = &Image> {
        self.images.values().filter(|image| self.goals.contains(&image.name) && !self.has_machine_with(image))
    }

    /// Whether a machine uses the image.
    pub fn has_machine_with(&self, image: &Image) -> bool {
        self.machines.values().any(|machine| machine.image == image.name)
    }
}
