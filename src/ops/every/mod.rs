//! Every recipe and every lock below a directory, judged: what `kiln verify --all` does.
//!
//! Input: a directory, and how deep to look at each recipe. Output: one verdict for each recipe that has a lock or describes a
//! machine, and for each lock without a recipe. What is wrong with one recipe hides nothing about the others.

mod annotations;
mod finding;
mod junit;
mod sarif;
mod walk;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use annotations::annotations;
pub use finding::{FindingPlace, FindingSeverity, RecipeFinding};
pub use junit::junit;
pub use sarif::sarif;

use self::walk::Found;
use super::error::{ErrorClass, OpsError};
use super::options::RecipeOptions;
use super::session::Session;
use super::verify::VerifyReport;
use super::{load, lock, project};
use crate::lock::{self as locks, ReadError};

/// How deep each recipe is looked at.
#[derive(Clone, Copy)]
pub enum Depth<'a> {
    /// The recipe has no mistakes, and its lock is its own in every line. Without a network or a store.
    Locks,
    /// And more: inputs are there, or another build gives the same bits.
    More(&'a dyn Fn(&RecipeOptions) -> Result<VerifyReport, OpsError>),
}

/// What was found of one recipe, or of a lock without one.
#[derive(Debug, Serialize)]
pub struct RecipeVerdict {
    /// The recipe, as seen from the working directory; the lock, where that has no recipe.
    #[serde(serialize_with = "finding::path")]
    pub recipe: PathBuf,
    /// Nothing when all is well.
    pub findings: Vec<RecipeFinding>,
}

impl RecipeVerdict {
    /// Whose failure it is, if it is one.
    pub fn class(&self) -> Option<ErrorClass> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == FindingSeverity::Error)
            .map(|finding| finding.class)
            .next()
    }
}

/// Judges all of them, in the order of their paths; `told` hears of each as soon as it is known.
pub fn verify(
    session: &Session<'_>,
    directory: &Path,
    depth: Depth<'_>,
    told: &mut dyn FnMut(&RecipeVerdict),
) -> Result<Vec<RecipeVerdict>, OpsError> {
    let mut verdicts = Vec::new();
    for found in walk::files(directory)? {
        let (path, findings) = match found {
            Found::Unreadable(path, why) => (path, Some(vec![RecipeFinding::unreadable(why)])),
            Found::File(path) => {
                let findings = match path.extension().is_some_and(|extension| extension == "lock") {
                    true => alone(session, &path),
                    false => recipe(session, &path, depth)?,
                };
                (path, findings)
            }
        };
        let Some(findings) = findings else { continue };
        let verdict = RecipeVerdict { recipe: path, findings };
        told(&verdict);
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// Findings about a recipe; `None` when it is a library without a lock.
fn recipe(session: &Session<'_>, path: &Path, depth: Depth<'_>) -> Result<Option<Vec<RecipeFinding>>, OpsError> {
    let options = RecipeOptions::of(path);
    // As every command finds it: by what the path leads to, wherever it is seen from.
    let lock_path = project::lock_path(&session.world.canonical(path).unwrap_or_else(|_| path.to_owned()));
    let locked = is_there(&lock_path);
    let judged = || -> Result<Option<Vec<RecipeFinding>>, OpsError> {
        let loaded = load::recipe(session, &options)?;
        if !locked {
            // Libraries have none: recipes that import them do.
            return Ok((!loaded.recipe.machines.is_empty())
                .then(|| vec![RecipeFinding::not_locked(&shown(session, &lock_path))]));
        }
        lock::check(&loaded)?;
        let wrong = match depth {
            Depth::Locks => Vec::new(),
            Depth::More(deeper) => deeper(&options)?.wrong,
        };
        Ok(Some(wrong.into_iter().map(RecipeFinding::mismatch).collect()))
    };
    match judged() {
        Err(error) if error.class() == ErrorClass::Interrupted => Err(error),
        // What was never locked may be unfinished; what imports it, and is locked, fails by it.
        Err(error) if !locked => Ok(Some(RecipeFinding::of(error, FindingSeverity::Warning))),
        Err(error) => Ok(Some(RecipeFinding::of(error, FindingSeverity::Error))),
        findings => findings,
    }
}

/// Findings about a lock: one whose recipe is gone. Other programs have files with this ending, too, and those that cannot be
/// read are theirs.
fn alone(session: &Session<'_>, path: &Path) -> Option<Vec<RecipeFinding>> {
    let recipe = project::recipe_path(&session.world.canonical(path).unwrap_or_else(|_| path.to_owned()));
    if is_there(&recipe) {
        return None;
    }
    let text = load::lock_text(session.world, path).ok()??;
    let ours = !matches!(locks::read(&text), Err(ReadError::Syntax(_)));
    ours.then(|| vec![RecipeFinding::no_recipe(&shown(session, &recipe))])
}

/// A path as seen from the working directory, where it is below that.
fn shown(session: &Session<'_>, path: &Path) -> PathBuf {
    let here = session.world.canonical(Path::new(".")).ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// Whether anything is there, even what cannot be read or leads nowhere.
fn is_there(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
