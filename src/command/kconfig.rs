//! `kiln kconfig explain|diff`: what a kernel's configuration is, and why.

use std::path::Path;

use super::failure::Failure;
use super::{build, load, output};
use crate::cli::{self, KconfigQuestion, RealizeArgs, RecipeArgs};
use crate::kconfig::{self, DotConfig, Tree, Tri, dotconfig};
use crate::plan::{self, Input, Plan};
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
    let compiled = ready.loaded.recipe.kernels.values().filter(|kernel| matches!(kernel.origin, Origin::Compiled(_)));
    let mut told = false;
    for kernel in compiled {
        let wanted = format!("kernel-config {}", kernel.name);
        let source = format!("kernel-kconfig {}", kernel.name);
        let part = plan::restrict(&ready.plan, &|step| step == wanted || step == source);
        let quick = RealizeArgs {
            offline: false,
            jobs: None,
            no_cache: false,
            warm: false,
            allow_leaks: false,
            elsewhere: false,
        };
        let realized = build::realize_in(&ready, &part, &ready.store, &quick)?;
        let read = |step: &str, name: &str| -> Result<Vec<u8>, Failure> {
            let file = realized.file(&output_of(&part, step, name));
            ready.store.read(&file.sha256, LIMIT).map_err(Failure::world)
        };
        let tree = tree(&read(&source, "kconfig.tar")?)?;
        let config = dotconfig::read(&read(&wanted, "kernel.config")?).map_err(Failure::world)?;
        output::print(&answer(&kernel.name, &tree, &config, option))?;
        told = true;
    }
    if told {
        Ok(())
    } else {
        Err(Failure::Usage("the recipe compiles no kernel; `kiln kconfig diff` reads stock ones".to_owned()))
    }
}

fn output_of(plan: &Plan, step: &str, name: &str) -> Input {
    let step = plan.steps.iter().position(|found| found.name == step);
    Input::Output { step: step.expect("a restricted plan has the steps it was restricted to"), name: name.to_owned() }
}

fn tree(tar: &[u8]) -> Result<Tree, Failure> {
    let source = kconfig::archive::read(tar, "x86").map_err(Failure::world)?;
    Tree::read(&source).map_err(Failure::world)
}

fn answer(kernel: &str, tree: &Tree, config: &DotConfig, option: &str) -> String {
    let wanted = if config.tri(option) == Tri::N { Tri::Y } else { config.tri(option) };
    let found = kconfig::explain(tree, config, option, wanted);
    let mut lines = vec![format!("{option} = {} in kernel {kernel}", found.value)];
    lines.extend(found.prompt.iter().map(|prompt| format!("  prompt: {prompt}")));
    for (file, line, depends) in &found.places {
        let depends = if depends.is_empty() { String::new() } else { format!("; depends on {depends}") };
        lines.push(format!("  defined: {file}:{line}{depends}"));
    }
    for (name, force) in &found.selected_by {
        let now = if *force == Tri::N { "not now".to_owned() } else { format!("now, to {force}") };
        lines.push(format!("  selected by {name} ({now})"));
    }
    lines.push(format!("  why: {}", found.sentence(&std::collections::BTreeSet::new())));
    lines.join("\n") + "\n"
}

fn diff(a: &Path, b: &Path) -> Result<(), Failure> {
    let differences = kconfig::diff::diff(&configuration(a)?, &configuration(b)?);
    let lines = differences.iter().map(|found| format!("{} {} -> {}\n", found.name, found.old, found.new));
    output::print(&lines.collect::<String>())
}

/// The configuration that a path means: a `.config`, or a result directory with its `kernel.config`.
fn configuration(path: &Path) -> Result<DotConfig, Failure> {
    let file = if path.is_dir() { path.join("kernel.config") } else { path.to_owned() };
    let file = if file.extension().is_some_and(|extension| extension == "kiln") {
        super::project::result_path(&file).join("kernel.config")
    } else {
        file
    };
    let bytes = fs::read(&file, LIMIT).map_err(Failure::world)?;
    dotconfig::read(&bytes).map_err(|error| Failure::Differs(format!("{}: {error}", file.display())))
}
