//! Which packages of a set stay as they were configured when others are added: the layers of a lock.
//!
//! Input: what a lock has of a set, and how it was solved now. Output: the set in the order of its layers, and those below
//! the last one. Whoever makes a lock from nothing gets one layer; `kiln lock --update` makes one of all again.

use super::Update;
use crate::base::Timestamp;
use crate::debian::solve::Why;
use crate::lock::merge::is_open;
use crate::lock::{Lock, LockedLayer, LockedPackage, MAX_LAYERS};
use crate::recipe::Recipe;
use crate::recipe::image::Image;

/// What a lock says of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayeredSet {
    /// In configure order.
    pub(super) packages: Vec<LockedPackage>,
    /// Those below the last layer.
    pub(super) layers: Vec<LockedLayer>,
}

/// Packages that bring what a recipe says of the images of a set.
pub(super) fn first(recipe: &Recipe, set: &str) -> Vec<&'static str> {
    recipe.images.values().filter(|image| image.packages.name == set).flat_map(of_image).collect()
}

/// Packages that bring what is said of an image: its first layer is configured with its locale, its time zone and its answers,
/// so these are in it.
pub fn of_image(image: &Image) -> Vec<&'static str> {
    let mut first = vec!["debconf"];
    if !matches!(image.locale.as_str(), "C" | "POSIX" | "C.UTF-8") {
        first.extend(["locales", "locales-all"]);
    }
    if !matches!(image.timezone.as_str(), "UTC" | "Etc/UTC") {
        first.extend(["tzdata", "tzdata-legacy"]);
    }
    first
}

/// Puts what was added after what is there, unless one of `first` is among it.
pub(super) fn arrange(
    previous: Option<(&Lock, &str)>,
    solved: Vec<LockedPackage>,
    update: &Update,
    first: &[&str],
) -> LayeredSet {
    let one = |packages| LayeredSet { packages, layers: Vec::new() };
    let before = previous.and_then(|(lock, name)| before(lock, name));
    let Some(before) = before.filter(|_| !matches!(update, Update::All)) else { return one(solved) };
    let now = |package: &LockedPackage| solved.iter().find(|now| same(now, package)).cloned();
    let whole = |(packages, epoch): (&[LockedPackage], Timestamp)| {
        Some((packages.iter().map(now).collect::<Option<Vec<_>>>()?, epoch))
    };
    let mut kept: Vec<(Vec<LockedPackage>, Timestamp)> = before.into_iter().map_while(whole).collect();
    let stays = |kept: &[(Vec<LockedPackage>, Timestamp)], package: &LockedPackage| {
        kept.iter().any(|(packages, _)| packages.iter().any(|stays| same(stays, package)))
    };
    let added: Vec<LockedPackage> = solved.iter().filter(|package| !stays(&kept, package)).cloned().collect();
    if kept.is_empty() || added.iter().any(|package| is_base(package) || first.contains(&package.name.as_str())) {
        return one(solved);
    }
    let mut last = added;
    // What was added last becomes one layer with what is added now, or is the last one again.
    while last.is_empty() || kept.len() >= MAX_LAYERS {
        let Some((mut packages, _)) = kept.pop() else { break };
        packages.append(&mut last);
        last = packages;
    }
    let layers = kept.iter().map(|(packages, epoch)| LockedLayer { packages: packages.len(), epoch: *epoch }).collect();
    let packages = kept.into_iter().flat_map(|(packages, _)| packages).chain(last).collect();
    LayeredSet { packages, layers }
}

/// The layers of a set in a lock, each with the epoch under which it was configured; nothing where its order means nothing.
fn before<'a>(lock: &'a Lock, name: &str) -> Option<Vec<(&'a [LockedPackage], Timestamp)>> {
    let mut rest = lock.sets.get(name)?.as_slice();
    if rest.is_empty() || rest.iter().any(is_open) {
        return None;
    }
    let mut layers = Vec::new();
    for layer in lock.layers.get(name).into_iter().flatten() {
        let (packages, above) = rest.split_at_checked(layer.packages)?;
        layers.push((packages, layer.epoch));
        rest = above;
    }
    layers.push((rest, lock.epoch));
    Some(layers)
}

fn is_base(package: &LockedPackage) -> bool {
    matches!(package.why, Why::Essential | Why::Required)
}

/// In whichever state of an archive.
fn same(a: &LockedPackage, b: &LockedPackage) -> bool {
    (&a.name, &a.architecture, &a.version, a.file) == (&b.name, &b.architecture, &b.version, b.file)
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
