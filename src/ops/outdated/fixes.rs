//! Versions that archives of security updates offer.
//!
//! Input: a recipe and its lock, and those archives as they are now. Output: [`Fixes`], which says of two versions whether a fix lies between them.

use std::collections::BTreeSet;

use crate::debian::version;
use crate::lock::resolve::{self, OfferedVersion};
use crate::lock::{Lock, LockedPackage};
use crate::ops::error::OpsError;
use crate::ops::load::Loaded;
use crate::ops::lock as locking;
use crate::recipe::archive::Archive;

/// Whether an archive is one of security updates: by its suite as Debian and Ubuntu name it, or by the repository.
pub(super) fn is_security(archive: &Archive) -> bool {
    let of_repository = archive.repository.rsplit('/').next().unwrap_or_default();
    archive.suite.ends_with("-security") || archive.suite.ends_with("/updates") || of_repository.ends_with("-security")
}

/// What the security archives of a recipe offer.
pub(super) struct Fixes {
    /// The archives that were asked.
    pub(super) archives: Vec<String>,
    versions: BTreeSet<OfferedVersion>,
}

impl Fixes {
    pub(super) fn of(loaded: &Loaded<'_>, lock: &Lock) -> Result<Fixes, OpsError> {
        let recipe = &loaded.recipe;
        let used: BTreeSet<&str> =
            recipe.sets().into_iter().flat_map(|set| &set.archives).map(String::as_str).collect();
        let archives: BTreeSet<&str> = recipe
            .archives
            .values()
            .filter(|archive| is_security(archive))
            .map(|archive| archive.name.as_str())
            .collect();
        let archives: BTreeSet<&str> = archives.intersection(&used).copied().collect();
        if archives.is_empty() {
            return Ok(Fixes { archives: Vec::new(), versions: BTreeSet::new() });
        }
        let packages = lock.sets.values().flatten().map(|package| package.name.as_str()).collect();
        let offered = locking::asked(&loaded.session, &|context| {
            resolve::offered(context, (recipe, lock), &archives, &packages)
                .map_err(|error| OpsError::resolve(recipe, error))
        });
        Ok(Fixes { archives: archives.iter().map(|name| (*name).to_owned()).collect(), versions: offered? })
    }

    fn versions<'a>(&'a self, package: &'a LockedPackage) -> impl Iterator<Item = &'a OfferedVersion> {
        let alike = |offered: &&OfferedVersion| {
            let foreign = ![offered.architecture.as_str(), package.architecture.as_str()].contains(&"all");
            offered.package == package.name && (offered.architecture == package.architecture || !foreign)
        };
        self.versions.iter().filter(alike)
    }

    /// Whether a fix lies on the way from one version to another, whichever archive the latter comes from: what was a
    /// security update is later part of the release.
    pub(super) fn between(&self, from: &LockedPackage, to: &LockedPackage) -> bool {
        self.versions(from).any(|fix| {
            version::compare(&from.version, &fix.version).is_lt() && version::compare(&fix.version, &to.version).is_le()
        })
    }

    /// The newest fix beyond a version.
    pub(super) fn beyond<'a>(&'a self, package: &'a LockedPackage) -> Option<&'a OfferedVersion> {
        let newer = self.versions(package).filter(|fix| version::compare(&package.version, &fix.version).is_lt());
        newer.max_by(|a, b| version::compare(&a.version, &b.version))
    }
}
