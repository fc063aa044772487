//! What kiln wrote, beside what a hand made of it: which changes count, and which lines cannot be right.
//!
//! A pin is several facts of one file, and only all of them together are another one. So a version, a path, a size or a digest
//! that was changed by itself is put back; a package that was changed as a whole stays, as somebody may have merged it in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::merge::reopen;
use super::write::{checksum_of_text, package_key};
use super::{Lock, LockedArchive, LockedPackage, LockedSource, LockedSourceFile};
use crate::base::{Digest, Foreign};
use crate::debian::archive::ArchiveRef;

/// So many packages of an archive have the usual path before another one is called wrong.
const MIN_USUAL: usize = 3;

/// The checksum that a text states, which is that of the text as kiln wrote it.
pub fn stated_checksum(text: &str) -> Option<Digest> {
    let line = text.lines().find_map(|line| line.strip_prefix("checksum = \""))?;
    line.strip_suffix('"')?.parse().ok()
}

/// Whether a text is the one with this checksum.
pub fn is_written(text: &str, checksum: Digest) -> bool {
    stated_checksum(text) == Some(checksum) && checksum_of_text(text) == checksum
}

/// What is taken of a lock that was edited: the seed, users, and pins that are whole; of everything else what kiln wrote.
pub fn mended(now: Lock, before: &Lock) -> Lock {
    let mut lock = Lock { seed: now.seed, images: now.images, recipe: now.recipe, ..before.clone() };
    lock.archives.extend(
        now.archives.into_iter().filter(|(name, archive)| is_whole_archive(before.archives.get(name), archive)),
    );
    lock.sets = now.sets.into_iter().map(|(name, set)| (name.clone(), packages(set, before.sets.get(&name)))).collect();
    lock.layers.retain(|name, _| lock.sets.get(name) == before.sets.get(name));
    lock.layers.extend(now.layers.into_iter().filter(|(name, _)| lock.sets.get(name) != before.sets.get(name)));
    let sources = now.sources.into_iter().map(|(name, source)| {
        let files = |known: &LockedSource| of_sources(source.clone(), known);
        let mended = before.sources.get(&name).map_or(source.clone(), files);
        (name, mended)
    });
    lock.sources = sources.collect();
    lock
}

fn is_whole_archive(before: Option<&LockedArchive>, now: &LockedArchive) -> bool {
    before.is_none_or(|before| before.inrelease != now.inrelease && before.date != now.date)
}

fn packages(set: Vec<LockedPackage>, before: Option<&Vec<LockedPackage>>) -> Vec<LockedPackage> {
    let known: BTreeMap<String, &LockedPackage> =
        before.into_iter().flatten().map(|package| (package_key(package), package)).collect();
    let mended = set.into_iter().map(|package| match known.get(&package_key(&package)) {
        Some(before) if !is_whole(before, &package) => (*before).clone(),
        _ => package,
    });
    let mended: Vec<LockedPackage> = mended.collect();
    match before {
        // Another order of the same packages is nobody's pin.
        Some(before)
            if before.len() == mended.len()
                && mended.iter().all(|package| known.get(&package_key(package)) == Some(&package)) =>
        {
            before.clone()
        }
        _ => mended,
    }
}

/// Whether a package is another version of one, or of it another build.
fn is_whole(before: &LockedPackage, now: &LockedPackage) -> bool {
    before.version != now.version && before.path != now.path && before.file.sha256 != now.file.sha256
}

fn of_sources(source: LockedSource, before: &LockedSource) -> LockedSource {
    let files = source.files.into_iter().map(|(name, file)| {
        let part = |before: &&LockedSourceFile| before.place == file.place || before.file.sha256 == file.file.sha256;
        let mended = before.files.get(&name).filter(part).cloned().unwrap_or(file);
        (name, mended)
    });
    LockedSource { files: files.collect() }
}

/// Packages whose path is not that of their name, version and architecture, where those of their archive all are.
fn odd_paths(lock: &Lock) -> Vec<(&str, &LockedPackage)> {
    let mut usual: BTreeMap<&ArchiveRef, usize> = BTreeMap::new();
    let mut odd = Vec::new();
    for (set, package) in
        lock.sets.iter().flat_map(|(set, packages)| packages.iter().map(move |one| (set.as_str(), one)))
    {
        match is_usual(package) {
            true => *usual.entry(&package.archive).or_default() += 1,
            false => odd.push((set, package)),
        }
    }
    // An archive with many odd names has names of its own.
    let of: BTreeMap<&ArchiveRef, usize> = odd.iter().fold(BTreeMap::new(), |mut of, (_, package)| {
        *of.entry(&package.archive).or_default() += 1;
        of
    });
    let is_rare = |archive: &ArchiveRef| usual.get(archive).is_some_and(|usual| *usual >= MIN_USUAL * of[archive]);
    odd.retain(|(_, package)| !package.archive.is_local() && is_rare(&package.archive));
    odd
}

/// The same with their lines, for which the text is read once.
pub fn odd_lines(lock: &Lock, text: &str) -> Vec<OddPath> {
    let mut odd: BTreeMap<(&str, &str), OddPath> = BTreeMap::new();
    for (set, LockedPackage { name, path, .. }) in odd_paths(lock) {
        let found = OddPath { line: 1, set: set.to_owned(), name: name.clone(), path: path.clone() };
        odd.insert((set, name), found);
    }
    let mut set = "";
    for (at, line) in text.lines().enumerate() {
        if let Some(table) = line.strip_prefix("[sets.").and_then(|table| table.strip_suffix(']')) {
            set = table.trim_matches('"');
        }
        let name = line.trim_start().strip_prefix("{ name = \"").and_then(|rest| rest.split('"').next());
        if let Some(found) = name.and_then(|name| odd.get_mut(&(set, name))) {
            found.line = at + 1;
        }
    }
    let mut odd: Vec<OddPath> = odd.into_values().collect();
    odd.sort_by_key(|odd| odd.line);
    odd
}

