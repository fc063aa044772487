//! `kiln root`: builds that garbage collection keeps under a name.
//!
//! Input: a recipe, which is built if needed, or a result directory of a build of this store. Output: its root in the store.

use serde::Serialize;

use super::error::{OpsError, UsageError};
use super::load;
use super::options::{BuildOptions, RecipeOptions};
use super::session::Session;
use super::{build, local, project, sign, steps};
use crate::base::Digest;
use crate::deliver::manifest::Manifest;
use crate::store::{RootName, Store, StoreRoot};

/// A root with what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedRoot {
    /// Its name.
    pub name: RootName,
    /// The recipe.
    pub recipe: String,
    /// Of the build's manifest.
    pub manifest: Digest,
    /// Files and trees of the store that it keeps.
    pub entries: usize,
    /// Their bytes; what several roots keep counts for each.
    pub bytes: u64,
}

/// A name as the user states it.
pub fn name(text: &str) -> Result<RootName, OpsError> {
    RootName::parse(text).ok_or_else(|| UsageError::RootName(text.to_owned()).into())
}

/// Keeps a build of this store.
pub fn keep(store: &Store, name: &RootName, manifest: &Manifest) -> Result<(), OpsError> {
    let digest_of = steps::digest(manifest);
    let actions = steps::of(store, &digest_of).ok_or_else(|| UsageError::NotBuiltHere(manifest.recipe.clone()))?;
    let others = actions.iter().filter(|action| store.peek_result(action).is_none()).count();
    if others > 0 && store.below().next().is_some() {
        store.warn(&format!(
            "root {name}: {others} results of this build may be in a store below, which no root of this one keeps"
        ));
    }
    let files = manifest.artifacts.values().map(|file| file.sha256).collect();
    let root = StoreRoot { recipe: manifest.recipe.clone(), manifest: digest_of, actions, files };
    Ok(store.put_root(name, &root)?)
}

/// `kiln root add`
pub fn add(
    session: &Session<'_>,
    name: &RootName,
    recipe: &RecipeOptions,
    options: &BuildOptions,
) -> Result<(), OpsError> {
    if recipe.path.is_dir() {
        options.without_build(&recipe.path)?;
        let (manifest, _) = sign::unchanged(session, recipe.directory()?)?;
        return keep(&load::open_store(session.world)?, name, &manifest);
    }
    let ready = load::ready(session, recipe)?;
    local::verifiable(&ready.loaded.recipe)?;
    let built = build::build(&ready, options, &project::result_path(&recipe.path))?;
    keep(&ready.store, name, &built.manifest)
}

/// `kiln root list`
pub fn list(session: &Session<'_>) -> Result<Vec<ListedRoot>, OpsError> {
    let store = load::known_store(session.world)?;
    let mut listed = Vec::new();
    for (name, root) in store.roots()? {
        let (entries, bytes) = store.kept_by(&root)?;
        listed.push(ListedRoot { name, recipe: root.recipe, manifest: root.manifest, entries, bytes });
    }
    Ok(listed)
}

/// `kiln root remove`
pub fn remove(session: &Session<'_>, names: &[RootName]) -> Result<(), OpsError> {
    let store = load::known_store(session.world)?;
    for name in names {
        if !store.remove_root(name)? {
            return Err(UsageError::NoRoot(name.to_string()).into());
        }
    }
    Ok(())
}
