//! What a page is about: a recipe with its lock, or a result directory that was built from them.
//!
//! Input: what the user named. Output: the lock, and of a recipe or of the directory whatever else a page tells. A directory may come
//! from anybody: its files are compared with its manifest, and the lock beside it is believed if it is the one that the manifest names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::deliver::check::{self, CheckOptions, Checked};
use crate::deliver::manifest::Manifest;
use crate::lock::Lock;
use crate::ops::error::{MismatchError, OpsError};
use crate::ops::event::OpsEvent;
use crate::ops::options::RecipeOptions;
use crate::ops::session::Session;
use crate::ops::{self, load, locked};
use crate::recipe::Recipe;
use crate::recipe::machine::Machine;

pub(super) struct Subject<'a> {
    pub(super) session: Session<'a>,
    pub(super) lock: Lock,
    pub(super) lock_path: PathBuf,
    /// Where it is there: a directory that was pulled has none.
    pub(super) recipe: Option<Recipe>,
    pub(super) machines: BTreeMap<String, Machine>,
    /// Of a directory.
    pub(super) manifest: Option<Manifest>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(session: &Session<'a>, options: &RecipeOptions) -> Result<Subject<'a>, OpsError> {
        match options.path.is_dir() {
            true => Subject::of_directory(session, options),
            false => Subject::of_recipe(session, options),
        }
    }

    fn of_recipe(session: &Session<'a>, options: &RecipeOptions) -> Result<Subject<'a>, OpsError> {
        let loaded = load::recipe(session, options)?;
        let lock = load::lock_of(&loaded)?;
        // Numbers in a picture are assigned on the premise that the machines can exist.
        ops::check(&loaded)?;
        let (recipe, lock_path) = (loaded.recipe, loaded.lock_path);
        let machines = recipe.machines.clone();
        Ok(Subject { session: *session, lock, lock_path, recipe: Some(recipe), machines, manifest: None })
    }

    fn of_directory(session: &Session<'a>, options: &RecipeOptions) -> Result<Subject<'a>, OpsError> {
        let directory = RecipeOptions { lock: None, ..options.clone() }.directory()?.to_owned();
        locked::any_result(&directory)?;
        let reading = |name: &str, bytes: u64| session.on(OpsEvent::Reading { name, bytes });
        let found = check::check(&directory, &CheckOptions { remembered: None, told: &reading })?;
        let Checked { manifest: Some(manifest), machines, differences, .. } = found else {
            return Err(MismatchError::Changed { directory, differences: found.differences }.into());
        };
        if !differences.is_empty() {
            return Err(MismatchError::Changed { directory, differences }.into());
        }
        locked::pinned(&directory, &manifest)?;
        let (lock_path, lock) = locked::named_or_usual(session, options, &manifest)?;
        if let Some(recipe) = locked::recipe(&lock_path, &manifest) {
            let set = lock.recipe.params.into_iter().collect();
            let built = RecipeOptions { path: recipe, set, lock: Some(lock_path), sources: Vec::new() };
            return Ok(Subject { manifest: Some(manifest), ..Subject::of_recipe(session, &built)? });
        }
        let machines = machines.into_iter().map(|(name, found)| (name, found.launch.description.machine)).collect();
        Ok(Subject { session: *session, lock, lock_path, recipe: None, machines, manifest: Some(manifest) })
    }
}