/// Takes those packages out of a lock, whose sets are solved again.
pub fn take_odd(lock: &mut Lock, text: &str) -> Vec<OddPath> {
    let odd = odd_lines(lock, text);
    let names: BTreeSet<(&str, &str)> = odd.iter().map(|odd| (odd.set.as_str(), odd.name.as_str())).collect();
    for (name, set) in &mut lock.sets {
        let before = set.len();
        set.retain(|package| !names.contains(&(name.as_str(), package.name.as_str())));
        if set.len() < before {
            reopen(set);
            lock.layers.remove(name);
        }
    }
    odd
}

/// A package whose path is that of something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddPath {
    /// From 1.
    pub line: usize,
    /// The set.
    pub set: String,
    /// The package.
    pub name: String,
    /// Its path.
    pub path: String,
}

impl fmt::Display for OddPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OddPath { line, set, name, path } = self;
        let text = format!("line {line}: `{path}` is not the path of this version of `{name}` (set `{set}`)");
        Foreign(text).fmt(f)
    }
}

/// `bash_5.2.37-2_amd64.deb`: the epoch of a version is left out, or spelled `2%3a`.
fn is_usual(package: &LockedPackage) -> bool {
    let LockedPackage { name, version, architecture, path, .. } = package;
    let file = path.rsplit('/').next().unwrap_or_default();
    let plain = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
    [plain.to_owned(), version.replace(':', "%3a"), version.clone()]
        .iter()
        .any(|version| file == format!("{name}_{version}_{architecture}.deb"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::write;
    use super::*;
    use crate::base::Timestamp;

    /// With paths as archives have them.
    fn lock() -> Lock {
        let mut lock = example();
        let packages = lock.sets.get_mut("image").unwrap();
        let one = packages[0].clone();
        packages.extend(["dash", "dpkg"].map(|name| LockedPackage { name: name.to_owned(), ..one.clone() }));
        for package in packages {
            package.path = format!("pool/main/{}_2.3-4~deb13u1_amd64.deb", package.name);
            package.file.sha256 = Digest::of(package.name.as_bytes());
        }
        lock
    }

    fn changed(change: impl Fn(&mut LockedPackage)) -> Lock {
        let mut lock = lock();
        change(&mut lock.sets.get_mut("image").unwrap()[1]);
        lock
    }

    #[test]
    fn a_part_of_a_pin_is_put_back_and_a_whole_one_stays() {
        let before = lock();
        let mut order = lock();
        order.sets.get_mut("image").unwrap().reverse();
        assert_eq!(mended(order, &before), before);
        let parts: [fn(&mut LockedPackage); 5] = [
            |package| package.path = "pool/x".to_owned(),
            |package| package.version = "9".to_owned(),
            |package| package.file.size = 7,
            |package| package.file.sha256 = Digest::of(b"other"),
            |package| package.why = crate::debian::solve::Why::Essential,
        ];
        for part in parts {
            let now = changed(part);
            assert_ne!(now, before);
            assert_eq!(mended(now, &before), before);
        }
        let whole = changed(|package| {
            package.version = "9".to_owned();
            package.path = "pool/bash_9_amd64.deb".to_owned();
            package.file.sha256 = Digest::of(b"other");
        });
        assert_eq!(mended(whole.clone(), &before).sets, whole.sets);
    }

    #[test]
    fn users_and_the_seed_count_and_what_follows_from_others_does_not() {
        let before = lock();
        let mut now = lock();
        now.images.get_mut("image").unwrap().users.insert("somebody".to_owned(), 900);
        now.seed = Digest::of(b"mine");
        let expected = now.clone();
        now.outputs.clear();
        now.kernels.clear();
        now.epoch = Timestamp(7);
        now.archives.values_mut().for_each(|archive| archive.date = Timestamp(7));
        now.sources.values_mut().flat_map(|source| source.files.values_mut()).for_each(|file| file.file.size = 7);
        assert_eq!(mended(now, &before), expected);
        // Another state of an archive is one as a whole.
        let mut newer = lock();
        for archive in newer.archives.values_mut() {
            archive.inrelease = Digest::of(b"newer");
            archive.date = Timestamp(archive.date.0 + 60);
        }
        assert_eq!(mended(newer.clone(), &before).archives, newer.archives);
    }

    #[test]
    fn a_path_that_names_another_package_is_odd_among_others_that_do_not() {
        assert!(odd_paths(&lock()).is_empty());
        for change in
            [(|package: &mut LockedPackage| package.path = "pool/x".to_owned()) as fn(&mut LockedPackage), |package| {
                package.version = "1:2.3-5".to_owned()
            }]
        {
            let lock = changed(change);
            let odd: Vec<_> = odd_paths(&lock).into_iter().map(|(set, package)| (set, package.name.as_str())).collect();
            assert_eq!(odd, [("image", "bash")]);
        }
        // Of an archive that names its files as it likes, nothing is said.
        assert!(odd_paths(&example()).is_empty());
    }

    #[test]
    fn a_text_is_the_one_of_its_checksum_or_not() {
        let text = write(&lock());
        let checksum = stated_checksum(&text).unwrap();
        assert!(is_written(&text, checksum));
        assert!(!is_written(&text.replacen("pool/", "pol/", 1), checksum));
        assert_eq!(stated_checksum("version = 1\n"), None);
    }
}
