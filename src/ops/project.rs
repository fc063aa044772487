//! Where the files of a recipe's project are: its lock and its results.

use std::path::{Path, PathBuf};

use super::error::UsageError;
use crate::oci::Reference;
use crate::world::{OutputDirectory, WorldError};

/// The lock of a recipe: `lockfiles/NAME.lock` beside a directory called `recipes`, else `NAME.lock` beside the recipe.
pub fn lock_path(recipe: &Path) -> PathBuf {
    let name = format!("{}.lock", stem(recipe));
    let directory = recipe.parent().unwrap_or(Path::new(""));
    match directory.file_name() {
        Some(last) if last == "recipes" => directory.with_file_name("lockfiles").join(name),
        _ => directory.join(name),
    }
}

/// The recipe of a lock, the other way round.
pub fn recipe_path(lock: &Path) -> PathBuf {
    let name = format!("{}.kiln", stem(lock));
    let directory = lock.parent().unwrap_or(Path::new(""));
    match directory.file_name() {
        Some(last) if last == "lockfiles" => directory.with_file_name("recipes").join(name),
        _ => directory.join(name),
    }
}

/// Writes a lock. A link in its directory's place is refused, one in its own is replaced: a checkout must not choose
/// what of its user's files is written to.
pub fn write_lock(path: &Path, text: &str) -> Result<(), WorldError> {
    let directory = OutputDirectory::open(path.parent().unwrap_or(Path::new("")))?;
    directory.write(path.file_name().unwrap_or_default(), text.as_bytes(), 0o644)
}

/// Where builds go unless told, in the working directory.
pub const RESULTS: &str = "result";

/// Where a build goes unless told: `result/NAME` in the working directory.
pub fn result_path(recipe: &Path) -> PathBuf {
    Path::new(RESULTS).join(stem(recipe))
}

/// The recipe's or the lock's name: its file's stem.
pub fn stem(recipe: &Path) -> String {
    recipe.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is named where a recipe or a directory belongs, and is something else that kiln knows.
pub(super) fn other_kind(path: &Path) -> Option<UsageError> {
    if is_lock(path) && path.is_file() {
        let recipe = Some(recipe_path(path)).filter(|recipe| recipe.is_file());
        return Some(UsageError::LockForRecipe { lock: path.to_owned(), recipe });
    }
    reference(path)
}

/// A reference to an artifact where a path belongs.
pub fn reference(path: &Path) -> Option<UsageError> {
    let is_meant = path.symlink_metadata().is_err() && Reference::is_meant(&path.to_string_lossy());
    is_meant.then(|| UsageError::ReferenceForPath(path.to_owned()))
}

/// Whether a path is that of a lock, by its name.
pub(super) fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_stand_beside_recipes() {
        assert_eq!(lock_path(Path::new("recipes/a.kiln")), Path::new("lockfiles/a.lock"));
        assert_eq!(lock_path(Path::new("x/recipes/a.kiln")), Path::new("x/lockfiles/a.lock"));
        assert_eq!(lock_path(Path::new("a.kiln")), Path::new("a.lock"));
        assert_eq!(lock_path(Path::new("lab/a.kiln")), Path::new("lab/a.lock"));
    }
}
