//! `kiln test RECIPE...`: builds, boots, and runs the recipes' tests inside the guests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::PathBuf;

use super::failure::Failure;
use super::output;
use super::results::Results;
use super::tested::{Json, Outcome, verdict};
use crate::cli;
use crate::guest::{TestReport, junit};
use crate::ops::{
    self, ExistingFile, FailedMachines, GoneFiles, OpsError, RecipeOptions, RecipeTest, Session, TestRequest,
    TextTarget, WrittenText,
};

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
    (mut results, interrupted): (Vec<(String, Outcome)>, Option<Failure>),
) -> Result<(), Failure> {
    // One recipe alone fails as it would with any other command.
    if args.recipes.len() == 1
        && let Some((_, Outcome::Untested(failure))) =
            results.pop_if(|(_, outcome)| matches!(outcome, Outcome::Untested(_)))
    {
        return Err(failure);
    }
    let interrupted = match interrupted {
        Some(failure) if results.is_empty() => return Err(failure),
        other => other,
    };
    if let Some(path) = &args.junit {
        let suites: Vec<_> = results.iter().map(|(name, outcome)| (name.as_str(), outcome.report())).collect();
        let document = junit::documents(&suites);
        if TextTarget::open(path, ExistingFile::Replace)?.write(&document)? == WrittenText::Handed {
            output::print(&document)?;
        }
    }
    if args.json {
        let named: BTreeMap<&String, Json> = results.iter().map(|(name, outcome)| (name, outcome.json())).collect();
        output::json(&named)?;
    }
    interrupted.map_or_else(|| verdict(results), Err)
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
