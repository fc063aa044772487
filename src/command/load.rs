//! From the command line to a checked recipe, its lock, its plan and the store: what most verbs start with.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::{machines, project};
use crate::base::{Foreign, render};
use crate::cli::RecipeArgs;
use crate::exec::sandbox;
use crate::lock::{self, Lock};
use crate::plan::{self, Plan};
use crate::recipe::{self, Recipe};
use crate::store::{Owner, Store};
use crate::world::{RealWorld, World, WorldError};

/// Locks are refused when they are larger than this; 500 packages make about 200 KiB.
pub const LOCK_LIMIT: u64 = 64 << 20;

/// A recipe that has no mistakes, and where its lock is.
pub struct Loaded {
    /// The machine that kiln runs on.
    pub world: RealWorld,
    /// The recipe.
    pub recipe: Recipe,
    /// Where its lock is, or would be.
    pub lock_path: PathBuf,
}

/// Reads and checks a recipe.
pub fn recipe(args: &RecipeArgs) -> Result<Loaded, Failure> {
    let world = RealWorld::default();
    let path = world.canonical(&args.recipe).map_err(|error| unusable(&args.recipe, error))?;
    if path.is_dir() {
        return Err(Failure::Usage(format!("{} is a directory; a recipe is a .kiln file", args.recipe.display())));
    }
    let recipe =
        recipe::check(&world, &args.recipe, &args.set).map_err(|mistakes| Failure::Reported(rendered(&mistakes)))?;
    let lock_path = args.lock.clone().unwrap_or_else(|| project::lock_path(&path));
    Ok(Loaded { world, recipe: recipe.reachable(), lock_path })
}

/// `kiln check <(...)` names a pipe that has no place among files, which is what its error is to say.
fn unusable(path: &Path, error: WorldError) -> Failure {
    if !path.exists() {
        return Failure::world(error);
    }
    let shown = Foreign(path.display());
    Failure::Usage(format!(
        "{shown} is a pipe or a device; a recipe is a file\n  help: its imports, its lock and its results are found by its \
         place and name: write it to a file"
    ))
}

fn rendered(mistakes: &recipe::Mistakes) -> String {
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    render::render(&mistakes.sources, &mistakes.diagnostics, color)
}

/// A lock, if there is one.
pub fn read_lock(world: &dyn World, path: &Path) -> Result<Option<Lock>, Failure> {
    let Some(text) = lock_text(world, path)? else { return Ok(None) };
    lock::read(&text).map(Some).map_err(|error| Failure::Mistakes(format!("error: {}: {error}", path.display())))
}

/// The text of a lock, if there is one.
pub fn lock_text(world: &dyn World, path: &Path) -> Result<Option<String>, Failure> {
    let bytes = match world.read(path, LOCK_LIMIT) {
        Ok(bytes) => bytes,
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::world(error)),
    };
    String::from_utf8(bytes).map(Some).map_err(|_| Failure::Mistakes(format!("error: {}: not UTF-8", path.display())))
}

/// The lock of a recipe; an error with the way out when it is missing or another recipe's.
pub fn lock_of(loaded: &Loaded) -> Result<Lock, Failure> {
    let shown = loaded.lock_path.display();
    let Some(lock) = read_lock(&loaded.world, &loaded.lock_path)? else {
        return Err(Failure::Mistakes(format!("error: no lock at {shown}\n  help: make it with `kiln lock`")));
    };
    fits(&loaded.recipe, &lock).map_err(|why| {
        Failure::Mistakes(format!(
            "error: {shown} is not the lock of this recipe\n{why}\n  help: `kiln lock` brings it up to date"
        ))
    })?;
    Ok(lock)
}

/// Whether a lock is the lock of a recipe, in words.
pub fn fits(recipe: &Recipe, lock: &Lock) -> Result<(), String> {
    lock::satisfies(recipe, lock)
        .map_err(|mismatches| mismatches.iter().map(|mismatch| format!("  {mismatch}")).collect::<Vec<_>>().join("\n"))
}

/// Everything a build needs.
pub struct Ready {
    /// The recipe.
    pub loaded: Loaded,
    /// Its lock.
    pub lock: Lock,
    /// What there is to do.
    pub plan: Plan,
    /// Where results are.
    pub store: Store,
}

/// Reads recipe and lock, judges and lowers them, opens the store.
pub fn ready(args: &RecipeArgs) -> Result<Ready, Failure> {
    let loaded = recipe(args)?;
    let lock = lock_of(&loaded)?;
    machines::judge(&loaded.recipe, &lock)?;
    let plan = plan::lower(&loaded.recipe, &lock);
    let store = open_store(&loaded.world)?;
    Ok(Ready { loaded, lock, plan, store })
}

/// The store of this user.
pub fn open_store(world: &dyn World) -> Result<Store, Failure> {
    Store::open_default(world, owner()).map_err(Failure::world)
}

/// Whose blobs and trees are: of root, whoever 0 is in its sandboxes.
pub fn owner() -> Option<Owner> {
    sandbox::builder().map(|id| Owner { uid: id, gid: id })
}
