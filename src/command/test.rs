//! `kiln test RECIPE...`: builds, boots, and runs the recipes' tests inside the guests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use super::run::Told;
use super::{launches, load, output, project};
use crate::cli::{self, RecipeArgs};
use crate::guest::test::Options;
use crate::guest::{self, Report, junit};
use crate::world::fs;

/// A boot under KVM may take this long; under software emulation ten times as long.
const BOOT: Duration = Duration::from_secs(60);

/// Carries the verb out.
pub fn run(args: &cli::Test) -> Result<(), Failure> {
    if args.lock.is_some() && args.recipes.len() > 1 {
        return Err(Failure::Usage("--lock names the lock of one recipe; there are several".to_owned()));
    }
    let mut reports = Vec::new();
    for recipe in &args.recipes {
        let report = one(args, recipe)?;
        crate::tell!("{}: {}", project::stem(recipe), report.summary());
        reports.push((project::stem(recipe), report));
    }
    if let Some(path) = &args.junit {
        fs::write_atomically(path, junit::documents(&reports).as_bytes()).map_err(Failure::world)?;
    }
    if args.json {
        let named: std::collections::BTreeMap<&String, &Report> =
            reports.iter().map(|(name, report)| (name, report)).collect();
        output::json(&named)?;
    }
    let failed: usize = reports.iter().map(|(_, report)| report.counts().1).sum();
    let passed: usize = reports.iter().map(|(_, report)| report.counts().0).sum();
    match (failed, passed) {
        (0, 0) => Err(Failure::Usage("no test was run".to_owned())),
        (0, _) => Ok(()),
        _ => Err(Failure::Differs(format!("{failed} tests failed"))),
    }
}

fn one(args: &cli::Test, recipe: &Path) -> Result<Report, Failure> {
    let recipe_args = RecipeArgs { recipe: recipe.to_owned(), set: args.set.clone(), lock: args.lock.clone() };
    let ready = load::ready(&recipe_args)?;
    let out = project::result_path(recipe);
    let launches = launches::of_recipe(&ready, &args.realize, &out)?;
    let logs = args.logs.clone().unwrap_or_else(|| out.join("log"));
    fs::create_dir_all(&logs).map_err(Failure::world)?;
    let logs = fs::context("resolve", &logs, logs.canonicalize()).map_err(Failure::world)?;
    let interrupted = launches::interruption()?;
    let options = Options {
        accel: launches::accel(args.accel),
        logs,
        base: PathBuf::from("/tmp"),
        boot: BOOT,
        slow: args.slow,
        filter: args.only.clone(),
        interrupted: &interrupted,
    };
    guest::test::run(&launches, &ready.loaded.recipe.tests, &options, &Told).map_err(launches::failure)
}
