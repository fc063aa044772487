//! Builds a recipe, boots its machines, and runs its tests inside the guests.

mod many;
mod room;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{OpsError, UsageError};
use super::event::Guests;
use super::options::{BuildOptions, RecipeOptions};
use super::session::Session;
use super::ssh_keys::{self, KeyChoice};
use super::target::{ExistingFile, TextTarget};
use super::{beforehand, gone, launch, load, project};
use crate::base::ByteSize;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::guest::event::{TestEvent, TestListener};
use crate::guest::hold::{self, FailureShell};
use crate::guest::host::HostResources;
use crate::guest::share::Share;
use crate::guest::{self, AccelChoice, TestReport};
use crate::machine::LaunchAdditions;
use crate::recipe::test::Test;
use crate::world::{OutputDirectory, fs};

pub use many::{AfterRecipe, RecipeTest, default_recipes, test_all};

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
    /// What every guest sees as the size of its disk, when not the image's own.
    pub disk_size: Option<ByteSize>,
    /// Only tests whose title contains this.
    pub filter: Option<String>,
    /// What becomes of the machines when a step fails.
    pub failure: FailedMachines,
    /// What every machine has besides.
    pub additions: LaunchAdditions,
    /// What the machines take of this host.
    pub host: HostResources,
    /// Directories of the host that every guest sees.
    pub shares: Vec<Share>,
    /// What happens where no server has a locked file any more.
    pub gone: GoneFiles,
}

/// What becomes of the machines of a test when a step fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailedMachines {
    /// They are used for the next test, or end.
    #[default]
    End,
    /// They stay up, with a shell on the terminal, until the user leaves; nothing is tested afterwards.
    Shell,
}

/// What becomes of a recipe whose lock names files that are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GoneFiles {
    /// It is an error.
    #[default]
    Refuse,
    /// Their pins move, in a lock of its own beside the result.
    Relock,
}

/// A recipe that is built, with what its tests need.
struct Prepared {
    launches: launch::Launches,
    tests: Vec<Test>,
    accel: AccelChoice,
    logs: PathBuf,
    slow: bool,
    filter: Option<String>,
    shell: Option<FailureShell>,
    host: HostResources,
    notices: Vec<String>,
}

/// Builds a recipe, and makes its machines ready.
fn prepare(
    session: &Session<'_>,
    recipe: &RecipeOptions,
    build: &BuildOptions,
    options: &TestRequest,
) -> Result<Prepared, OpsError> {
    if recipe.path.is_dir() {
        return Err(UsageError::TestsOfDirectory(recipe.path.clone()).into());
    }
    let out = project::result_path(&recipe.path);
    let ready = match options.gone {
        GoneFiles::Refuse => load::ready(session, recipe)?,
        GoneFiles::Relock => gone::ready(session, recipe, &gone::beside(&out))?,
    };
    let tested = guest::test::needed(&ready.loaded.recipe.tests, options.slow, options.filter.as_deref());
    launch::check_for_tests(&ready, &tested, &options.additions)?;
    beforehand::disk_size(&ready.loaded.recipe, options.disk_size)?;
    if let Some(logs) = &options.logs {
        OutputDirectory::open(logs)?;
    }
    load::any_machine(&ready.loaded)?;
    // Nothing is built for tests of which none is to run.
    let mut launches = if tested.is_empty() { BTreeMap::new() } else { launch::of_recipe(&ready, build, &out)? };
    launch::enlarge(&mut launches, options.disk_size);
    launch::share(&mut launches, &options.shares)?;
    launches.values_mut().for_each(|launch| launch.additions = options.additions.clone());
    let notices = launches.keys().flat_map(|name| options.additions.notices(name)).collect();
    let shell = (options.failure == FailedMachines::Shell).then(|| shell(session, recipe)).transpose()?;
    if shell.is_some() {
        launches.values_mut().for_each(hold::prepare);
    }
    let logs = options.logs.clone().unwrap_or_else(|| out.join("log"));
    OutputDirectory::open(&logs)?;
    let logs = fs::context("resolve", &logs, logs.canonicalize())?;
    let (tests, filter) = (ready.loaded.recipe.tests.clone(), options.filter.clone());
    let (accel, slow, host) = (options.accel, options.slow, options.host.clone());
    Ok(Prepared { launches, tests, accel, logs, slow, filter, shell, host, notices })
}

