//! `kiln plan RECIPE`: the steps of a build, without carrying them out.

use serde::Serialize;

use super::failure::Failure;
use super::output;
use super::progress::taken;
use crate::base::{ByteSize, Digest};
use crate::cli;
use crate::exec::StepState;
use crate::exec::cache::ResultOrigin;
use crate::ops::{self, Session};

#[derive(Serialize)]
struct Shown {
    name: String,
    id: Digest,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<ResultOrigin>,
}

#[derive(Serialize)]
struct Document<'a> {
    recipe: &'a str,
    steps: Vec<Shown>,
    files: usize,
    files_missing: usize,
    bytes_missing: u64,
}

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::PlanArgs) -> Result<(), Failure> {
    let ready = ops::ready(session, &args.recipe.options())?;
    let status = ops::status(&ready)?;
    let downloads = ready.plan.fetches.values().filter(|fetch| !fetch.place.is_local());
    let missing: Vec<_> = downloads.filter(|fetch| !ready.store.has_sized(&fetch.digest, fetch.size)).collect();
    let document = Document {
        recipe: &ready.loaded.recipe.name,
        steps: ready
            .plan
            .steps
            .iter()
            .zip(&status)
            .map(|(step, status)| Shown {
                name: step.name(),
                id: status.id,
                state: word(&status.state),
                action: status.action,
                taken: status.taken.clone(),
            })
            .collect(),
        files: ready.plan.fetches.len(),
        files_missing: missing.len(),
        bytes_missing: missing.iter().map(|fetch| fetch.size).sum(),
    };
    if args.json { output::json(&document) } else { output::print(&text(&document)) }
}

fn word(state: &StepState) -> &'static str {
    match state {
        StepState::Cached => "cached",
        StepState::WouldRun => "would run",
        StepState::Unknown => "depends on earlier steps",
    }
}

fn text(document: &Document<'_>) -> String {
    let width = document.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = document
        .steps
        .iter()
        .map(|step| {
            let taken = step.taken.as_ref().map(|origin| format!(", {}", taken(origin))).unwrap_or_default();
            format!("{}  {:width$}  {}{taken}\n", step.id.short(), step.name, step.state)
        })
        .collect();
    let size = ByteSize(document.bytes_missing).rounded();
    lines.push(format!("{} files, {} to download ({size})\n", document.files, document.files_missing));
    lines.concat()
}
