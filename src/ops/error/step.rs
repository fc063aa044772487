//! A step that failed at what the recipe says, shown there.

use super::OpsError;
use crate::exec::{ExecError, FailedStep};
use crate::plan::StepKind;
use crate::recipe::build::Build;
use crate::recipe::{Mistakes, Recipe};

/// A step that failed, and the place of the recipe that it is about.
#[derive(Debug)]
pub struct StepReport {
    /// The step.
    pub failed: FailedStep,
    /// One diagnostic.
    pub mistakes: Mistakes,
}

impl OpsError {
    /// A plan of this recipe that was not carried out.
    pub fn exec(recipe: &Recipe, error: ExecError) -> OpsError {
        match error {
            ExecError::Step(failed) => match failed.diagnostic(recipe) {
                Some(mut diagnostic) => {
                    diagnostic.hint = diagnostic.hint.or_else(|| doubt(recipe, &failed.step));
                    let mistakes = Mistakes {
                        sources: recipe.sources.clone(),
                        diagnostics: vec![diagnostic],
                        machines: Vec::new(),
                    };
                    OpsError::Step(Box::new(StepReport { failed: *failed, mistakes }))
                }
                None => ExecError::Step(failed).into(),
            },
            other => other.into(),
        }
    }
}

/// What may be the matter with a build besides its script, or how to look at what that left.
fn doubt(recipe: &Recipe, step: &StepKind) -> Option<String> {
    let StepKind::Build(build) = step else { return None };
    let look = || format!("`kiln shell --failed RECIPE {build}` opens a shell in what the script left");
    Some(recipe.builds.get(build).and_then(Build::doubt).unwrap_or_else(look))
}
