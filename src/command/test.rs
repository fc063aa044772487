//! `kiln test RECIPE...`: builds, boots, and runs the recipes' tests inside the guests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::run::Told;
use super::{launches, load, output, project};
use crate::base::Foreign;
use crate::cli::{self, RecipeArgs};
use crate::guest::test::TestOptions;
use crate::guest::{self, TestReport, junit};
use crate::world::{Directory, fs};

/// A boot under KVM may take this long; under software emulation ten times as long.
const BOOT: Duration = Duration::from_secs(60);

/// Carries the verb out.
pub fn run(args: &cli::Test) -> Result<(), Failure> {
    if args.lock.is_some() && args.recipes.len() > 1 {
        return Err(Failure::Usage("--lock names the lock of one recipe; there are several".to_owned()));
    }
    let mut results: Vec<(String, Outcome)> = Vec::new();
    let mut interrupted = false;
    for recipe in &args.recipes {
        let name = project::stem(recipe);
        match one(args, recipe) {
            Ok(report) => {
                crate::tell!("{}: {}", Foreign(&name), report.summary());
                results.push((name, Outcome::Tested(report)));
            }
            Err(failure) if args.recipes.len() == 1 => return Err(failure),
            Err(Failure::Interrupted) => {
                interrupted = true;
                break;
            }
            // One recipe that cannot be tested hides nothing about the others.
            Err(failure) => {
                failure.tell();
                crate::tell!("{}: not tested", Foreign(&name));
                results.push((name, Outcome::Untested(failure)));
            }
        }
    }
    if let Some(path) = &args.junit {
        let suites: Vec<_> = results.iter().map(|(name, outcome)| (name.as_str(), outcome.report())).collect();
        fs::write_atomically(path, junit::documents(&suites).as_bytes()).map_err(Failure::world)?;
    }
    if args.json {
        let named: BTreeMap<&String, Json> = results.iter().map(|(name, outcome)| (name, outcome.json())).collect();
        output::json(&named)?;
    }
    if interrupted { Err(Failure::Interrupted) } else { verdict(results) }
}

/// What became of one recipe.
enum Outcome {
    Tested(TestReport),
    Untested(Failure),
}

/// The same for `--json`.
#[derive(Serialize)]
#[serde(untagged)]
enum Json<'a> {
    Tested(&'a TestReport),
    Untested { error: String },
}

impl Outcome {
    fn report(&self) -> Result<&TestReport, String> {
        match self {
            Outcome::Tested(report) => Ok(report),
            Outcome::Untested(failure) => Err(failure.text().trim_start_matches("error: ").trim_end().to_owned()),
        }
    }

    fn json(&self) -> Json<'_> {
        self.report().map_or_else(|error| Json::Untested { error }, Json::Tested)
    }
}

/// What the command ends with: a recipe that could not be tested weighs more than a test that failed.
fn verdict(results: Vec<(String, Outcome)>) -> Result<(), Failure> {
    let recipes = results.len();
    let (mut passed, mut failed, mut untested, mut first) = (0, 0, Vec::new(), None);
    for (name, outcome) in results {
        match outcome {
            Outcome::Tested(report) => {
                passed += report.counts().0;
                failed += report.counts().1;
            }
            Outcome::Untested(failure) => {
                untested.push(name);
                first.get_or_insert(failure);
            }
        }
    }
    match first {
        Some(failure) => {
            let names = untested.join(", ");
            Err(failure.saying(format!("{} of {recipes} recipes were not tested: {names}", untested.len())))
        }
        None if failed > 0 => Err(Failure::Differs(format!("{failed} tests failed"))),
        None if passed == 0 => Err(Failure::Usage("no test was run".to_owned())),
        None => Ok(()),
    }
}

fn one(args: &cli::Test, recipe: &Path) -> Result<TestReport, Failure> {
    if recipe.is_dir() {
        let message = "kiln test takes recipes, which the tests are in; a built directory can be run with `kiln run`";
        return Err(Failure::Usage(format!("{}: {message}", recipe.display())));
    }
    let recipe_args = RecipeArgs { recipe: recipe.to_owned(), set: args.set.clone(), lock: args.lock.clone() };
    let ready = load::ready(&recipe_args)?;
    let out = project::result_path(recipe);
    let launches = launches::of_recipe(&ready, &args.realize, &out)?;
    let logs = args.logs.clone().unwrap_or_else(|| out.join("log"));
    Directory::open(&logs).map_err(Failure::world)?;
    let logs = fs::context("resolve", &logs, logs.canonicalize()).map_err(Failure::world)?;
    let interrupted = launches::interruption()?;
    let options = TestOptions {
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
