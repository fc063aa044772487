//! The package sets of a recipe: which there are, which a lock still answers, and how the others are solved.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use super::archive::Loaded;
use super::error::{ResolveError, UnsolvedSet};
use super::layers::{self, LayeredSet};
use super::local::{self, LocalPackages};
use super::{Progress, ResolveContext, Update};
use crate::debian::archive::ArchiveRef;
use crate::debian::packages::{Index, IndexBuilder};
use crate::debian::solve::{self, Chosen, Offer, Pin, Problem, Unsolvable, Why};
use crate::lock::described::is_described;
use crate::lock::{Lock, LockedFile, LockedPackage, recipe_digest};
use crate::recipe::Recipe;
use crate::recipe::archive::Archive;
use crate::recipe::packages::{Base, PackageRequest, PackageSet};

/// Every set of a recipe by name. The same set may be used in several places; two that differ need two names.
pub fn of(recipe: &Recipe) -> Result<BTreeMap<&str, &PackageSet>, ResolveError> {
    let all = recipe.package_sets.values().chain(recipe.sets());
    let mut sets: BTreeMap<&str, &PackageSet> = BTreeMap::new();
    for set in all {
        match sets.insert(&set.name, set) {
            Some(other) if !same(other, set) => return Err(ResolveError::SetTwice(set.name.clone())),
            _ => {}
        }
    }
    Ok(sets)
}

fn same(a: &PackageSet, b: &PackageSet) -> bool {
    // All but where they were declared and asked for.
    let PackageSet { architecture, archives, requests, local, base, recommends, exclude, name: _, span: _ } = a;
    let same = |(a, b): (&PackageRequest, &PackageRequest)| {
        let PackageRequest { name, archive, version, span: _ } = a;
        (name, archive, version) == (&b.name, &b.archive, &b.version)
    };
    (architecture, archives, base, recommends, exclude)
        == (&b.architecture, &b.archives, &b.base, &b.recommends, &b.exclude)
        && local.iter().map(|local| &local.key).eq(b.local.iter().map(|local| &local.key))
        && requests.len() == b.requests.len()
        && requests.iter().zip(&b.requests).all(same)
}

/// Whether what is locked for a set is still what the set asks for. It does not look at the archives: what is pinned stays.
pub(super) fn is_kept(recipe: &Recipe, set: &PackageSet, lock: &Lock) -> bool {
    let Some(packages) = lock.sets.get(&set.name) else { return false };
    let answered =
        set.requests.iter().filter(|request| packages.iter().any(|package| answers(package, request))).count();
    let requested: usize = packages.iter().map(|package| package.why.requests(&package.name).len()).sum();
    let has = |wanted: fn(&Why) -> bool| packages.iter().any(|package| wanted(&package.why));
    let essential = has(|why| *why == Why::Essential);
    let required = has(|why| *why == Why::Required);
    let base = match set.base {
        Base::None => !essential && !required,
        Base::Essential => essential && !required,
        Base::Required => required,
    };
    let allowed = |package: &LockedPackage| is_allowed(recipe, set, lock, package);
    let mut distinct: BTreeSet<&str> = set.requests.iter().map(|request| request.name.as_str()).collect();
    distinct.extend(packages.iter().filter(|package| package.archive.is_local()).map(|package| package.name.as_str()));
    answered == set.requests.len()
        && lacking_file(set, packages).is_none()
        && requested == distinct.len()
        && base
        && (set.recommends == has(|why| matches!(why, Why::RecommendationOf(_))) || is_unchanged(recipe, lock))
        && packages.iter().all(allowed)
        && set.archives.iter().all(|name| is_described(recipe, lock, name))
}

/// Whether a lock was made from this very recipe, so that whatever a set asks for now it asked for then.
fn is_unchanged(recipe: &Recipe, lock: &Lock) -> bool {
    let files = recipe.files.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    lock.recipe.digest == recipe_digest(&files, &recipe.params)
}

/// How a lock answers what a set asks for.
pub(in crate::lock) enum SetAnswer {
    /// With everything.
    Whole,
    /// Not at all.
    Missing,
    /// Without this package.
    Lacks(String),
    /// With a package that the recipe excludes, or takes from another archive.
    Foreign(String),
}

