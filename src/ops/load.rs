//! From a path to a checked recipe, its lock, its plan and the store: what most operations start with.

use std::path::{Path, PathBuf};

use super::cache::CacheMemory;
use super::error::{LockError, OpsError, UsageError};
use super::options::RecipeOptions;
use super::session::Session;
use super::{below, local, machines, own, project};
use crate::deliver::manifest;
use crate::exec::sandbox;
use crate::lock::{self, Lock};
use crate::machine::rules;
use crate::plan::{self, Plan};
use crate::recipe::{self, Given, Mistakes, Recipe};
use crate::store::{Owner, Store, StoreError};
use crate::world::{World, WorldError};

/// Locks are refused when they are larger than this; 500 packages make about 200 KiB.
pub const LOCK_LIMIT: u64 = 64 << 20;

/// A recipe that has no mistakes, and where its lock is.
pub struct Loaded<'a> {
    /// Where it was loaded.
    pub session: Session<'a>,
    /// Where it is, as the caller named it.
    pub path: PathBuf,
    /// The recipe.
    pub recipe: Recipe,
    /// Where its lock is, or would be.
    pub lock_path: PathBuf,
}

/// Refuses a recipe that has no machine.
pub fn any_machine(loaded: &Loaded<'_>) -> Result<(), UsageError> {
    let recipe = &loaded.recipe;
    if recipe.machines.is_empty() {
        return Err(UsageError::without_machines(&loaded.path, recipe.images.keys(), recipe.kernels.keys()));
    }
    Ok(())
}

/// Reads and checks a recipe.
pub fn recipe<'a>(session: &Session<'a>, options: &RecipeOptions) -> Result<Loaded<'a>, OpsError> {
    if let Some(other) = project::other_kind(&options.path) {
        return Err(other.into());
    }
    let path = session.world.canonical(&options.path).map_err(|error| unusable(&options.path, error))?;
    if path.is_dir() && session.world.exists(&path.join(manifest::FILE)) {
        return Err(UsageError::NeedsRecipe(options.path.clone()).into());
    }
    if path.is_dir() {
        return Err(UsageError::Directory(options.path.clone()).into());
    }
    if path.exists() && !path.is_file() {
        return Err(UsageError::NotAFile(options.path.clone()).into());
    }
    let given = Given { set: &options.set, sources: local::given(session.world, options)? };
    let recipe = recipe::check_given(session.world, &options.path, given)
        .map_err(|mistakes| OpsError::Mistakes(Box::new(with_rules(mistakes))))?;
    local::known(&recipe, options)?;
    let lock_path = options.lock.clone().unwrap_or_else(|| project::lock_path(&path));
    let recipe = recipe.reachable();
    let mistakes = own::files(session.world, &recipe, &lock_path);
    if !mistakes.is_empty() {
        return Err(OpsError::mistakes(&recipe.sources, mistakes));
    }
    Ok(Loaded { session: *session, path: options.path.clone(), recipe, lock_path })
}

/// Adds what the rules say of machines that could be read.
fn with_rules(mut mistakes: Mistakes) -> Mistakes {
    let found: Vec<_> = mistakes.machines.iter().flat_map(rules::check_partly).collect();
    mistakes.extend(found);
    mistakes
}

/// `kiln check <(...)` names a pipe that has no place among files, which is what its error is to say.
fn unusable(path: &Path, error: WorldError) -> OpsError {
    if path.exists() { UsageError::NotAFile(path.to_owned()).into() } else { error.into() }
}

/// A lock, if there is one.
pub fn read_lock(world: &dyn World, path: &Path) -> Result<Option<Lock>, OpsError> {
    let Some(text) = lock_text(world, path)? else { return Ok(None) };
    let wrong = |error| LockError::Read { path: path.to_owned(), source: lock::with_remedy(&text, error) };
    Ok(Some(lock::read(&text).map_err(wrong)?))
}

/// The text of a lock, if there is one.
pub fn lock_text(world: &dyn World, path: &Path) -> Result<Option<String>, OpsError> {
    let bytes = match world.read(path, LOCK_LIMIT) {
        Ok(bytes) => bytes,
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(String::from_utf8(bytes).map_err(|_| LockError::Encoding(path.to_owned()))?))
}

/// The lock of a recipe; an error with the way out when it is missing or another recipe's.
pub fn lock_of(loaded: &Loaded<'_>) -> Result<Lock, OpsError> {
    let path = || loaded.lock_path.clone();
    let lock = read_lock(loaded.session.world, &loaded.lock_path)?.ok_or_else(|| LockError::Missing(path()))?;
    lock::satisfies(&loaded.recipe, &lock).map_err(|mismatches| LockError::OtherRecipe { path: path(), mismatches })?;
    Ok(lock)
}

/// Everything a build needs.
pub struct Ready<'a> {
    /// The recipe.
    pub loaded: Loaded<'a>,
    /// Its lock.
    pub lock: Lock,
    /// What there is to do.
    pub plan: Plan,
    /// Where results are.
    pub store: Store,
    /// What was found out about caches.
    pub caches: CacheMemory,
}

/// Reads recipe and lock, judges and lowers them, opens the store.
pub fn ready<'a>(session: &Session<'a>, options: &RecipeOptions) -> Result<Ready<'a>, OpsError> {
    let loaded = recipe(session, options)?;
    let lock = lock_of(&loaded)?;
    machines::judge(session, &loaded.recipe, &lock)?;
    let plan = plan::lower(&loaded.recipe, &lock);
    let store = open_store(session.world)?;
    Ok(Ready { loaded, lock, plan, store, caches: CacheMemory::default() })
}

/// The store of this user, and the stores below it.
pub fn open_store(world: &dyn World) -> Result<Store, OpsError> {
    below::over(Store::open_default(world, owner())?, world)
}

/// The same for a question about it, which makes none where there is none: a wrong KILN_STORE is told instead.
pub fn known_store(world: &dyn World) -> Result<Store, OpsError> {
    let root = Store::default_root(world).ok_or(StoreError::Nowhere)?;
    if !Store::is_at(&root) && !below::are_named(world)? {
        // Without a slash at its end.
        return Err(StoreError::Absent(root.components().collect()).into());
    }
    open_store(world)
}

/// Whose blobs and trees are: of root, whoever 0 is in its sandboxes.
pub fn owner() -> Option<Owner> {
    sandbox::builder().map(|id| Owner { uid: id, gid: id })
}
