//! Every recipe and every lock below a directory, checked: what `kiln verify --all` does.
//!
//! Input: a directory, and how deep to look at each recipe. Output: one verdict for each recipe and library, and for each lock
//! without a recipe. What is wrong with one recipe hides nothing about the others.

mod annotations;
mod bound;
mod check;
mod finding;
mod gitlab;
mod heard;
mod junit;
mod lock_place;
mod places;
mod sarif;
mod walk;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

pub use annotations::annotations;
pub use bound::MAX_FINDINGS;
pub use finding::{FindingPlace, FindingSeverity, RecipeFinding};
pub use gitlab::code_quality;
pub use junit::junit;
pub use places::PathBase;
pub use sarif::sarif;

use self::check::Checked;
use self::heard::WithoutWarnings;
use self::places::Places;
use super::error::{ErrorClass, OpsError};
use super::inside::TreeBound;
use super::options::RecipeOptions;
use super::session::Session;
use super::verify::VerifyReport;

/// Recipes that are looked at together. A hostile lock of the largest size that is read takes a gigabyte while it is parsed.
const THREADS: usize = 4;
/// What the main thread has by default on Linux: the parser's limits of nesting are made for it.
const STACK_BYTES: usize = 8 << 20;

/// What is asked of a tree.
#[derive(Clone, Copy)]
pub struct TreeRequest<'a> {
    /// Where it begins.
    pub directory: &'a Path,
    /// How deep each recipe is looked at.
    pub depth: Depth<'a>,
    /// Where the paths of verdicts begin.
    pub paths: PathBase,
}

/// How deep each recipe is looked at.
#[derive(Clone, Copy)]
pub enum Depth<'a> {
    /// The recipe has no errors, and its lock is its own in every line. Without a network or a store.
    Locks,
    /// And more: inputs are there, or another build gives the same bits.
    More(Deeper<'a>),
}

/// What is asked of one recipe besides its lock.
pub type Deeper<'a> = &'a dyn Fn(&Session<'_>, &RecipeOptions) -> Result<VerifyReport, OpsError>;

/// What was found of one recipe, or of a lock without one.
#[derive(Debug, Serialize)]
pub struct RecipeVerdict {
    /// The recipe; the lock, where that has no recipe.
    #[serde(serialize_with = "finding::path")]
    pub recipe: PathBuf,
    /// In a word.
    pub state: RecipeState,
    /// Errors and warnings, in the order in which they were found, not more than [`MAX_FINDINGS`] and one that counts the others.
    pub findings: Vec<RecipeFinding>,
}

/// What became of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeState {
    /// The lock is that of the recipe; what else was asked is true as well.
    Verified,
    /// It has no lock and needs none: others import it, or it builds nothing.
    Library,
    /// It has no lock, so that nothing but its text was checked.
    NotLocked,
    /// It has errors.
    Failed,
}

impl RecipeVerdict {
    /// Whose failure it is, if it is one.
    pub fn class(&self) -> Option<ErrorClass> {
        let mut errors = self.findings.iter().filter(|finding| finding.severity == FindingSeverity::Error);
        errors.next().map(|finding| finding.class)
    }
}

/// Checks all of them, in the order of their paths; `told` hears of each as soon as it is known.
pub fn verify(
    session: &Session<'_>,
    request: &TreeRequest<'_>,
    told: &mut dyn FnMut(&RecipeVerdict),
) -> Result<Vec<RecipeVerdict>, OpsError> {
    let found = walk::files(request.directory)?;
    let bound = TreeBound::of(session.world, request.directory)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).stack_size(STACK_BYTES).build();
    let checked: Vec<Option<Checked>> = match pool {
        Ok(pool) => pool.install(|| found.into_par_iter().map(|found| check::one(session, &bound, found)).collect()),
        // A host without threads to spare.
        Err(_) => found.into_iter().map(|found| check::one(session, &bound, found)).collect(),
    };
    let checked: Vec<Checked> = checked.into_iter().flatten().collect();
    let libraries = check::libraries(&checked);
    let places = Places::of(session, request);
    let mut verdicts = Vec::new();
    for checked in checked {
        let mut verdict = checked.verdict(session, &libraries);
        if let (Depth::More(deeper), RecipeState::Verified) = (request.depth, verdict.state) {
            look_deeper(session, &mut verdict, deeper)?;
        }
        verdict.bound();
        places.show(session, &mut verdict);
        told(&verdict);
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// What a lock alone does not show.
fn look_deeper(session: &Session<'_>, verdict: &mut RecipeVerdict, deeper: Deeper<'_>) -> Result<(), OpsError> {
    // They are among the findings.
    let listener = WithoutWarnings(session.listener);
    let session = Session { world: session.world, listener: &listener };
    let found = match deeper(&session, &RecipeOptions::of(&verdict.recipe)) {
        Ok(report) => report.wrong.into_iter().map(RecipeFinding::mismatch).collect(),
        Err(error) if error.class() == ErrorClass::Interrupted => return Err(error),
        Err(error) => RecipeFinding::of(error, FindingSeverity::Error),
    };
    verdict.findings.extend(found);
    if verdict.class().is_some() {
        verdict.state = RecipeState::Failed;
    }
    Ok(())
}