/// Whether a lock has every package that a set names, and none from where the recipe takes none. Less than [`is_kept`]
/// asks: what the archives made of dependencies is theirs.
pub(in crate::lock) fn answer(recipe: &Recipe, set: &PackageSet, lock: &Lock) -> SetAnswer {
    let Some(packages) = lock.sets.get(&set.name) else { return SetAnswer::Missing };
    let lacks = set.requests.iter().find(|request| !packages.iter().any(|package| answers(package, request)));
    if let Some(request) = lacks {
        return SetAnswer::Lacks(request.name.clone());
    }
    if let Some(key) = lacking_file(set, packages) {
        return SetAnswer::Lacks(key.to_owned());
    }
    match packages.iter().find(|package| !is_allowed(recipe, set, lock, package)) {
        Some(package) => SetAnswer::Foreign(package.name.clone()),
        None => SetAnswer::Whole,
    }
}

/// A file of the set that is none of its packages.
fn lacking_file<'a>(set: &'a PackageSet, packages: &[LockedPackage]) -> Option<&'a str> {
    let has = |key: &str| packages.iter().any(|package| package.archive.is_local() && package.path == key);
    set.local.iter().map(|local| local.key.as_str()).find(|key| !has(key))
}

/// Whether a locked package is a file of the set, with the bytes that it had.
fn is_brought(recipe: &Recipe, set: &PackageSet, package: &LockedPackage) -> bool {
    set.local.iter().any(|local| local.key == package.path)
        && recipe
            .files
            .get(&package.path)
            .is_some_and(|file| (file.size, file.digest) == (package.file.size, package.file.sha256))
}

/// Whether a set may hold a package: it is not excluded, and from an archive as the recipe describes it.
fn is_allowed(recipe: &Recipe, set: &PackageSet, lock: &Lock, package: &LockedPackage) -> bool {
    let name = &package.archive.name;
    let architecture = package.architecture.as_str();
    !set.exclude.contains(&package.name)
        && (architecture == "all" || architecture == set.architecture.facts().debian)
        && if package.archive.is_local() {
            is_brought(recipe, set, package)
        } else {
            set.archives.iter().any(|archive| archive == name) && is_as_described(recipe, lock, package)
        }
}

/// Whether the archive that a package comes from is the one that the recipe describes.
fn is_as_described(recipe: &Recipe, lock: &Lock, package: &LockedPackage) -> bool {
    recipe.archives.get(&package.archive.name).zip(lock.archives.get(&package.archive)).is_some_and(
        |(asked, locked)| {
            (&asked.suite, &asked.components, &asked.repository, &asked.architecture)
                == (&locked.suite, &locked.components, &locked.repository, &locked.architecture)
        },
    )
}

fn answers(package: &LockedPackage, request: &PackageRequest) -> bool {
    package.why.requests(&package.name).contains(&request.name.as_str())
        && request.archive.as_ref().is_none_or(|archive| *archive == package.archive.name)
        && request.version.as_ref().is_none_or(|version| *version == package.version)
}

/// A set that is solved anew, with what the lock pins preferred.
pub(super) struct Solving<'a> {
    pub(super) context: &'a ResolveContext<'a>,
    pub(super) recipe: &'a Recipe,
    pub(super) loaded: &'a BTreeMap<&'a str, Loaded>,
    pub(super) previous: Option<&'a Lock>,
    pub(super) update: &'a Update,
}

