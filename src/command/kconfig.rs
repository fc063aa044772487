//! `kiln kconfig explain|diff`: what a kernel's configuration is, and why.

use std::collections::BTreeSet;
use std::path::Path;

use super::failure::Failure;
use super::{build, load, output};
use crate::base::{Arch, Foreign};
use crate::cli::{self, KconfigQuestion, RealizeArgs, RecipeArgs};
use crate::kconfig::explain::Why;
use crate::kconfig::{self, DotConfig, KconfigTree, OptionRequest, Tri, dotconfig};
use crate::plan::kernel::requested::Requested;
use crate::plan::kernel::{CONFIG, KCONFIG};
use crate::plan::{self, ArtifactKind, Input, Plan, StepKind};
use crate::recipe::kernel::Origin;
use crate::world::fs;

/// Configurations have some 10,000 lines; archives of Kconfig files a few megabytes.
const LIMIT: u64 = 64 << 20;

/// Carries the verb out.
pub fn run(args: &cli::Kconfig) -> Result<(), Failure> {
    match &args.question {
        KconfigQuestion::Explain { option, recipe } => explain(option.trim_start_matches("CONFIG_"), recipe),
        KconfigQuestion::Diff { a, b } => diff(a, b),
    }
}

fn explain(option: &str, args: &RecipeArgs) -> Result<(), Failure> {
    let ready = load::ready(args)?;
    let mut told = false;
    for kernel in ready.loaded.recipe.kernels.values() {
        let Origin::Compiled(compiled) = &kernel.origin else { continue };
        let wanted = StepKind::KernelConfig(kernel.name.clone());
        let source = StepKind::KernelKconfig(kernel.name.clone());
        let part = plan::restrict(&ready.plan, &|kind| *kind == wanted || *kind == source);
        let realized = build::realize_in(&ready, &part, &ready.store, &quick())?;
        let read = |step: &StepKind, name: &str| -> Result<Vec<u8>, Failure> {
            let file = realized.file(&output_of(&part, step, name));
            ready.store.read(&file.sha256, LIMIT).map_err(Failure::world)
        };
        let requested = Requested::new(kernel, compiled);
        let tree = tree(&read(&source, KCONFIG)?, requested.architecture)?;
        let config = dotconfig::read(&read(&wanted, CONFIG)?).map_err(Failure::world)?;
        output::print(&answer(&requested, &kernel.name, (&tree, &config), option))?;
        told = true;
    }
    if told {
        Ok(())
    } else {
        Err(Failure::Usage("the recipe compiles no kernel; `kiln kconfig diff` reads stock ones".to_owned()))
    }
}

fn quick() -> RealizeArgs {
    RealizeArgs {
        offline: false,
        jobs: None,
        no_cache: false,
        incremental: false,
        limits: Vec::new(),
        allow_leaks: false,
        variation: false,
    }
}

fn output_of(plan: &Plan, step: &StepKind, name: &str) -> Input {
    let step = plan.position(step);
    Input::Output { step: step.expect("a restricted plan has the steps it was restricted to"), name: name.to_owned() }
}

fn tree(tar: &[u8], arch: Arch) -> Result<KconfigTree, Failure> {
    let source = kconfig::archive::read(tar, arch.facts().kernel.source).map_err(Failure::world)?;
    KconfigTree::read(&source).map_err(Failure::world)
}

fn answer(requested: &Requested, kernel: &str, (tree, config): (&KconfigTree, &DotConfig), option: &str) -> String {
    let on = config.value(option) != "n";
    let found = kconfig::explain(tree, config, option, if on { Tri::N } else { Tri::Y });
    let mut lines = vec![format!("{option} = {} in kernel {kernel}", found.value)];
    lines.extend(found.prompt.iter().map(|prompt| format!("  prompt: {}", Foreign(prompt))));
    for (file, line, depends) in &found.places {
        let depends = if depends.is_empty() { String::new() } else { format!("; depends on {depends}") };
        lines.push(format!("  defined: {}:{line}{}", Foreign(file), Foreign(depends)));
    }
    for (name, force) in &found.selected_by {
        let now = if *force == Tri::N { "not now".to_owned() } else { format!("now, to {force}") };
        lines.push(format!("  selected by {} ({now})", Foreign(name)));
    }
    let asked: Vec<&OptionRequest> = requested.requests.iter().filter(|request| request.name == option).collect();
    lines.extend(asked.iter().map(|request| format!("  asked for: {}", request.text())));
    lines.push(match &found.why {
        // Nothing stands against another value, so that it is what somebody wanted.
        Why::Free if on && asked.is_empty() => "  why: the base of this kernel, or a default of its source".to_owned(),
        Why::Free if on => "  why: it was asked for".to_owned(),
        Why::Forced(by) if on => format!("  why: selected by {}", by.join(" and ")),
        _ => format!("  why: {}", found.sentence(&BTreeSet::new())),
    });
    lines.join("\n") + "\n"
}

fn diff(a: &Path, b: &Path) -> Result<(), Failure> {
    let differences = kconfig::diff::diff(&configuration(a)?, &configuration(b)?);
    let lines = differences
        .iter()
        .map(|found| format!("{} {} -> {}\n", Foreign(&found.name), Foreign(&found.old), Foreign(&found.new)));
    output::print(&lines.collect::<String>())
}

/// The configuration that a path means: a `.config`, a result directory with its `kernel.config`, or a recipe, whose
/// kernel is then configured as its lock says, if it was not yet.
fn configuration(path: &Path) -> Result<DotConfig, Failure> {
    let (shown, bytes) = if path.extension().is_some_and(|extension| extension == "kiln") && !path.is_dir() {
        (path.to_owned(), of_recipe(path)?)
    } else {
        let file = if path.is_dir() { path.join(ArtifactKind::KernelConfig.file_name()) } else { path.to_owned() };
        let bytes = fs::read(&file, LIMIT).map_err(Failure::world)?;
        (file, bytes)
    };
    dotconfig::read(&bytes).map_err(|error| Failure::Differs(format!("{}: {error}", shown.display())))
}

/// The final configuration of a recipe's one kernel; nothing is compiled for it.
fn of_recipe(path: &Path) -> Result<Vec<u8>, Failure> {
    let ready = load::ready(&RecipeArgs { recipe: path.to_owned(), set: Vec::new(), lock: None })?;
    let kernels: BTreeSet<&str> = ready.loaded.recipe.machines.values().map(|m| m.kernel.as_str()).collect();
    if kernels.len() > 1 {
        let names = kernels.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!(
            "{} has several kernels ({names}); name a `kernel.config` below its result directory instead",
            path.display()
        );
        return Err(Failure::Usage(text));
    }
    let from = ready.plan.artifacts.iter().find_map(|artifact| match &artifact.from {
        Input::Output { step, name } if artifact.kind == ArtifactKind::KernelConfig => Some((*step, name.clone())),
        _ => None,
    });
    let (step, name) = from.ok_or_else(|| Failure::Usage(format!("{} has no machine", path.display())))?;
    let step = ready.plan.steps[step].kind.clone();
    let part = plan::restrict(&ready.plan, &|found| *found == step);
    let realized = build::realize_in(&ready, &part, &ready.store, &quick())?;
    ready.store.read(&realized.file(&output_of(&part, &step, &name)).sha256, LIMIT).map_err(Failure::world)
}
