//! What one side of a merge pins. Git merges lines, so a list of packages may have one that is not among those to configure,
//! and the other way round: such a set is read as far as it goes, and marked to be solved again.

use std::collections::{BTreeMap, BTreeSet};

use crate::debian::archive::ArchiveRef;
use crate::debian::solve::Why;
use crate::lock::read::{checked, layered, package, parsed, recipe, source_file, users};
use crate::lock::wire::WireSet;
use crate::lock::write::package_key;
use crate::lock::{Lock, LockedArchive, LockedPackage, LockedSource, ReadError};

/// Reads a text that need not be a lock of its own.
pub(super) fn read(text: &str) -> Result<Lock, ReadError> {
    let wire = parsed(text)?;
    let archives = wire.archives.into_iter().map(|(name, archive)| checked(&name, archive));
    let archives: BTreeMap<ArchiveRef, LockedArchive> = archives.collect::<Result<_, ReadError>>()?;
    let layers = wire.sets.iter().filter_map(|(name, set)| Some((name.clone(), layered(set).ok()?)));
    let layers = layers.filter(|(_, layers)| !layers.is_empty()).collect();
    let sets = wire.sets.into_iter().map(|(name, set)| (name.clone(), packages(&name, set, &archives)));
    let sets = sets.collect();
    let sources = wire.sources.into_iter().map(|(name, files)| {
        let place = format!("sources.{name}");
        let files = files.into_iter().map(|(file, wire)| source_file(&place, file, wire, &archives));
        Some((name, LockedSource { files: files.collect::<Result<_, _>>().ok()? }))
    });
    let sources = sources.flatten().collect();
    let images = wire.images.into_iter().map(|(name, image)| Ok((name.clone(), users(&name, image)?)));
    Ok(Lock {
        output_version: wire.output,
        recipe: recipe(wire.recipe),
        epoch: wire.epoch,
        seed: wire.seed,
        sources,
        sets,
        layers,
        images: images.collect::<Result<_, ReadError>>()?,
        archives,
        local: wire.local,
        // What a build found out belongs to the whole lock that it was built from.
        kernels: BTreeMap::new(),
        machines: BTreeMap::new(),
        steps: BTreeMap::new(),
        outputs: BTreeMap::new(),
    })
}

/// The packages of a set that a lock may have.
fn packages(name: &str, set: WireSet, archives: &BTreeMap<ArchiveRef, LockedArchive>) -> Vec<LockedPackage> {
    let place = format!("sets.{name}");
    let stated = set.packages.len();
    let is_layered = layered(&set).is_ok();
    let packages = set.packages.into_iter().filter_map(|wire| package(&place, wire, archives).ok()).collect();
    in_order(packages, &set.configure, is_layered.then_some(stated))
}

/// Packages in the order of a list, and to be solved again if the two do not fit, or if there are not as many as stated.
pub(in crate::lock) fn in_order(
    packages: Vec<LockedPackage>,
    configure: &[String],
    stated: Option<usize>,
) -> Vec<LockedPackage> {
    let mut by_key: BTreeMap<String, LockedPackage> =
        packages.into_iter().map(|package| (package_key(&package), package)).collect();
    let whole = stated == Some(by_key.len())
        && configure.len() == by_key.len()
        && configure.iter().collect::<BTreeSet<_>>() == by_key.keys().collect();
    let mut ordered: Vec<LockedPackage> = configure.iter().filter_map(|key| by_key.remove(key)).collect();
    ordered.extend(by_key.into_values());
    if !whole {
        reopen(&mut ordered);
    }
    ordered
}

/// Takes away what answers the recipe, so that the set is solved again with these pins, whose order means nothing.
pub(in crate::lock) fn reopen(packages: &mut [LockedPackage]) {
    packages.iter_mut().for_each(|package| package.why = Why::DependencyOf(package.name.clone()));
}

/// Whether [`reopen`] was asked for this one.
pub(in crate::lock) fn is_open(package: &LockedPackage) -> bool {
    package.why == Why::DependencyOf(package.name.clone())
}
