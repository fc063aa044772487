//! Which packages, kernels, sources and QEMUs of a lock have newer versions in the archives, and which of these are security updates.
//!
//! Input: a recipe with its lock, and the archives as they are now. Output: [`OutdatedReport`]: what `kiln lock --update` would
//! move, and what security updates it would not take. Nothing is written but the store's copies of indexes.

mod fixes;
mod updates;

pub use updates::{HeldUpdate, NamedUpdate, OutdatedReport, PackageMove, PackageUpdate};

use std::collections::{BTreeMap, BTreeSet};

use self::fixes::{Fixes, is_security};
use super::error::OpsError;
use super::load;
use super::lock as locking;
use super::options::RecipeOptions;
use super::session::Session;
use crate::debian::version;
use crate::lock::resolve::Update;
use crate::lock::{Lock, LockedPackage, LockedSource};
use crate::plan::stock::carries_kernel;
use crate::recipe::Recipe;

/// Compares a lock with the archives.
pub fn outdated(session: &Session<'_>, options: &RecipeOptions) -> Result<OutdatedReport, OpsError> {
    let loaded = load::recipe(session, options)?;
    let lock = load::lock_of(&loaded)?;
    let updated = locking::made(&loaded, Some(&lock), &Update::All)?;
    let fixes = Fixes::of(&loaded, &lock)?;
    let comparison = Comparison { recipe: &loaded.recipe, before: &lock, after: &updated, fixes };
    Ok(comparison.report())
}

/// A lock, and what it would become.
struct Comparison<'a> {
    recipe: &'a Recipe,
    before: &'a Lock,
    after: &'a Lock,
    fixes: Fixes,
}

impl Comparison<'_> {
    fn report(&self) -> OutdatedReport {
        let mut report = OutdatedReport {
            kernels: self.kernels(),
            sources: self.sources(),
            machines: self.machines(),
            held: self.held(),
            security_archives: self.fixes.archives.clone(),
            ..OutdatedReport::default()
        };
        let mut updates: BTreeMap<(&str, &str, &str), PackageUpdate> = BTreeMap::new();
        for (set, before) in &self.before.sets {
            let after = self.after.sets.get(set).map_or(&[][..], Vec::as_slice);
            let moved = |package: &LockedPackage| PackageMove {
                set: set.clone(),
                package: package.name.clone(),
                version: package.version.clone(),
            };
            report.added.extend(after.iter().filter(|package| find(before, package).is_none()).map(moved));
            for package in before {
                let Some(newer) = find(after, package) else {
                    report.removed.push(moved(package));
                    continue;
                };
                if newer.file == package.file {
                    continue;
                }
                let key = (package.name.as_str(), package.version.as_str(), newer.version.as_str());
                updates.entry(key).or_insert_with(|| self.update(package, newer)).sets.push(set.clone());
            }
        }
        report.packages = updates.into_values().collect();
        report
    }

    fn update(&self, from: &LockedPackage, to: &LockedPackage) -> PackageUpdate {
        PackageUpdate {
            package: from.name.clone(),
            from: from.version.clone(),
            to: to.version.clone(),
            archive: to.archive.name.clone(),
            security: self.fixes.between(from, to),
            sets: Vec::new(),
        }
    }

    /// Fixes that are newer than what an update takes: the recipe pins a version, or prefers another archive.
    fn held(&self) -> Vec<HeldUpdate> {
        let held = self.after.sets.values().flatten().filter_map(|package| {
            let fix = self.fixes.beyond(package)?;
            Some(HeldUpdate {
                package: package.name.clone(),
                version: package.version.clone(),
                offered: fix.version.clone(),
                archive: fix.archive.clone(),
            })
        });
        held.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A kernel's package bears its version in its name, so that another version is another package.
    fn kernels(&self) -> Vec<NamedUpdate> {
        let names = self.recipe.kernels.values().filter_map(|kernel| {
            let set = kernel.package_set()?;
            let carrier = |lock: &'_ Lock| {
                let packages = lock.sets.get(&set.name)?;
                let carries = |package: &&LockedPackage| {
                    carries_kernel(&package.name) || package.name.starts_with("linux-source-")
                };
                packages.iter().find(carries).cloned()
            };
            let (from, to) = (carrier(self.before)?, carrier(self.after)?);
            let security = self.is_of_security(&to) && version::compare(&from.version, &to.version).is_lt();
            named(&kernel.name, (from.version.clone(), to.version.clone()), security || self.fixes.between(&from, &to))
        });
        names.collect()
    }

    fn is_of_security(&self, package: &LockedPackage) -> bool {
        self.recipe.archives.get(&package.archive.name).is_some_and(is_security)
    }

    fn sources(&self) -> Vec<NamedUpdate> {
        let updates = self.before.sources.iter().filter_map(|(name, before)| {
            let after = self.after.sources.get(name)?;
            let archive = after.files.values().find_map(|file| file.place.archive());
            let archive = archive.and_then(|archive| self.recipe.archives.get(&archive.name));
            let digests =
                |source: &LockedSource| -> Vec<_> { source.files.values().map(|file| file.file.sha256).collect() };
            let versions = (digests(before) != digests(after)).then(|| (version_of(before), version_of(after)));
            versions.map(|(from, to)| NamedUpdate {
                name: name.clone(),
                from,
                to,
                security: archive.is_some_and(is_security),
            })
        });
        updates.collect()
    }

    fn machines(&self) -> Vec<NamedUpdate> {
        let updates = self.before.machines.iter().filter_map(|(name, before)| {
            let after = self.after.machines.get(name)?;
            let set = self.recipe.machines.get(name).map(|machine| &machine.qemu.packages().name);
            let packages = |lock: &'_ Lock| set.and_then(|set| lock.sets.get(set)).cloned().unwrap_or_default();
            let (old, new) = (packages(self.before), packages(self.after));
            let is_qemu = |package: &&LockedPackage| package.name.starts_with("qemu-system");
            let fixed = old
                .iter()
                .filter(is_qemu)
                .any(|package| find(&new, package).is_some_and(|newer| self.fixes.between(package, newer)));
            named(name, (before.qemu.clone(), after.qemu.clone()), fixed)
        });
        updates.collect()
    }
}

