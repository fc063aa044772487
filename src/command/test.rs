//! `kiln test RECIPE...`: builds, boots, and runs the recipes' tests inside the guests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use super::failure::Failure;
use super::output;
use super::tested::{Json, Outcome, verdict};
use crate::base::Foreign;
use crate::cli;
use crate::guest::junit;
use crate::ops::{self, ErrorClass, FailedMachines, GoneFiles, RecipeOptions, Session, TestRequest};
use crate::world::fs;

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::TestArgs) -> Result<(), Failure> {
    if args.lock.is_some() && args.recipes.len() > 1 {
        return Err(Failure::usage("--lock can only be used with one recipe"));
    }
    if args.recipes.iter().collect::<BTreeSet<_>>().len() < args.recipes.len() {
        return Err(Failure::usage("a recipe is given more than once"));
    }
    let failure = failure(args)?;
    let build = args.realize.options();
    let shares = ops::share::directories(session, &args.share)?;
    let mut results: Vec<(String, Outcome)> = Vec::new();
    let mut interrupted = false;
    for (recipe, logs) in args.recipes.iter().zip(ops::log_directories(&args.recipes, args.logs.as_deref())) {
        // Recipes in two directories may share a file name.
        let name = recipe.to_string_lossy().into_owned();
        let (disk_size, filter) = (args.disk_size, args.only.clone());
        let gone = if args.relock_gone { GoneFiles::Relock } else { GoneFiles::Refuse };
        let (accel, slow) = (args.accel.into(), args.slow);
        let shares = shares.clone();
        let options = TestRequest { accel, logs, slow, disk_size, filter, failure, shares, gone };
        let (set, lock, sources) = (args.set.clone(), args.lock.clone(), args.sources.clone());
        let recipe = RecipeOptions { path: recipe.clone(), set, lock, sources };
        match ops::test(session, &recipe, &build, &options).map_err(Failure::from) {
            Ok(report) => {
                crate::tell!("{}: {}", Foreign(&name), report.summary());
                let left = report.left;
                results.push((name, Outcome::Tested(report)));
                if left {
                    break;
                }
            }
            Err(failure) if args.recipes.len() == 1 => return Err(failure),
            Err(failure) if failure.class() == ErrorClass::Interrupted => {
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
        fs::write_atomically(path, junit::documents(&suites).as_bytes())?;
    }
    if args.json {
        let named: BTreeMap<&String, Json> = results.iter().map(|(name, outcome)| (name, outcome.json())).collect();
        output::json(&named)?;
    }
    if interrupted { Err(ops::OpsError::Interrupted.into()) } else { verdict(results) }
}

/// A shell needs somebody to type: a script is told so before anything is built.
fn failure(args: &cli::TestArgs) -> Result<FailedMachines, Failure> {
    match (args.shell_on_failure, std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        (false, _) => Ok(FailedMachines::End),
        (true, true) => Ok(FailedMachines::Shell),
        (true, false) => Err(Failure::usage(
            "--shell-on-failure needs a terminal on standard input and output; without one, see the logs that `kiln test` keeps (--logs)",
        )),
    }
}
