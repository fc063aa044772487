//! Whether the sets and sources of a lock hold what plans take out of them.
//!
//! Whoever lowers a recipe relies on this: a lock may come from anybody, with anything left out of it.

use super::mismatch::Mismatch;
use super::resolve::{SetAnswer, SourceAnswer, source_answers};
use super::{Lock, LockedPackage};
use crate::recipe::Recipe;
use crate::recipe::image::BUSYBOX;
use crate::recipe::kernel::{ConfigBase, Kernel, KernelSource, Origin};
use crate::recipe::packages::PackageSet;

/// Everything that is missing, a sentence each.
pub(super) fn missing(recipe: &Recipe, lock: &Lock) -> Vec<Mismatch> {
    let mut wrong = sets(recipe, lock);
    wrong.extend(sources(recipe, lock));
    if wrong.is_empty() {
        wrong.extend(named(recipe, lock));
        wrong.extend(filled(recipe, lock));
    }
    wrong
}

fn sets(recipe: &Recipe, lock: &Lock) -> Vec<Mismatch> {
    let sets = match super::resolve::sets(recipe) {
        Ok(sets) => sets,
        Err(error) => return vec![Mismatch::new(error.to_string())],
    };
    let problem = |(name, set): (&str, &PackageSet)| {
        let problem = match super::resolve::set_answer(recipe, set, lock) {
            SetAnswer::Whole => return None,
            SetAnswer::Missing => "is new".to_owned(),
            SetAnswer::Lacks(package) => format!("lacks `{package}`, which the recipe requests"),
            SetAnswer::Foreign(package) => format!("has `{package}` from an archive that the recipe does not allow"),
        };
        Some(Mismatch::at(set.span, format!("package set `{name}` {problem}")))
    };
    sets.into_iter().filter_map(problem).collect()
}

fn sources(recipe: &Recipe, lock: &Lock) -> Vec<Mismatch> {
    let problem = |(name, answer)| match answer {
        SourceAnswer::Whole => None,
        SourceAnswer::Missing => Some(Mismatch::new(format!("source `{name}` is not in the lock"))),
        SourceAnswer::Other => Some(Mismatch::new(format!("source `{name}` does not match the recipe"))),
    };
    source_answers(recipe, lock).into_iter().filter_map(problem).collect()
}

/// Packages that steps take files out of, by name: one that only `Provides` the name has other files.
fn named(recipe: &Recipe, lock: &Lock) -> Vec<Mismatch> {
    let shells = recipe.images.values().filter_map(|image| Some((image.disk()?.initramfs_set(), vec![BUSYBOX])));
    let boots = recipe.machines.values().filter_map(|machine| Some((machine.boot.as_ref()?, machine.boot_packages())));
    let mut wrong: Vec<Mismatch> = Vec::new();
    for (set, names) in shells.chain(boots) {
        let has = |name: &&str| packages(lock, set).iter().any(|package| package.name == **name);
        let lacks = names.iter().filter(|name| !has(name));
        wrong.extend(lacks.map(|name| {
            let text = format!("package set `{}` has no package called `{name}`", set.name);
            Mismatch::at(set.span, text)
                .hint(format!("add `{name}`: a file of it is needed, whatever provides the name"))
        }));
    }
    wrong.dedup();
    wrong
}

/// Sets of which some package, whichever it is, holds a kernel's source or configuration.
fn filled(recipe: &Recipe, lock: &Lock) -> Vec<Mismatch> {
    let of = |kernel: &Kernel| -> Vec<PackageSet> {
        let Origin::Compiled(compiled) = &kernel.origin else { return Vec::new() };
        let source = match &compiled.source {
            KernelSource::Package(set) => Some(set),
            KernelSource::DebianSource(..)
            | KernelSource::Url { .. }
            | KernelSource::Output(_)
            | KernelSource::Directory(..) => None,
        };
        let base = match &compiled.base {
            ConfigBase::Debian(set) => Some(set),
            ConfigBase::Target(_) | ConfigBase::File(_) => None,
        };
        source.into_iter().chain(base).cloned().collect()
    };
    let sets = recipe.kernels.values().flat_map(of).filter(|set| packages(lock, set).is_empty());
    let empty = |set: PackageSet| format!("package set `{}` is empty, but a kernel needs it", set.name);
    sets.map(|set| Mismatch::at(set.span, empty(set))).collect()
}

fn packages<'a>(lock: &'a Lock, set: &PackageSet) -> &'a [LockedPackage] {
    lock.sets.get(&set.name).map_or(&[], Vec::as_slice)
}
