//! The pins of two sides: those that both have, those that one has, and those on which they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::pins::{is_open, reopen};
use crate::base::Foreign;
use crate::debian::archive::ArchiveRef;
use crate::lock::write::package_key;
use crate::lock::{Lock, LockedImage, LockedPackage, LockedSource, LockedSourceFile, SourcePlace};

/// What became of the pins of two sides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Packages and sources that both sides pin alike.
    pub agreed: usize,
    /// Packages and sources that only one side has: kept, as far as the recipe asks for them.
    pub one_sided: usize,
    /// On which they differ, and which are resolved again.
    pub contested: Vec<Contested>,
}

/// A pin on which two sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested {
    /// `SET: PACKAGE`, or a source.
    pub what: String,
    /// On our side of the merge.
    pub ours: String,
    /// On the other.
    pub theirs: String,
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contested { what, ours, theirs } = self;
        let text = match ours == theirs {
            true => format!("{what}: {ours} with other content on each side"),
            false => format!("{what}: {ours} on one side, {theirs} on the other"),
        };
        Foreign(text).fmt(f)
    }
}

/// A lock to resolve from: its steps and outputs are those of neither side.
pub(super) fn agreed(mut ours: Lock, mut theirs: Lock) -> (Lock, Settled) {
    let mut settled = Settled::default();
    archives(&mut ours, &mut theirs);
    sets(&mut ours, &mut theirs, &mut settled);
    sources(&mut ours, theirs.sources, &mut settled);
    for (name, table) in theirs.images {
        match ours.images.get_mut(&name) {
            Some(image) => users(image, table),
            None => drop(ours.images.insert(name, table)),
        }
    }
    settled.contested.sort_by(|one, other| one.what.cmp(&other.what));
    (ours, settled)
}

/// The newer state of each archive is the current one; pins of the other side come from what it was before.
fn archives(ours: &mut Lock, theirs: &mut Lock) {
    for (name, archive) in theirs.archives.clone() {
        let Some(own) = ours.archives.get(&name).filter(|own| **own != archive) else {
            ours.archives.entry(name).or_insert(archive);
            continue;
        };
        let (newer, older, older_side) = if own.date < archive.date {
            (archive.clone(), own.clone(), &mut *ours)
        } else {
            (own.clone(), archive.clone(), &mut *theirs)
        };
        if name.is_current() && newer.snapshot != older.snapshot {
            let earlier = ArchiveRef::earlier(&name.name, older.snapshot);
            moved(older_side, &name, &earlier);
            ours.archives.insert(earlier, older);
        }
        ours.archives.insert(name, newer);
    }
}

/// What a lock takes from one archive it takes from another.
fn moved(lock: &mut Lock, from: &ArchiveRef, to: &ArchiveRef) {
    let packages = lock.sets.values_mut().flatten().map(|package| &mut package.archive);
    let files = lock.sources.values_mut().flat_map(|source| source.files.values_mut());
    let places = files.filter_map(|file| match &mut file.place {
        SourcePlace::Archive { archive, .. } => Some(archive),
        SourcePlace::Url(_) => None,
    });
    packages.chain(places).filter(|archive| *archive == from).for_each(|archive| archive.clone_from(to));
}

fn sets(ours: &mut Lock, theirs: &mut Lock, settled: &mut Settled) {
    for (name, packages) in std::mem::take(&mut ours.sets) {
        let mut layers = [ours.layers.remove(&name), theirs.layers.remove(&name)];
        let merged = match theirs.sets.remove(&name) {
            Some(others) if layers[0] != layers[1] => {
                layers = [None, None];
                let mut merged = set(&name, packages, others, settled);
                reopen(&mut merged);
                merged
            }
            Some(others) => set(&name, packages, others, settled),
            None => {
                settled.one_sided += packages.len();
                packages
            }
        };
        if let [Some(layers), _] = layers
            && !merged.iter().any(is_open)
        {
            ours.layers.insert(name.clone(), layers);
        }
        ours.sets.insert(name, merged);
    }
    settled.one_sided += theirs.sets.values().map(Vec::len).sum::<usize>();
    ours.sets.append(&mut theirs.sets);
    theirs.layers.retain(|name, _| ours.sets.get(name).is_some_and(|packages| !packages.iter().any(is_open)));
    ours.layers.append(&mut theirs.layers);
}

