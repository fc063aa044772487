//! What each package set of a recipe is for: a set of a lock has a name, and people want to know who needs it.

use std::collections::BTreeMap;

use crate::recipe::Recipe;
use crate::recipe::kernel::{ConfigBase, Kernel, KernelSource, Origin};
use crate::recipe::machine::Machine;
use crate::recipe::packages::PackageSet;

/// Who uses the sets of a recipe, by the names of the sets: `tools of build qemu`.
pub(super) fn of(recipe: &Recipe) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut uses = |set: &PackageSet, words: String| {
        let users = users.entry(set.name.clone()).or_default();
        if !users.contains(&words) {
            users.push(words);
        }
    };
    for image in recipe.images.values() {
        uses(&image.packages, format!("packages of image {}", image.name));
        image.sets().into_iter().skip(1).for_each(|set| uses(set, format!("tools of image {}", image.name)));
    }
    for kernel in recipe.kernels.values() {
        of_kernel(kernel, &mut uses);
    }
    recipe.builds.values().for_each(|build| uses(&build.tools, format!("tools of build {}", build.name)));
    recipe.machines.values().for_each(|machine| of_machine(machine, &mut uses));
    users
}

fn of_kernel(kernel: &Kernel, uses: &mut impl FnMut(&PackageSet, String)) {
    let name = &kernel.name;
    match &kernel.origin {
        Origin::Stock { set, .. } => uses(set, format!("kernel {name}")),
        Origin::Compiled(compiled) => {
            if let KernelSource::Package(set) = &compiled.source {
                uses(set, format!("source of kernel {name}"));
            }
            if let ConfigBase::Debian(set) = &compiled.base {
                uses(set, format!("configuration of kernel {name}"));
            }
            uses(&compiled.build, format!("tools of kernel {name}"));
        }
        Origin::Built(_) => {}
    }
}

fn of_machine(machine: &Machine, uses: &mut impl FnMut(&PackageSet, String)) {
    let qemu = match machine.qemu.built() {
        Some(built) => format!("what QEMU {} runs with", built.name),
        None => format!("QEMU of machine {}", machine.name),
    };
    uses(machine.qemu.packages(), qemu);
    machine.boot.iter().for_each(|set| uses(set, format!("boot of machine {}", machine.name)));
}
