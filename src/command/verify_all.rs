//! `kiln verify --all DIR`: every recipe below a directory and its lock, for people and for CI services.

use super::failure::Failure;
use super::output;
use crate::base::Foreign;
use crate::cli::{self, VerdictFormat};
use crate::ops::every::{self, Depth, FindingSeverity, RecipeVerdict};
use crate::ops::{OpsError, RecipeOptions, Session, VerifyReport};

/// What is asked of one recipe beside its lock.
type Deeper<'a> = &'a dyn Fn(&RecipeOptions) -> Result<VerifyReport, OpsError>;

/// Names in the last line; each has lines of its own before.
const MAX_NAMES: usize = 10;

/// Carries the verb out.
pub(super) fn run(session: &Session<'_>, args: &cli::VerifyArgs, deeper: Deeper<'_>) -> Result<(), Failure> {
    let format = if args.json { VerdictFormat::Json } else { args.format };
    let depth = if args.inputs || args.rebuild { Depth::More(deeper) } else { Depth::Locks };
    let verdicts = every::verify(session, &args.target.recipe, depth, &mut tell)?;
    if verdicts.is_empty() {
        let message = format!("no recipe with a lock below {}", Foreign(args.target.recipe.display()));
        return Err(Failure::usage(message));
    }
    match format {
        VerdictFormat::Text => output::print(&text(&verdicts))?,
        VerdictFormat::Json => output::json(&verdicts)?,
        VerdictFormat::Junit => output::print(&every::junit(&verdicts))?,
        VerdictFormat::Sarif => output::json(&every::sarif(&verdicts))?,
        VerdictFormat::Github => output::print(&every::annotations(&verdicts))?,
    }
    let failed: Vec<&RecipeVerdict> = verdicts.iter().filter(|verdict| verdict.class().is_some()).collect();
    let Some(class) = failed.first().and_then(|verdict| verdict.class()) else { return Ok(()) };
    let names = failed.iter().take(MAX_NAMES).map(|verdict| Foreign(verdict.recipe.display()).to_string());
    let mut names: Vec<String> = names.collect();
    names.extend((failed.len() > MAX_NAMES).then(|| "...".to_owned()));
    let recipes = if verdicts.len() == 1 { "recipe" } else { "recipes" };
    let text = format!("{} of {} {recipes} failed: {}", failed.len(), verdicts.len(), names.join(", "));
    Err(Failure::Stated { class, text })
}

/// Says what is wrong as soon as it is known: a rebuild of all takes hours.
fn tell(verdict: &RecipeVerdict) {
    for finding in &verdict.findings {
        let word = match finding.severity {
            FindingSeverity::Error => "error",
            FindingSeverity::Warning => "warning",
        };
        let place = match &finding.place {
            Some(place) => format!("{}:{}:{}", place.file.display(), place.line, place.column),
            None => verdict.recipe.display().to_string(),
        };
        crate::tell!("{word}: {}: {}", Foreign(place), finding.text());
    }
}

fn text(verdicts: &[RecipeVerdict]) -> String {
    let good = verdicts.iter().filter(|verdict| verdict.findings.is_empty());
    good.map(|verdict| format!("{}: verified\n", Foreign(verdict.recipe.display()))).collect()
}