impl Solving<'_> {
    /// The packages of a set, in configure order. What of an image's packages stays is a layer of its own.
    pub(super) fn solve(&self, set: &PackageSet) -> Result<LayeredSet, ResolveError> {
        let solved = self.packages(set)?;
        let before = self.previous.filter(|_| set.base != Base::None).map(|lock| (lock, set.name.as_str()));
        Ok(layers::arrange(before, solved, self.update, &layers::first(self.recipe, &set.name)))
    }

    fn packages(&self, set: &PackageSet) -> Result<Vec<LockedPackage>, ResolveError> {
        self.context.report(Progress::Solving { set: set.name.clone() });
        let local = LocalPackages::read(self.recipe, set).map_err(|refused| {
            let source = Unsolvable::Requests(refused);
            ResolveError::Unsolvable(vec![UnsolvedSet { set: set.name.clone(), source }])
        })?;
        let brought = |name: &str| local.requests.iter().any(|request| request.name == name);
        let mut pinned = self.pinned(set);
        // A file of the recipe is meant, whatever an archive had before.
        pinned.retain(|package| package.archive.is_local() || !brought(&package.name));
        let others = set.requests.iter().filter(|request| !brought(&request.name) || request.archive.is_some());
        let requests: Vec<PackageRequest> = others.chain(&local.requests).cloned().collect();
        let vanished: Vec<&LockedPackage> = pinned.iter().filter(|package| !package.archive.is_current()).collect();
        let ghosts = self.ghosts(set, &vanished)?;
        let current: Vec<ArchiveRef> = set.archives.iter().map(ArchiveRef::current).collect();
        let mut offers: Vec<Offer<'_>> = current.iter().flat_map(|archive| self.offers(archive)).collect();
        offers.extend(ghosts.iter().map(|Ghosts { archive, index }| {
            let priority = self.priority(archive);
            Offer { archive, priority, index }
        }));
        // No less than any archive, so that base packages are looked for in all of them.
        let priority = offers.iter().map(|offer| offer.priority).max().unwrap_or(500);
        if !local.requests.is_empty() {
            offers.push(Offer { archive: &local.archive, priority, index: &local.index });
        }
        let problem = Problem {
            offers,
            architecture: set.architecture.facts().debian,
            requests: &requests,
            base: set.base,
            recommends: set.recommends,
            exclude: &set.exclude,
            locked: pinned.iter().map(pin).collect(),
        };
        let solution = solve::solve(&problem).map_err(|mut source| {
            self.elsewhere(set, &mut source);
            ResolveError::Unsolvable(vec![UnsolvedSet { set: set.name.clone(), source }])
        })?;
        solution.into_iter().map(|chosen| self.locked(set, chosen)).collect()
    }

    /// Says of packages that no archive of a set has which other archives of the recipe have them.
    fn elsewhere(&self, set: &PackageSet, source: &mut Unsolvable) {
        let Unsolvable::Requests(refused) = source else { return };
        for request in refused {
            let Some(name) = request.unknown.clone() else { continue };
            let others = self.recipe.archives.values().filter(|archive| !set.archives.contains(&archive.name));
            let has = |index: &Index| index.find(&name).is_some_and(|found| index.packages(found).next().is_some());
            for archive in others.filter(|archive| self.indexes(&archive.name).iter().any(has)) {
                let Archive { name: other, architecture, .. } = archive;
                request.helped(&if *architecture == set.architecture {
                    format!("archive `{other}` has it, from which the set takes nothing: add it to `from`")
                } else {
                    format!(
                        "archive `{other}` has it for {architecture}; foreign architectures are not mixed into a set"
                    )
                });
            }
        }
    }

    fn indexes(&self, archive: &str) -> &[Index] {
        self.loaded.get(archive).map_or(&[], |loaded| &loaded.indexes)
    }

    fn offers<'b>(&'b self, archive: &'b ArchiveRef) -> impl Iterator<Item = Offer<'b>> {
        let priority = self.priority(archive);
        self.indexes(&archive.name).iter().map(move |index| Offer { archive, priority, index })
    }

    fn priority(&self, archive: &ArchiveRef) -> i32 {
        self.recipe.archives.get(&archive.name).map_or(500, |archive| archive.priority)
    }

    /// What the lock has for a set, less what shall be updated and what the set may not take from any more. A package that
    /// left its archive keeps its place under that archive's earlier state.
    fn pinned(&self, set: &PackageSet) -> Vec<LockedPackage> {
        let packages = self.previous.and_then(|lock| lock.sets.get(&set.name)).into_iter().flatten();
        let stays = |package: &&LockedPackage| !self.update.moves(package);
        // An archive of the same name that is another one now has none of what was locked.
        let allowed =
            |package: &&LockedPackage| self.previous.is_some_and(|lock| is_allowed(self.recipe, set, lock, package));
        let mut pinned: Vec<LockedPackage> = packages.filter(stays).filter(allowed).cloned().collect();
        for package in &mut pinned {
            package.archive = self.home(package);
        }
        pinned
    }

    /// The archive entry of the new lock under which a locked package is found: the archive as it is now, when it still
    /// offers these very bytes, else the archive as it was.
    pub(super) fn home(&self, package: &LockedPackage) -> ArchiveRef {
        let name = package.archive.name.as_str();
        let Some(loaded) = self.loaded.get(name) else { return package.archive.clone() };
        if loaded.indexes.iter().any(|index| offers(index, package)) {
            return ArchiveRef::current(name);
        }
        let earlier = self.previous.and_then(|lock| lock.archives.get(&package.archive));
        match earlier {
            Some(earlier) if package.archive.is_current() => ArchiveRef::earlier(name, earlier.snapshot),
            _ => package.archive.clone(),
        }
    }

    /// Stanzas for locked packages that no index has any more. Their relations are those of the package's present version
    /// without the version numbers: the closest that is still known, and enough to keep what they stand on.
    fn ghosts(&self, set: &PackageSet, vanished: &[&LockedPackage]) -> Result<Vec<Ghosts>, ResolveError> {
        let mut by_archive: BTreeMap<&ArchiveRef, String> = BTreeMap::new();
        for package in vanished {
            let mut indexes = set.archives.iter().flat_map(|name| self.indexes(name));
            let now = indexes.find_map(|index| index.packages(index.find(&package.name)?).last());
            let text = by_archive.entry(&package.archive).or_default();
            let LockedPackage { name, version, architecture, path, file, .. } = package;
            text.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nFilename: {path}\nSize: {}\nSHA256: {}\n",
                file.size, file.sha256
            ));
            for field in ["Pre-Depends", "Depends", "Provides"] {
                let relation = now.map_or("", |stanza| stanza.relation(field));
                if !relation.is_empty() {
                    text.push_str(&format!("{field}: {}\n", without_versions(relation)));
                }
            }
            text.push('\n');
        }
        let mut ghosts = Vec::new();
        for (archive, text) in by_archive {
            let mut builder = IndexBuilder::default();
            let stated = vanished.iter().filter(|package| package.archive == *archive);
            builder
                .read(Cursor::new(text), set.architecture.facts().debian)
                .map_err(|error| super::error::index(&archive.to_string(), "the previous lock", &error))?;
            let index = builder.finish();
            if let Some(lost) = stated.into_iter().find(|package| !offers(&index, package)) {
                let reason = format!("{} {} is not a package of an archive", lost.name, lost.version);
                let path = "the previous lock".to_owned();
                return Err(ResolveError::Index { archive: archive.to_string(), path, reason });
            }
            ghosts.push(Ghosts { archive: archive.clone(), index });
        }
        Ok(ghosts)
    }

    fn locked(&self, set: &PackageSet, chosen: Chosen<'_>) -> Result<LockedPackage, ResolveError> {
        let stanza = chosen.stanza;
        let sha256 = stanza.sha256().ok_or_else(|| ResolveError::Index {
            archive: chosen.archive.to_string(),
            path: stanza.path().to_owned(),
            reason: format!("{} of set {} has no SHA-256", stanza.name(), set.name),
        })?;
        Ok(LockedPackage {
            name: stanza.name().to_owned(),
            architecture: stanza.architecture().to_owned(),
            version: stanza.version().to_owned(),
            archive: chosen.archive.clone(),
            path: local::key(set, stanza.path())
                .filter(|_| chosen.archive.is_local())
                .unwrap_or(stanza.path())
                .to_owned(),
            file: LockedFile { size: stanza.size(), sha256 },
            why: chosen.why,
        })
    }
}

fn pin(package: &LockedPackage) -> (&str, Pin<'_>) {
    (&package.name, Pin { version: &package.version, archive: &package.archive })
}

/// Packages that left an archive, as an index of the state in which it still had them.
struct Ghosts {
    archive: ArchiveRef,
    index: Index,
}

fn offers(index: &Index, package: &LockedPackage) -> bool {
    let Some(name) = index.find(&package.name) else { return false };
    index
        .packages(name)
        .any(|stanza| stanza.version() == package.version && stanza.sha256() == Some(package.file.sha256))
}

/// `libc6, python3:any | python3` of `libc6 (>= 2.38), python3:any (>= 3) | python3`.
fn without_versions(relation: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for c in relation.chars() {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}
