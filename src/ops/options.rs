//! What a caller chooses: which recipe, and how its steps are carried out.

use std::path::{Path, PathBuf};

use super::error::UsageError;
use crate::exec::sandbox::Limit;

/// A recipe with its parameters and its lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipeOptions {
    /// The `.kiln` file; for some operations a directory that kiln built.
    pub path: PathBuf,
    /// Values of its parameters.
    pub set: Vec<(String, String)>,
    /// Its lock, when that is not where [`super::project::lock_path`] says.
    pub lock: Option<PathBuf>,
    /// Directories that kernels are compiled from, whatever the recipe says, by the kernel's name.
    pub sources: Vec<(String, PathBuf)>,
}

impl RecipeOptions {
    /// A recipe with its defaults.
    pub fn of(path: impl Into<PathBuf>) -> RecipeOptions {
        RecipeOptions { path: path.into(), ..RecipeOptions::default() }
    }

    /// The path where it is a result directory, which is taken as it was built: what only a recipe can be told is refused.
    pub fn directory(&self) -> Result<&Path, UsageError> {
        let RecipeOptions { path, set, lock, sources } = self;
        let stated = [("--set", !set.is_empty()), ("--lock", lock.is_some()), ("--source", !sources.is_empty())];
        refuse(path, &stated)?;
        Ok(path)
    }
}

/// Refuses the first of these options that is stated.
fn refuse(directory: &Path, options: &[(&'static str, bool)]) -> Result<(), UsageError> {
    match options.iter().find(|(_, stated)| *stated) {
        Some((option, _)) => Err(UsageError::OptionOfRecipe { option, directory: directory.to_owned() }),
        None => Ok(()),
    }
}

/// How steps are carried out. Nothing here changes a bit of what comes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Fetch nothing.
    pub offline: bool,
    /// Steps at a time, and processors that each may use; all when not given.
    pub jobs: Option<u32>,
    /// Run every step, whatever is cached.
    pub no_cache: bool,
    /// Which results of incremental runs count, and whether steps start from one.
    pub incremental: Incremental,
    /// What one step may use, after what `KILN_LIMITS` says.
    pub limits: Vec<Limit>,
    /// What traces of the building machine mean.
    pub leaks: LeakPolicy,
    /// Show programs another clock and directories in another order, to prove that it changes nothing.
    pub variation: bool,
    /// Run every program of the packages itself, and nothing quicker in its place.
    pub without_stand_ins: bool,
    /// Whose results count besides this store's own.
    pub caches: CacheOptions,
}

impl BuildOptions {
    /// Refuses what asks for another build, where there is only what an earlier one left.
    pub fn without_build(&self, directory: &Path) -> Result<(), UsageError> {
        let incremental = self.incremental != Incremental::None;
        let leaks = self.leaks != LeakPolicy::Refuse;
        let CacheOptions { wanted, places, trusted } = &self.caches;
        let stated = [
            ("--no-cache", self.no_cache),
            ("--incremental", incremental),
            ("--allow-leaks", leaks),
            ("--without-stand-ins", self.without_stand_ins),
            ("--cache", !places.is_empty()),
            ("--without-caches", *wanted != CacheUse::Ask),
            ("--trusted-keys", !trusted.is_empty()),
        ];
        refuse(directory, &stated)
    }
}

pub use super::cache::{CacheOptions, CacheUse};
pub use crate::exec::Incremental;

/// What traces of the building machine in an artifact mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LeakPolicy {
    /// The end of the build.
    #[default]
    Refuse,
    /// An event; the build goes on.
    Report,
}
