//! Builds a recipe, boots its machines, and runs its tests inside the guests.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{OpsError, UsageError};
use super::event::Guests;
use super::options::{BuildOptions, RecipeOptions};
use super::session::Session;
use super::{launch, load, project};
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::guest::{self, AccelChoice, TestReport};
use crate::world::{OutputDirectory, fs};

/// A boot under KVM may take this long; under software emulation ten times as long.
const BOOT: Duration = Duration::from_secs(60);

/// Which tests are run, and how.
#[derive(Debug, Clone, Default)]
pub struct TestRequest {
    /// What executes the guest's instructions.
    pub accel: AccelChoice,
    /// Where console logs are kept, when not in `log` below the result directory.
    pub logs: Option<PathBuf>,
    /// Also tests that are marked slow.
    pub slow: bool,
    /// Only tests whose title contains this.
    pub filter: Option<String>,
}

/// Tests one recipe.
pub fn test(
    session: &Session<'_>,
    recipe: &RecipeOptions,
    build: &BuildOptions,
    options: &TestRequest,
) -> Result<TestReport, OpsError> {
    if recipe.path.is_dir() {
        return Err(UsageError::TestsOfDirectory(recipe.path.clone()).into());
    }
    let ready = load::ready(session, recipe)?;
    let out = project::result_path(&recipe.path);
    let launches = launch::of_recipe(&ready, build, &out)?;
    let logs = options.logs.clone().unwrap_or_else(|| out.join("log"));
    OutputDirectory::open(&logs)?;
    let logs = fs::context("resolve", &logs, logs.canonicalize())?;
    let _running = Interruptible::start(RunningWork::Machines);
    let options = guest::test::TestOptions {
        accel: options.accel,
        logs,
        base: PathBuf::from(launch::SOCKETS),
        boot: BOOT,
        slow: options.slow,
        filter: options.filter.clone(),
        interrupted: interrupt::flag(),
    };
    Ok(guest::test::run(&launches, &ready.loaded.recipe.tests, &options, &Guests(session.listener))?)
}