fn named(name: &str, (from, to): (String, String), security: bool) -> Option<NamedUpdate> {
    (from != to).then(|| NamedUpdate { name: name.to_owned(), from, to, security })
}

fn find<'a>(packages: &'a [LockedPackage], like: &LockedPackage) -> Option<&'a LockedPackage> {
    packages.iter().find(|package| package.name == like.name)
}

/// What the name of a source's main file says: `6.12.57-1` of `linux_6.12.57-1.dsc`, `81` of `ndctl_81.orig.tar.gz`; of a file that
/// bears no version its name.
fn version_of(source: &LockedSource) -> String {
    let mut names = source.files.keys();
    let name = names.find(|name| name.ends_with(".dsc")).or(source.files.keys().next()).map_or("", String::as_str);
    let version = name.split_once('_').map_or(name, |(_, version)| version);
    let version = version.strip_suffix(".dsc").unwrap_or(version);
    version.split(".orig.tar").next().unwrap_or(version).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_source_is_in_the_name_of_its_main_file() {
        let source = |names: &[&str]| {
            let file = crate::lock::LockedSourceFile {
                place: crate::lock::SourcePlace::Url(String::new()),
                file: crate::lock::LockedFile { size: 0, sha256: crate::base::Digest::of(b"") },
            };
            LockedSource { files: names.iter().map(|name| ((*name).to_owned(), file.clone())).collect() }
        };
        assert_eq!(version_of(&source(&["linux_6.12.57-1.debian.tar.xz", "linux_6.12.57-1.dsc"])), "6.12.57-1");
        assert_eq!(version_of(&source(&["ndctl_81.orig.tar.gz"])), "81");
        assert_eq!(version_of(&source(&["linux-6.18.tar.xz"])), "linux-6.18.tar.xz");
    }
}
