//! What a document is about: a recipe with its lock, or a directory that was built from them.

use std::collections::BTreeMap;

use super::collect::Material;
use super::facts::Facts;
use super::outline;
use crate::deliver::manifest::Manifest;
use crate::lock::{Lock, LockedFile};
use crate::ops::error::OpsError;
use crate::ops::options::RecipeOptions;
use crate::ops::session::Session;
use crate::ops::{load, local, locked, machines, sign};
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
        let (path, lock) = locked::named_or_usual(session, options, &manifest)?;
        let (outputs, others) = files(&manifest);
        let Some(recipe) = locked::recipe(&path, &manifest) else {
            let (plan, loose) = outline::plan(&lock, &manifest);
            return Ok(Subject { lock, plan, loose, outputs: Files::new(), others });
        };
        let set = lock.recipe.params.into_iter().collect();
        let built = RecipeOptions { path: recipe, set, lock: Some(path), sources: Vec::new() };
        let subject = Subject::of_recipe(session, &built)?;
        Ok(Subject { outputs, others, ..subject })
    }
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
