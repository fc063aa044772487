//! The sets of a lock: packages in the order in which they are configured, each of which a lock may state.

use std::collections::BTreeMap;

use super::{Archives, ReadError, fact, not_among};
use crate::debian::archive::{ArchiveRef, NotAnArchive};
use crate::debian::solve::{NotAReason, Why};
use crate::lock::wire::{WireLayer, WirePackage, WireSet};
use crate::lock::write::package_key;
use crate::lock::{LockedFile, LockedLayer, LockedPackage, MAX_LAYERS};

/// The layers of a set below the last one, each with a package, as the last one has.
pub(in crate::lock) fn layered(set: &WireSet) -> Result<Vec<LockedLayer>, String> {
    let mut left = set.configure.len();
    for layer in &set.layers {
        match left.checked_sub(layer.packages) {
            Some(rest) if layer.packages > 0 && rest > 0 => left = rest,
            _ => return Err("its layers have not as many packages as it configures, or one has none".to_owned()),
        }
    }
    if set.layers.len() >= MAX_LAYERS {
        return Err(format!("it has {} layers (limit {MAX_LAYERS})", set.layers.len() + 1));
    }
    Ok(set.layers.iter().map(|&WireLayer { packages, epoch }| LockedLayer { packages, epoch }).collect())
}

/// A set's packages in configure order.
pub(super) fn ordered(name: &str, set: WireSet, archives: &Archives) -> Result<Vec<LockedPackage>, ReadError> {
    let place = format!("sets.{name}");
    let mut packages = Vec::with_capacity(set.packages.len());
    let mut wrong = None;
    for wire in set.packages {
        match package(&place, wire, archives) {
            Ok(package) => packages.push(package),
            Err(error) => {
                wrong = Some(error);
                break;
            }
        }
    }
    let by_key = by_key(&place, &packages)?;
    // What stands before it is told first.
    if let Some(error) = wrong {
        return Err(error);
    }
    let order = order(&place, &by_key, &set.configure)?;
    let names = |cause: &&str| by_key.range((*cause, "")..).next().is_some_and(|((name, _), _)| name == cause);
    let mut in_order = order.iter().map(|at| &packages[*at]);
    if let Some(stray) = in_order.find(|package| package.why.cause().is_some_and(|cause| !names(&cause))) {
        let LockedPackage { name, why, .. } = stray;
        return Err(fact(place, format!("`{name}` is there as {why}, which is not in the set")));
    }
    let mut packages: Vec<Option<LockedPackage>> = packages.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| packages[at].take()).collect())
}

/// Where each package stands, by name and architecture.
type ByKey<'a> = BTreeMap<(&'a str, &'a str), usize>;

fn by_key<'a>(place: &str, packages: &'a [LockedPackage]) -> Result<ByKey<'a>, ReadError> {
    let mut by_key = ByKey::new();
    for (at, package) in packages.iter().enumerate() {
        if by_key.insert((&package.name, &package.architecture), at).is_some() {
            let key = package_key(package);
            let problem = format!("duplicate package `{key}`: a set has one version for each name and architecture");
            return Err(fact(place, problem));
        }
    }
    Ok(by_key)
}

/// Where the packages stand that are configured one after the other.
fn order(place: &str, by_key: &ByKey<'_>, configure: &[String]) -> Result<Vec<usize>, ReadError> {
    let mut is_configured = vec![false; by_key.len()];
    let mut order = Vec::with_capacity(by_key.len());
    for key in configure {
        // No package has a name with a colon.
        let Some(&at) = key.split_once(':').and_then(|key| by_key.get(&key)) else {
            return Err(fact(place, format!("`{key}` is configured, but not among the packages")));
        };
        if std::mem::replace(&mut is_configured[at], true) {
            return Err(fact(place, format!("`{key}` is configured twice")));
        }
        order.push(at);
    }
    let others = by_key.iter().filter(|(_, at)| !is_configured[**at]);
    match others.map(|((name, architecture), _)| format!("{name}:{architecture}")).min() {
        Some(key) => Err(fact(place, format!("`{key}` is never configured"))),
        None => Ok(order),
    }
}

pub(in crate::lock) fn package(
    place: &str,
    wire: WirePackage,
    archives: &Archives,
) -> Result<LockedPackage, ReadError> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'+' | b'-' | b'.');
    // Debian policy 5.6.7: at least two characters, starting alphanumeric.
    if wire.name.len() < 2
        || !wire.name.bytes().all(allowed)
        || !wire.name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(fact(place, format!("`{}` is not a package name", wire.name)));
    }
    let wrong = |error: String| fact(place, format!("`{}`: {error}", wire.name));
    let archive: ArchiveRef = match wire.archive.as_str() {
        ArchiveRef::LOCAL => ArchiveRef::local(),
        name => name.parse().map_err(|error: NotAnArchive| wrong(error.to_string()))?,
    };
    if !archive.is_local() && !archives.contains_key(&archive) {
        return Err(not_among(place, &wire.name, &archive));
    }
    let why: Why = wire.why.parse().map_err(|error: NotAReason| wrong(error.to_string()))?;
    let climbs = wire.path.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    // A file of the recipe may be called whatever its author likes.
    let odd = wire.path.contains(|c: char| c.is_control() || c == '\\' || c == ' ');
    if climbs || (odd && !archive.is_local()) {
        return Err(fact(place, format!("`{}`: `{}` is not a path within a repository", wire.name, wire.path)));
    }
    if !wire.architecture.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        || wire.version.is_empty()
        || !wire.version.bytes().all(|c| c.is_ascii_graphic() && c != b'/')
    {
        return Err(fact(place, format!("`{}`: its version or architecture is malformed", wire.name)));
    }
    Ok(LockedPackage {
        name: wire.name,
        architecture: wire.architecture,
        version: wire.version,
        archive,
        path: wire.path,
        file: LockedFile { size: wire.size, sha256: wire.sha256 },
        why,
    })
}

/// One digest has one size, in whatever sets it is.
pub(super) fn one_size(sets: &BTreeMap<String, Vec<LockedPackage>>) -> Result<(), ReadError> {
    let mut sizes = BTreeMap::new();
    for (name, package) in sets.iter().flat_map(|(name, packages)| packages.iter().map(move |package| (name, package)))
    {
        let size = *sizes.entry(package.file.sha256).or_insert(package.file.size);
        if size != package.file.size {
            let problem =
                format!("`{}` has {} bytes here, but {size} in another place", package.name, package.file.size);
            return Err(fact(format!("sets.{name}"), problem));
        }
    }
    Ok(())
}
