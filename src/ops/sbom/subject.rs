//! What a document is about: a recipe with its lock, or a directory that was built from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::collect::Material;
use super::facts::Facts;
use super::outline;
use crate::deliver::manifest::{self, Manifest};
use crate::deliver::plain::is_plain;
use crate::lock::{Lock, LockedFile};
use crate::ops::error::{LockError, OpsError, SbomError};
use crate::ops::options::RecipeOptions;
use crate::ops::session::Session;
use crate::ops::{load, local, locked, machines, project, sign};
use crate::plan::{self, Plan};

/// A lock, what it builds, and what came out.
pub(super) struct Subject {
    pub(super) lock: Lock,
    pub(super) plan: Plan,
    /// Its steps for images and kernels, where no recipe says what they are delivered as.
    loose: Vec<usize>,
    /// Artifacts of the plan, by the names that locks have for them.
    outputs: BTreeMap<String, LockedFile>,
    /// The files of a directory by their names there, each with the name that locks have for it.
    others: Others,
}

impl Subject {
    pub(super) fn of(session: &Session<'_>, options: &RecipeOptions) -> Result<Subject, OpsError> {
        match options.path.is_dir() {
            true => Subject::of_directory(session, options),
            false => Subject::of_recipe(session, options),
        }
    }

    pub(super) fn material<'a>(&'a self, facts: &'a Facts) -> Material<'a> {
        let Subject { lock, plan, loose, outputs, others } = self;
        Material { lock, plan, loose, facts, outputs, others }
    }

    fn of_recipe(session: &Session<'_>, options: &RecipeOptions) -> Result<Subject, OpsError> {
        let loaded = load::recipe(session, options)?;
        local::verifiable(&loaded.recipe)?;
        let lock = load::lock_of(&loaded)?;
        machines::judge(session, &loaded.recipe, &lock)?;
        let plan = plan::lower(&loaded.recipe, &lock);
        let outputs = lock.outputs.iter().map(|(name, output)| (name.clone(), output.file)).collect();
        Ok(Subject { lock, plan, loose: Vec::new(), outputs, others: BTreeMap::new() })
    }

    /// The lock that a directory was built from has the parameters of the build, and with the recipe says what is in it.
    fn of_directory(session: &Session<'_>, options: &RecipeOptions) -> Result<Subject, OpsError> {
        let directory = RecipeOptions { lock: None, ..options.clone() }.directory()?.to_owned();
        let (manifest, _) = sign::unchanged(session, &directory)?;
        locked::pinned(&directory, &manifest)?;
        let (path, lock) = lock(session, options, &manifest)?;
        let (outputs, others) = files(&manifest);
        let Some(recipe) = recipe(&path, &manifest) else {
            let (plan, loose) = outline::plan(&lock, &manifest);
            return Ok(Subject { lock, plan, loose, outputs: Files::new(), others });
        };
        let set = lock.recipe.params.into_iter().collect();
        let built = RecipeOptions { path: recipe, set, lock: Some(path), sources: Vec::new() };
        let subject = Subject::of_recipe(session, &built)?;
        Ok(Subject { outputs, others, ..subject })
    }
}

/// The lock that is named, or the one that is where locks usually are and is that of the build.
fn lock(session: &Session<'_>, options: &RecipeOptions, manifest: &Manifest) -> Result<(PathBuf, Lock), OpsError> {
    let directory = || options.path.clone();
    if let Some(path) = &options.lock {
        let lock = load::read_lock(session.world, path)?.ok_or_else(|| LockError::Missing(path.clone()))?;
        let other = |problem| SbomError::OtherLock { lock: path.clone(), directory: directory(), problem };
        locked::belongs(&lock, manifest).map_err(other)?;
        return Ok((path.clone(), lock));
    }
    let name = format!("{}.lock", manifest.recipe);
    let usual = [Path::new("lockfiles").join(&name), PathBuf::from(&name)];
    let usual = usual.into_iter().filter(|_| is_plain(&manifest.recipe));
    let places = usual.chain([options.path.join(manifest::LOCK_FILE)]);
    let mut found = places.filter_map(|path| {
        let lock = load::read_lock(session.world, &path).ok().flatten()?;
        locked::belongs(&lock, manifest).is_ok().then_some((path, lock))
    });
    found.next().ok_or_else(|| SbomError::NoLock(directory()).into())
}

/// The recipe beside a lock, or where recipes usually are; a directory that was pulled has none.
fn recipe(lock: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let name = format!("{}.kiln", manifest.recipe);
    let usual = [Path::new("recipes").join(&name), PathBuf::from(name)];
    let usual = usual.into_iter().filter(|_| is_plain(&manifest.recipe));
    std::iter::once(project::recipe_path(lock)).chain(usual).find(|path| path.is_file())
}

type Files = BTreeMap<String, LockedFile>;
type Others = BTreeMap<String, (String, LockedFile)>;

/// The files of a directory by the names that locks have for them, and by their own.
fn files(manifest: &Manifest) -> (Files, Others) {
    let machines: BTreeMap<&str, &str> = manifest.machines().map(|(machine, directory)| (directory, machine)).collect();
    let (mut outputs, mut others) = (Files::new(), Others::new());
    for (name, file) in &manifest.artifacts {
        let file = LockedFile { size: file.size, sha256: file.sha256 };
        let (directory, rest) = name.split_once('/').unwrap_or(("", name));
        let machine = machines.get(directory).filter(|_| !manifest.alone().any(|alone| alone == name));
        let locked = machine.map_or(name.clone(), |machine| format!("{machine}/{rest}"));
        outputs.insert(locked.clone(), file);
        others.insert(name.clone(), (locked, file));
    }
    (outputs, others)
}