/// A set that is the same on both sides stays; another one is solved again, with the pins that nobody contests.
fn set(name: &str, ours: Vec<LockedPackage>, theirs: Vec<LockedPackage>, settled: &mut Settled) -> Vec<LockedPackage> {
    let alike = |(a, b): (&LockedPackage, &LockedPackage)| same(a, b) && a.why == b.why;
    if ours.len() == theirs.len() && ours.iter().zip(&theirs).all(alike) {
        settled.agreed += ours.len();
        return ours.into_iter().zip(theirs).map(|(a, b)| current(a, b)).collect();
    }
    let mut others: BTreeMap<String, LockedPackage> =
        theirs.into_iter().map(|package| (package_key(&package), package)).collect();
    let mut merged = Vec::new();
    for own in ours {
        match others.remove(&package_key(&own)) {
            None => {
                settled.one_sided += 1;
                merged.push(own);
            }
            Some(other) if same(&own, &other) => {
                settled.agreed += 1;
                merged.push(current(own, other));
            }
            Some(other) => settled.contested.push(Contested {
                what: format!("{name}: {}", own.name),
                ours: own.version,
                theirs: other.version,
            }),
        }
    }
    settled.one_sided += others.len();
    merged.extend(others.into_values());
    reopen(&mut merged);
    merged
}

fn same(a: &LockedPackage, b: &LockedPackage) -> bool {
    (&a.name, &a.architecture, &a.version, &a.path, a.file) == (&b.name, &b.architecture, &b.version, &b.path, b.file)
}

/// Of two equal packages, the one that the newer state of its archive has.
fn current(ours: LockedPackage, theirs: LockedPackage) -> LockedPackage {
    if theirs.archive.is_current() { theirs } else { ours }
}

fn sources(ours: &mut Lock, theirs: BTreeMap<String, LockedSource>, settled: &mut Settled) {
    let one_sided = ours.sources.keys().filter(|name| !theirs.contains_key(*name)).count();
    settled.one_sided += one_sided;
    for (name, source) in theirs {
        match ours.sources.get(&name) {
            None => {
                settled.one_sided += 1;
                ours.sources.insert(name, source);
            }
            Some(own) if same_source(own, &source) => {
                settled.agreed += 1;
                // Of two that are alike, the one that the newer state of its archive has.
                if source.files.values().all(|file| file.place.archive().is_none_or(ArchiveRef::is_current)) {
                    ours.sources.insert(name, source);
                }
            }
            Some(own) => {
                let files = |source: &LockedSource| source.files.keys().cloned().collect::<Vec<_>>().join(", ");
                let (ours_files, theirs_files) = (files(own), files(&source));
                let what = format!("source {name}");
                settled.contested.push(Contested { what, ours: ours_files, theirs: theirs_files });
                ours.sources.remove(&name);
            }
        }
    }
}

/// Whether the same files are pinned, in whichever states of an archive.
fn same_source(a: &LockedSource, b: &LockedSource) -> bool {
    let same_place = |a: &SourcePlace, b: &SourcePlace| match (a, b) {
        (SourcePlace::Archive { archive: a, path }, SourcePlace::Archive { archive: b, path: other }) => {
            (&a.name, path) == (&b.name, other)
        }
        _ => a == b,
    };
    let same = |(name, file): (&String, &LockedSourceFile)| {
        b.files.get(name).is_some_and(|other| file.file == other.file && same_place(&file.place, &other.place))
    };
    a.files.len() == b.files.len() && a.files.iter().all(same)
}

/// Users and groups of both sides, as far as neither name nor number is another's; the next build completes the table.
fn users(ours: &mut LockedImage, theirs: LockedImage) {
    if *ours == theirs {
        return;
    }
    ours.open = true;
    for (own, other) in [(&mut ours.users, theirs.users), (&mut ours.groups, theirs.groups)] {
        let contested = |name: &String, id: &u32| other.get(name).is_some_and(|theirs| theirs != id);
        let contested: BTreeSet<String> =
            own.iter().filter(|(name, id)| contested(name, id)).map(|(name, _)| name.clone()).collect();
        own.retain(|name, _| !contested.contains(name));
        let mut taken: BTreeSet<u32> = own.values().copied().collect();
        for (name, id) in other {
            if !own.contains_key(&name) && !contested.contains(&name) && taken.insert(id) {
                own.insert(name, id);
            }
        }
    }
}
