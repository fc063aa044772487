//! `kiln verify --all DIR`: every recipe below a directory and its lock, for people and for CI services.

use std::collections::BTreeSet;

use super::failure::Failure;
use super::output;
use crate::base::{Foreign, counted};
use crate::cli::{self, VerdictFormat};
use crate::ops::Session;
use crate::ops::every::{self, Deeper, Depth, FindingSeverity, PathBase, RecipeState, RecipeVerdict, TreeRequest};

/// Names in the last line; each has lines of its own before.
const MAX_NAMES: usize = 10;

/// Carries the verb out.
pub(super) fn run(session: &Session<'_>, args: &cli::VerifyArgs, deeper: Deeper<'_>) -> Result<(), Failure> {
    let format = if args.json { VerdictFormat::Json } else { args.format };
    let request = TreeRequest {
        directory: &args.target.recipe,
        depth: if args.inputs || args.rebuild { Depth::More(deeper) } else { Depth::Locks },
        paths: if format == VerdictFormat::Text { PathBase::WorkingDirectory } else { PathBase::Repository },
    };
    let mut teller = Teller { format, lines: BTreeSet::new(), unsaid: None };
    let verdicts = every::verify(session, &request, &mut |verdict| teller.tell(verdict))?;
    teller.unsaid.map_or(Ok(()), Err)?;
    if verdicts.is_empty() {
        return Err(Failure::usage(format!("no recipes below {}", Foreign(args.target.recipe.display()))));
    }
    match format {
        VerdictFormat::Text => output::print(&text(&verdicts))?,
        VerdictFormat::Json => output::json(&verdicts)?,
        VerdictFormat::Junit => output::print(&every::junit(&verdicts))?,
        VerdictFormat::Sarif => output::json(&every::sarif(&verdicts))?,
        VerdictFormat::Gitlab => output::json(&every::code_quality(&verdicts))?,
        VerdictFormat::Github => {}
    }
    concluded(&verdicts)
}

/// The exit code, and which recipes it is for.
fn concluded(verdicts: &[RecipeVerdict]) -> Result<(), Failure> {
    let failed: Vec<&RecipeVerdict> = verdicts.iter().filter(|verdict| verdict.class().is_some()).collect();
    let Some(class) = failed.first().and_then(|verdict| verdict.class()) else { return Ok(()) };
    let names = failed.iter().take(MAX_NAMES).map(|verdict| Foreign(verdict.recipe.display()).to_string());
    let mut names: Vec<String> = names.collect();
    names.extend((failed.len() > MAX_NAMES).then(|| "...".to_owned()));
    let recipes = counted(verdicts.len(), "recipe");
    let text = format!("{} of {recipes} failed: {}", failed.len(), names.join(", "));
    Err(Failure::Stated { class, text })
}

/// Says what was found as soon as it is known: a rebuild of all takes hours.
struct Teller {
    format: VerdictFormat,
    /// What was said. Recipes with a broken import have the same mistakes in it.
    lines: BTreeSet<String>,
    /// Why an annotation was not said.
    unsaid: Option<Failure>,
}

impl Teller {
    fn tell(&mut self, verdict: &RecipeVerdict) {
        if self.format == VerdictFormat::Github {
            let new: Vec<String> =
                every::annotations(verdict).into_iter().filter(|line| self.lines.insert(line.clone())).collect();
            self.unsaid = output::commands(&new).err().or(self.unsaid.take());
            return;
        }
        for finding in &verdict.findings {
            let word = match finding.severity {
                FindingSeverity::Error => "error",
                FindingSeverity::Warning => "warning",
            };
            let place = match &finding.place {
                Some(place) => format!("{}:{}:{}", place.file.display(), place.line, place.column),
                None => verdict.recipe.display().to_string(),
            };
            let line = format!("{word}: {}: {}", Foreign(place), finding.text());
            if self.lines.insert(line.clone()) {
                crate::tell!("{line}");
            }
        }
    }
}

fn text(verdicts: &[RecipeVerdict]) -> String {
    let line = |verdict: &RecipeVerdict| {
        let state = match verdict.state {
            RecipeState::Verified => "verified",
            RecipeState::Library => "library, no errors",
            RecipeState::NotLocked => "not locked",
            RecipeState::Failed => "failed",
        };
        format!("{}: {state}\n", Foreign(verdict.recipe.display()))
    };
    verdicts.iter().map(line).collect()
}
