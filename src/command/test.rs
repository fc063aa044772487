//! `kiln test RECIPE...`: builds, boots, and runs the recipes' tests inside the guests.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::failure::Failure;
use super::results::Results;
use super::tested::{Outcome, verdict, written};
use crate::cli;
use crate::guest::TestReport;
use crate::ops::{self, FailedMachines, GoneFiles, OpsError, RecipeOptions, RecipeTest, Session, TestRequest};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::TestArgs) -> Result<(), Failure> {
    if args.lock.is_some() && args.recipes.len() > 1 {
        return Err(Failure::usage("--lock can only be used with one recipe"));
    }
    if args.recipes.iter().collect::<BTreeSet<_>>().len() < args.recipes.len() {
        return Err(Failure::usage("a recipe is given more than once"));
    }
    let (recipes, at_once) = (recipes(session, args)?, at_once(args));
    ops::place_for_results(args.junit.as_deref(), &args.recipes, args.logs.as_deref())?;
    let results = Results::of(&recipes);
    let ended = |number, result: Result<TestReport, OpsError>| results.ended(number, result.map_err(Failure::from));
    ops::test_all(session, &recipes, (&args.realize.options(), at_once), &ended);
    report(args, results.in_order())
}

/// Writes what is asked for, and says how it went.
fn report(
    args: &cli::TestArgs,
    (results, interrupted): (Vec<(String, Outcome)>, Option<Failure>),
) -> Result<(), Failure> {
    let interrupted = match interrupted {
        Some(failure) if results.is_empty() => return Err(failure),
        other => other,
    };
    let written = written(args, &results);
    let ended = interrupted.map_or_else(|| verdict(results), Err);
    match (ended, written) {
        // What went wrong is more than that there is no file to say so in, such as in the directory of a build that failed.
        (Err(failure), Err(unwritten)) => {
            unwritten.tell();
            Err(failure)
        }
        (ended, written) => ended.and(written),
    }
}

/// The recipes, each with what is asked of it.
fn recipes(session: &Session<'_>, args: &cli::TestArgs) -> Result<Vec<RecipeTest>, Failure> {
    let failure = failure(args)?;
    let host = args.host.resources(None);
    host.check()?;
    let shares = ops::share::directories(session, &args.share)?;
    let gone = if args.relock_gone { GoneFiles::Relock } else { GoneFiles::Refuse };
    let one = |(path, logs): (&PathBuf, Option<PathBuf>)| RecipeTest {
        // Recipes in two directories may share a file name.
        name: path.to_string_lossy().into_owned(),
        recipe: RecipeOptions {
            path: path.clone(),
            set: args.set.clone(),
            lock: args.lock.clone(),
            sources: args.sources.clone(),
        },
        request: TestRequest {
            accel: args.accel.into(),
            logs,
            slow: args.slow,
            disk_size: args.disk_size,
            filter: args.only.clone(),
            failure,
            additions: args.additions(),
            host: host.clone(),
            shares: shares.clone(),
            gone,
        },
    };
    let logs = ops::log_directories(&args.recipes, args.logs.as_deref());
    Ok(args.recipes.iter().zip(logs).map(one).collect())
}

/// How many recipes are tested side by side. Whoever is shown a shell has the terminal for themselves.
fn at_once(args: &cli::TestArgs) -> usize {
    match (args.shell_on_failure, args.realize.jobs) {
        (true, _) => 1,
        (false, Some(jobs)) => usize::try_from(jobs).unwrap_or(usize::MAX),
        (false, None) => ops::default_recipes(&args.host.resources(None)),
    }
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
