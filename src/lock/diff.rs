//! What changed between two locks, as lines for people: `kiln lock` says what it moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Lock, LockedImage, LockedPackage};
use crate::base::Foreign;
use crate::recipe::local::LocalReader;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// In a set, and not before.
    Added {
        /// The set.
        set: String,
        /// The package.
        package: String,
        /// Its version.
        version: String,
    },
    /// Not in a set any more.
    Removed {
        /// The set.
        set: String,
        /// The package.
        package: String,
        /// Its version.
        version: String,
    },
    /// Another version, or other bytes of the same one.
    Moved {
        /// The set.
        set: String,
        /// The package.
        package: String,
        /// Its version before.
        from: String,
        /// Its version now.
        to: String,
    },
    /// A fact outside the sets.
    Fact {
        /// What it is about.
        what: String,
        /// What it was; empty when it is new.
        from: String,
        /// What it is; empty when it is gone.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Change::Added { set, package, version } => format!("{set}: + {package} {version}"),
            Change::Removed { set, package, version } => format!("{set}: - {package} {version}"),
            Change::Moved { set, package, from, to } if from == to => format!("{set}: {package} {to}, content changed"),
            Change::Moved { set, package, from, to } => format!("{set}: {package} {from} -> {to}"),
            Change::Fact { what, from, to } if from.is_empty() => format!("{what}: {to}"),
            Change::Fact { what, from, to } if to.is_empty() => format!("{what}: {from} is gone"),
            Change::Fact { what, from, to } => format!("{what}: {from} -> {to}"),
        };
        Foreign(text).fmt(f)
    }
}

/// Everything in which two locks pin other inputs.
pub fn diff(before: &Lock, after: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    fact(&mut changes, "epoch", Some(before.epoch), Some(after.epoch));
    fact(&mut changes, "seed", Some(before.seed), Some(after.seed));
    for name in names(&before.archives, &after.archives) {
        let date = |lock: &Lock| lock.archives.get(name).map(|archive| archive.date);
        fact(&mut changes, &format!("archive {name}"), date(before), date(after));
    }
    for name in names(&before.sets, &after.sets) {
        sets(&mut changes, name, before.sets.get(name), after.sets.get(name));
    }
    for name in names(&before.sources, &after.sources) {
        let files = |lock: &Lock| {
            let files = lock
                .sources
                .get(name)?
                .files
                .iter()
                .map(|(file, locked)| format!("{file} {}", locked.file.sha256.short()));
            Some(files.collect::<Vec<_>>().join(", "))
        };
        fact(&mut changes, &format!("source {name}"), files(before), files(after));
    }
    for name in before.local.union(&after.local) {
        let words = |lock: &Lock| lock.local.contains(name).then_some("a directory that no lock pins");
        let reader = LocalReader::named(name).words().replace('`', "");
        fact(&mut changes, &reader, words(before), words(after));
    }
    for name in names(&before.machines, &after.machines) {
        let qemu = |lock: &Lock| lock.machines.get(name).map(|machine| format!("QEMU {}", machine.qemu));
        fact(&mut changes, &format!("machine {name}"), qemu(before), qemu(after));
    }
    for (name, after) in &after.images {
        let table = |image: &LockedImage| if image.open { "open" } else { "complete" };
        fact(&mut changes, &format!("users of {name}"), before.images.get(name).map(table), Some(table(after)));
    }
    changes
}

fn names<'a, K: Ord, T>(a: &'a BTreeMap<K, T>, b: &'a BTreeMap<K, T>) -> BTreeSet<&'a K> {
    a.keys().chain(b.keys()).collect()
}

fn fact<T: PartialEq + ToString>(changes: &mut Vec<Change>, what: &str, from: Option<T>, to: Option<T>) {
    if from != to {
        let words = |value: Option<T>| value.map_or(String::new(), |value| value.to_string());
        changes.push(Change::Fact { what: what.to_owned(), from: words(from), to: words(to) });
    }
}

fn sets(changes: &mut Vec<Change>, set: &str, before: Option<&Vec<LockedPackage>>, after: Option<&Vec<LockedPackage>>) {
    let by_name = |packages: Option<&Vec<LockedPackage>>| -> BTreeMap<String, LockedPackage> {
        packages.into_iter().flatten().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    for name in names(&before, &after) {
        let (set, package) = (set.to_owned(), name.clone());
        match (before.get(name), after.get(name)) {
            (None, Some(new)) => {
                changes.push(Change::Added { set, package, version: new.version.clone() });
            }
            (Some(old), None) => {
                changes.push(Change::Removed { set, package, version: old.version.clone() });
            }
            (Some(old), Some(new)) if (&old.version, old.file) != (&new.version, new.file) => {
                let (from, to) = (old.version.clone(), new.version.clone());
                changes.push(Change::Moved { set, package, from, to });
            }
            _ => {}
        }
    }
}