impl Prepared {
    /// The bytes of memory that its machines have at once.
    fn memory(&self) -> u64 {
        guest::host::memory_of(guest::test::at_once(&self.launches, &self.tests, &self.options()).into_iter())
    }

    fn options(&self) -> guest::test::TestOptions<'static> {
        guest::test::TestOptions {
            accel: self.accel,
            logs: self.logs.clone(),
            base: PathBuf::from(launch::SOCKETS),
            boot: BOOT,
            slow: self.slow,
            filter: self.filter.clone(),
            shell: self.shell.clone(),
            host: self.host.clone(),
            interrupted: interrupt::flag(),
        }
    }

    /// Runs the tests. Lines that are told of them begin with `name`, if there is one.
    fn run(&self, session: &Session<'_>, name: Option<&str>) -> Result<TestReport, OpsError> {
        let _running = Interruptible::start(RunningWork::Machines);
        let listener = Guests { listener: session.listener, recipe: name };
        self.notices.iter().for_each(|text| listener.on(TestEvent::Notice(text)));
        Ok(guest::test::run(&self.launches, &self.tests, &self.options(), &listener)?)
    }
}

/// How somebody gets at machines whose test failed: as at those of `kiln run`.
fn shell(session: &Session<'_>, recipe: &RecipeOptions) -> Result<FailureShell, OpsError> {
    let access = ssh_keys::access(session, &KeyChoice::Own, &recipe.path)?;
    Ok(FailureShell {
        access: access.unwrap_or_default(),
        sources: launch::sources(session, &recipe.path),
        terminal: session.world.env("TERM").unwrap_or_default(),
    })
}

/// Refuses a file for results that cannot be written before there are some to lose. Directories that are made for the recipes
/// may be missing until then.
pub fn place_for_results(file: Option<&Path>, recipes: &[PathBuf], logs: Option<&Path>) -> Result<(), OpsError> {
    let Some(file) = file else { return Ok(()) };
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let made = recipes.iter().map(|recipe| project::result_path(recipe)).chain(logs.map(Path::to_owned));
    if made.map(|directory| whole(&directory)).any(|directory| whole(file).starts_with(directory)) {
        return Ok(());
    }
    TextTarget::open(file, ExistingFile::Replace).map(drop)
}

/// Where the logs of each recipe go, if not where its result goes. Several recipes may have machines of one name, and
/// result directories of one name, but none writes over another's logs.
pub fn log_directories(recipes: &[PathBuf], given: Option<&Path>) -> Vec<Option<PathBuf>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let directory = |recipe: &PathBuf| {
        let stem = project::stem(recipe);
        let times = seen.entry(stem.clone()).or_default();
        *times += 1;
        match given {
            Some(given) if recipes.len() == 1 => Some(given.to_owned()),
            Some(given) if *times == 1 => Some(given.join(stem)),
            Some(given) => Some(given.join(format!("{stem}-{times}"))),
            None if *times == 1 => None,
            None => Some(project::result_path(recipe).join(format!("log-{times}"))),
        }
    };
    recipes.iter().map(directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_recipe_writes_over_the_logs_of_another() {
        let recipes = ["a/x.kiln", "b/x.kiln", "y.kiln"].map(PathBuf::from);
        let directories = |given: Option<&str>, count: usize| {
            let found = log_directories(&recipes[..count], given.map(Path::new));
            found.into_iter().map(|path| path.map(|path| path.display().to_string())).collect::<Vec<_>>()
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(directories(None, 3), [None, some("result/x/log-2"), None]);
        assert_eq!(directories(Some("logs"), 3), [some("logs/x"), some("logs/x-2"), some("logs/y")]);
        assert_eq!(directories(Some("logs"), 1), [some("logs")]);
    }
}
