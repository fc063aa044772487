//! `kiln plan RECIPE`: the steps of a build, without carrying them out.

use serde::Serialize;

use super::failure::Failure;
use super::output;
use super::progress::taken;
use crate::base::{ByteSize, Digest, counted};
use crate::cli;
use crate::exec::cache::ResultOrigin;
use crate::exec::{self, StepState};
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
    /// Those that a build would download.
    files_missing: u64,
    bytes_missing: u64,
    /// What a build would unpack, and how large that is before.
    packages_unpacked: u64,
    packages_bytes: u64,
}

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::PlanArgs) -> Result<(), Failure> {
    let ready = ops::ready(session, &args.recipe.options())?;
    let status = ops::status(&ready)?;
    let outlook = exec::outlook(&ready.plan, &ready.store, &|at| status[at].state != StepState::Cached);
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
        files_missing: outlook.files,
        bytes_missing: outlook.bytes,
        packages_unpacked: outlook.packages,
        packages_bytes: outlook.packages_bytes,
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
    let [missing, packed] = [document.bytes_missing, document.packages_bytes].map(|bytes| ByteSize(bytes).rounded());
    let files = counted(document.files, "file");
    let packages = counted(document.packages_unpacked, "package");
    let downloads = document.files_missing;
    lines.push(format!("{files}, {downloads} to download ({missing}); {packages} to unpack ({packed} compressed)\n"));
    lines.concat()
}
