//! What the configuration of a kernel is, and why: nothing is compiled to answer.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::{MismatchError, OpsError, UsageError};
use super::load::{self, Ready};
use super::options::{BuildOptions, RecipeOptions};
use super::realize;
use super::session::Session;
use crate::base::Arch;
use crate::kconfig::{self, DotConfig, Explanation, KconfigTree, OptionRequest, RequestJudge, Tri, dotconfig};
use crate::plan::kernel::requested::Requested;
use crate::plan::kernel::{CONFIG, KCONFIG};
use crate::plan::{self, ArtifactKind, Input, Plan, StepKind};
use crate::recipe::kernel::{Compiled, Kernel, Origin};
use crate::world::fs;

/// Configurations have some 10,000 lines; archives of Kconfig files a few megabytes.
const LIMIT: u64 = 64 << 20;

/// An option in one kernel.
pub struct Explained {
    /// The kernel.
    pub kernel: String,
    /// Whether the option has a value other than `n`.
    pub on: bool,
    /// What the recipe asks of it.
    pub asked: Vec<OptionRequest>,
    /// Which of that the configuration does not fulfil, and why.
    pub unmet: Vec<(OptionRequest, String)>,
    /// Why it is not on, and what to do; why it cannot be off.
    pub why: String,
    /// Prompt, places, value and why.
    pub found: Explanation,
}

/// An option in every kernel that the recipe compiles.
pub fn explain(session: &Session<'_>, recipe: &RecipeOptions, option: &str) -> Result<Vec<Explained>, OpsError> {
    let ready = load::ready(session, recipe)?;
    let mut all = Vec::new();
    for kernel in ready.loaded.recipe.kernels.values() {
        if let Origin::Compiled(compiled) = &kernel.origin {
            all.push(explain_in(&ready, kernel, compiled, option)?);
        }
    }
    if all.is_empty() { Err(UsageError::NoCompiledKernel.into()) } else { Ok(all) }
}

fn explain_in(ready: &Ready<'_>, kernel: &Kernel, compiled: &Compiled, option: &str) -> Result<Explained, OpsError> {
    let wanted = StepKind::KernelConfig(kernel.name.clone());
    let source = StepKind::KernelKconfig(kernel.name.clone());
    let part = plan::restrict(&ready.plan, &|kind| *kind == wanted || *kind == source);
    let realized = realize::only(ready, &part, &BuildOptions::default())?;
    let read = |step: &StepKind, name: &str| -> Result<Vec<u8>, OpsError> {
        let file = realized.file(&output_of(&part, step, name));
        Ok(ready.store.read(&file.sha256, LIMIT)?)
    };
    let requested = Requested::new(kernel, compiled);
    let tree = tree(&read(&source, KCONFIG)?, requested.architecture)?;
    let config = dotconfig::read(&read(&wanted, CONFIG)?).map_err(|error| OpsError::parse(CONFIG, error))?;
    Ok(explained(&kernel.name, RequestJudge { tree: &tree, config: &config, requests: &requested.requests }, option))
}

/// An option in a kernel whose configuration is known.
pub(crate) fn explained(kernel: &str, judge: RequestJudge<'_>, option: &str) -> Explained {
    let RequestJudge { config, requests, .. } = judge;
    let on = config.value(option) != "n";
    let asked: Vec<OptionRequest> = requests.iter().filter(|request| request.name == option).cloned().collect();
    let unmet = judge.unmet().into_iter().filter(|dropped| dropped.request.name == option);
    let unmet =
        unmet.map(|dropped| (judge.why_not(&dropped.request), dropped.request)).map(|(why, request)| (request, why));
    let wanted = if on { Tri::N } else { Tri::Y };
    let found = judge.explanation(option, wanted);
    Explained { kernel: kernel.to_owned(), on, asked, unmet: unmet.collect(), why: judge.why(option, wanted), found }
}

fn output_of(plan: &Plan, step: &StepKind, name: &str) -> Input {
    let step = plan.position(step);
    Input::Output { step: step.expect("a restricted plan has the steps it was restricted to"), name: name.to_owned() }
}

fn tree(tar: &[u8], arch: Arch) -> Result<KconfigTree, OpsError> {
    let source =
        kconfig::archive::read(tar, arch.facts().kernel.source).map_err(|error| OpsError::parse(KCONFIG, error))?;
    KconfigTree::read(&source).map_err(|error| OpsError::parse("Kconfig", error))
}

/// The configuration that a path means: a `.config`, a result directory with its `kernel.config`, or a recipe, whose
/// kernel is then configured as its lock says, if it was not yet.
pub fn configuration(session: &Session<'_>, path: &Path) -> Result<DotConfig, OpsError> {
    let (shown, bytes) = if path.extension().is_some_and(|extension| extension == "kiln") && !path.is_dir() {
        (path.to_owned(), of_recipe(session, path)?)
    } else {
        let file = if path.is_dir() { path.join(ArtifactKind::KernelConfig.file_name()) } else { path.to_owned() };
        let bytes = fs::read(&file, LIMIT)?;
        (file, bytes)
    };
    let wrong =
        |error: dotconfig::NotAConfig| MismatchError::Configuration { path: shown.clone(), reason: error.to_string() };
    Ok(dotconfig::read(&bytes).map_err(wrong)?)
}

/// The final configuration of a recipe's one kernel; nothing is compiled for it.
fn of_recipe(session: &Session<'_>, path: &Path) -> Result<Vec<u8>, OpsError> {
    let ready = load::ready(session, &RecipeOptions::of(path))?;
    let recipe = &ready.loaded.recipe;
    let mut kernels: BTreeSet<&str> = recipe.machines.values().map(|machine| machine.kernel.as_str()).collect();
    if kernels.is_empty() {
        kernels.extend(recipe.kernels_alone().map(|kernel| kernel.name.as_str()));
    }
    if kernels.len() > 1 {
        let names = kernels.into_iter().collect::<Vec<_>>().join(", ");
        return Err(UsageError::SeveralKernels { recipe: path.to_owned(), names }.into());
    }
    let from = ready.plan.artifacts.iter().find_map(|artifact| match &artifact.from {
        Input::Output { step, name } if artifact.kind == ArtifactKind::KernelConfig => Some((*step, name.clone())),
        _ => None,
    });
    let none = || {
        if ready.plan.artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Kernel) {
            UsageError::NoConfiguration(path.to_owned())
        } else {
            UsageError::NoMachine(path.to_owned())
        }
    };
    let (step, name) = from.ok_or_else(none)?;
    let step = ready.plan.steps[step].kind.clone();
    let part = plan::restrict(&ready.plan, &|found| *found == step);
    let realized = realize::only(&ready, &part, &BuildOptions::default())?;
    Ok(ready.store.read(&realized.file(&output_of(&part, &step, &name)).sha256, LIMIT)?)
}
