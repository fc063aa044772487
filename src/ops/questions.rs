//! Questions about locks: why a package is there, what takes how many bytes. No network, no store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::{LockError, OpsError, UsageError};
use super::options::RecipeOptions;
use super::project::is_lock;
use super::session::Session;
use super::{load, locked, project, set_users};
use crate::lock::{Lock, LockedPackage};

/// The lock at a path, or that of the recipe or the result directory at the path.
pub fn lock(session: &Session<'_>, path: &Path) -> Result<Lock, OpsError> {
    if path.is_dir() {
        return locked::of_directory(session.world, path);
    }
    if let Some(reference) = project::reference(path) {
        return Err(reference.into());
    }
    // What is not there has no lock that could be missing.
    let found = session.world.canonical(path)?;
    let lock = if is_lock(path) { path.to_owned() } else { project::lock_path(&found) };
    let is_recipe = path.extension().is_some_and(|extension| extension == "kiln");
    let missing = |lock: PathBuf| match is_recipe {
        true => OpsError::from(LockError::Missing(lock)),
        false => UsageError::NoRecipe(path.to_owned()).into(),
    };
    match is_lock(path) {
        true => locked::at(session.world, path),
        false => load::read_lock(session.world, &lock)?.ok_or_else(|| missing(lock)),
    }
}

/// Why a package is in a set: itself, what it is there for, and so on up to what is there by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageReason {
    /// The set.
    pub set: String,
    /// The package and those that it is there for.
    pub chain: Vec<ReasonLink>,
    /// What the recipe uses the set for; nothing where only a lock was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
}

/// A package of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonLink {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// `requested`, `dependency of bash`.
    pub why: String,
}

/// Why a package is in each set of a lock, or of the lock of a recipe, that has it.
pub fn why(session: &Session<'_>, path: &Path, package: &str) -> Result<Vec<PackageReason>, OpsError> {
    let locked = lock(session, path)?;
    // A recipe with mistakes has a lock all the same, and what that says is asked.
    let recipe = match is_lock(path) || path.is_dir() {
        true => None,
        false => load::recipe(session, &RecipeOptions::of(path)).ok(),
    };
    let users = recipe.map(|loaded| set_users::of(&loaded.recipe)).unwrap_or_default();
    let of_set = |(set, packages): (&String, &Vec<LockedPackage>)| {
        let (chain, used_by) = (chain(packages, package), users.get(set).cloned().unwrap_or_default());
        (!chain.is_empty()).then(|| PackageReason { set: set.clone(), chain, used_by })
    };
    Ok(locked.sets.iter().filter_map(of_set).collect())
}

/// A lock may come from anybody: reasons that lead in a circle end where it closes.
fn chain(packages: &[LockedPackage], package: &str) -> Vec<ReasonLink> {
    let (mut links, mut seen, mut next) = (Vec::new(), BTreeSet::new(), Some(package.to_owned()));
    while let Some(name) = next.take().filter(|name| seen.insert(name.clone())) {
        let Some(found) = packages.iter().find(|package| package.name == name) else { break };
        next = found.why.cause().map(str::to_owned);
        links.push(ReasonLink { package: name, version: found.version.clone(), why: found.why.to_string() });
    }
    links
}

/// What a lock's files take, compressed as they are downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockSize {
    /// Bytes of all files, each once.
    pub bytes: u64,
    /// Package sets and sources, largest first.
    pub parts: Vec<SizedPart>,
    /// What a build produced, if one was recorded.
    pub outputs: Vec<SizedFile>,
    /// Kernels, and sources of builds (`BUILD/SOURCE`), whose directories no lock pins: they are not counted.
    pub local: Vec<String>,
}

/// A package set or a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizedPart {
    /// Its name.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// The files, largest first.
    pub files: Vec<SizedFile>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizedFile {
    /// The package, or the file's name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What takes how many bytes.
pub fn size(lock: &Lock) -> LockSize {
    let sets = lock.sets.iter().map(|(name, packages)| {
        let file = |package: &LockedPackage| SizedFile { name: package.name.clone(), bytes: package.file.size };
        part(name, packages.iter().map(file).collect())
    });
    let sources = lock.sources.iter().map(|(name, source)| {
        let files = source.files.iter().map(|(file, found)| SizedFile { name: file.clone(), bytes: found.file.size });
        part(name, files.collect())
    });
    let mut parts: Vec<SizedPart> = sets.chain(sources).collect();
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let packages = lock.sets.values().flatten().map(|package| package.file);
    let sources = lock.sources.values().flat_map(|source| source.files.values()).map(|source| source.file);
    let distinct: BTreeSet<_> = packages.chain(sources).map(|file| (file.sha256, file.size)).collect();
    let output = |(name, output): (&String, &crate::lock::LockedOutput)| SizedFile {
        name: name.clone(),
        bytes: output.file.size,
    };
    LockSize {
        bytes: distinct.into_iter().map(|(_, size)| size).sum(),
        parts,
        outputs: lock.outputs.iter().map(output).collect(),
        local: lock.local.iter().cloned().collect(),
    }
}

fn part(name: &str, mut files: Vec<SizedFile>) -> SizedPart {
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    SizedPart { name: name.to_owned(), bytes: files.iter().map(|file| file.bytes).sum(), files }
}
