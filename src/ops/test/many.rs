//! Tests of several recipes: one is built after the other, and machines of several run side by side.
//!
//! Input: recipes in order, and how many may be under test at once. Output: a call for each recipe that ended, from the
//! thread that tested it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::room::Room;
use super::{TestRequest, prepare};
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::guest::TestReport;
use crate::guest::event::{TestEvent, TestListener};
use crate::guest::host::{CpuSelection, HostResources, room_for};
use crate::ops::error::OpsError;
use crate::ops::event::Guests;
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::project;
use crate::ops::session::Session;
use crate::world::meminfo;

/// A recipe to test.
pub struct RecipeTest {
    /// The name that its lines begin with while other recipes are tested beside it.
    pub name: String,
    /// The recipe.
    pub recipe: RecipeOptions,
    /// Which of its tests run, and how.
    pub request: TestRequest,
}

/// What happens after a recipe was tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRecipe {
    /// The next one is tested.
    GoOn,
    /// No other one is begun.
    Stop,
}

/// Who hears of each recipe's end: with its place among the recipes, and from any thread.
pub(super) type Ended<'a> = &'a (dyn Fn(usize, Result<TestReport, OpsError>) -> AfterRecipe + Sync);

/// How many recipes are tested at once, when nobody says: a guest has two processors more often than one, and under
/// software emulation each keeps one of the host busy. Recipes that are pinned to CPUs share those.
#[allow(clippy::disallowed_methods, reason = "this is scheduling")]
pub fn default_recipes(host: &HostResources) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    (host.cpus.as_ref().map_or_else(all, CpuSelection::count) / 2).max(1)
}

/// Tests recipes, up to `at_once` of them side by side.
pub fn test_all(
    session: &Session<'_>,
    recipes: &[RecipeTest],
    (build, at_once): (&BuildOptions, usize),
    ended: Ended<'_>,
) {
    // From the first to the last: an interruption between two recipes is one of both.
    let _running = Interruptible::start(RunningWork::Machines);
    let workers = at_once.clamp(1, recipes.len().max(1));
    // Four fifths of what is available: the guests of a recipe are not all of what it needs.
    let anonymous = meminfo::available() / 5 * 4;
    let memory = |recipe: &RecipeTest| room_for(&recipe.request.host.memory, anonymous);
    let room = Room::of(recipes.iter().map(memory).min().unwrap_or(0));
    let all = All {
        session,
        recipes,
        build,
        room,
        next: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        building: Mutex::new(()),
        ended,
    };
    if workers == 1 {
        return all.work(Voice::Alone);
    }
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(|| all.work(Voice::OneOfSeveral)))));
}

/// Whether lines say which recipe they are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Alone,
    OneOfSeveral,
}

struct All<'a> {
    session: &'a Session<'a>,
    recipes: &'a [RecipeTest],
    build: &'a BuildOptions,
    room: Room,
    next: AtomicUsize,
    stopped: AtomicBool,
    /// One recipe is built at a time, by as many processors as there are, and in order.
    building: Mutex<()>,
    ended: Ended<'a>,
}

impl All<'_> {
    /// Tests recipes until none is left.
    fn work(&self, voice: Voice) {
        while !self.stopped.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(recipe) = self.recipes.get(next) else { return };
            if (self.ended)(next, self.one(recipe, voice)) == AfterRecipe::Stop {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    fn one(&self, RecipeTest { name, recipe, request }: &RecipeTest, voice: Voice) -> Result<TestReport, OpsError> {
        let out = project::result_path(&recipe.path);
        let _result = self.room.result(&out).ok_or(OpsError::Interrupted)?;
        let prepared = {
            let _turn = self.building.lock().unwrap_or_else(PoisonError::into_inner);
            if self.stopped.load(Ordering::Relaxed) {
                return Err(OpsError::Interrupted);
            }
            prepare(self.session, recipe, self.build, request)?
        };
        let (needed, name) = (prepared.memory(), (voice == Voice::OneOfSeveral).then_some(name.as_str()));
        if let Some(doubt) = self.room.doubt(needed) {
            Guests { listener: self.session.listener, recipe: name }.on(TestEvent::Notice(&doubt));
        }
        let _memory = self.room.memory(needed).ok_or(OpsError::Interrupted)?;
        prepared.run(self.session, name)
    }
}
