//! Fills a cache with the results of a recipe's steps: content first, then what is signed about it. Of packages that were only
//! unpacked the digests alone are pushed: later steps are found by them, and unpacking is quicker than a download.
//!
//! Every file gets its own name when it is whole. Names say what is in a file and, of results, who signed it: two pushes at once write
//! the same bytes, or different files.

mod target;
mod write;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exec::Realized;
use crate::exec::cache::ResultOrigin;
use crate::exec::event::StepEvent;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::exec::sharing::{self, Sharing};
use crate::format::signature::SignaturePurpose;
use crate::oci::Connection;
use crate::ops::cache::config::{self, PlaceKind, Privacy};
use crate::ops::cache::statement::{SignedResult, StepStatement};
use crate::ops::cache::{remember, result_name};
use crate::ops::error::{CacheError, OpsError};
use crate::ops::event::OpsEvent;
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::session::Session;
use crate::ops::sign::{KeyFile, SigningKey};
use crate::ops::{build, load, project};
use crate::plan::{self, Builtin, Plan, Work};
use crate::store::Output;
use write::CacheWriter;

/// Modes of files in a cache: of what was made from private files, and of everything else.
const PRIVATE: u32 = 0o640;
const PUBLIC: u32 = 0o644;

/// What goes where.
#[derive(Debug, Clone)]
pub struct FillRequest {
    /// The recipe.
    pub recipe: RecipeOptions,
    /// How it is built where it was not.
    pub build: BuildOptions,
    /// The cache, as the user names it.
    pub cache: String,
    /// Whose signature it will be.
    pub key: KeyFile,
}

/// What was pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PushedResults {
    /// Where.
    pub cache: String,
    /// The key that has signed them.
    pub key: String,
    /// Steps whose results are in the cache now.
    pub steps: Vec<String>,
    /// Those of them that others have carried out, whose signatures were passed on.
    pub passed_on: Vec<String>,
    /// Those of them whose content this store does not have, so that the cache may lack it.
    pub without_content: Vec<String>,
    /// Steps that are not.
    pub skipped: Vec<SkippedStep>,
    /// Files that the cache lacked.
    pub files_written: u64,
    /// Their bytes there.
    pub bytes_written: u64,
}

/// A step whose result was not pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedStep {
    /// Its name.
    pub step: String,
    /// Why.
    pub reason: &'static str,
}

/// Builds a recipe where it was not built, and puts the results of its steps into a cache.
pub fn push(session: &Session<'_>, request: &FillRequest) -> Result<PushedResults, OpsError> {
    let place = config::named(session.world, &request.cache)?;
    if matches!(place.kind, PlaceKind::Web(_)) {
        return Err(CacheError::ReadOnly(place.name).into());
    }
    let key = SigningKey::open(session.world, &request.key)?;
    let ready = load::ready(session, &request.recipe)?;
    // The build takes from this cache, too, and one that is not there yet is worth no warning.
    let told = |waiting| session.on(OpsEvent::Step(StepEvent::Waiting(waiting)));
    let connection = Connection { world: session.world, stop: &interrupt::stopped, told: &told };
    let writer = CacheWriter::open(connection, &ready.store, &place)?;
    let built = build::build(&ready, &request.build, &project::result_path(&request.recipe.path))?;
    // A first build adds to the lock.
    let plan = plan::lower(&ready.loaded.recipe, &load::lock_of(&ready.loaded)?);
    // From here on an interrupt ends the writing; what is whole stays.
    let _running = Interruptible::start(RunningWork::Steps);
    let filler = Filler { session, writer: &writer, key: &key, plan: &plan, realized: &built.realized };
    let mut pushed = PushedResults { cache: place.name.clone(), key: key.public().shown(), ..PushedResults::default() };
    // What is transient, and the trees that QEMU starts from, are made by everybody.
    let local = |at: &usize| plan.transient.contains(at) || plan.qemu.values().any(|qemu| qemu == at);
    let sharing = shared(&plan, &built.realized);
    for (at, sharing) in sharing.into_iter().enumerate().filter(|(at, _)| !local(at)) {
        let step = plan.steps[at].name();
        match reason(sharing, place.privacy) {
            Some(reason) => pushed.skipped.push(SkippedStep { step, reason }),
            None => filler.step(at, sharing, &mut pushed)?,
        }
    }
    (pushed.files_written, pushed.bytes_written) = writer.written();
    Ok(pushed)
}

/// What of a build may be shared: what went on from an earlier run, or was made of that, is nobody else's to rely on.
fn shared(plan: &Plan, realized: &Realized) -> Vec<Sharing> {
    let mut all = sharing::of(plan);
    let mut unproved: Vec<usize> = realized.incremental().collect();
    for (at, step) in plan.steps.iter().enumerate() {
        if step.dependencies().iter().any(|read| unproved.contains(read)) {
            unproved.push(at);
        }
    }
    unproved.into_iter().for_each(|at| all[at] = Sharing::Never);
    all
}

fn reason(sharing: Sharing, privacy: Privacy) -> Option<&'static str> {
    match (sharing, privacy) {
        (Sharing::Public, _) | (Sharing::Private, Privacy::Private) => None,
        (Sharing::Private, Privacy::Public) => {
            Some("it is made from files that not everybody may read; `--cache private=PLACE` pushes it as well")
        }
        (Sharing::Below | Sharing::Never, _) => {
            Some("it is made of a directory that no lock pins, or was built incrementally")
        }
    }
}

/// One build on its way into one cache.
struct Filler<'a> {
    session: &'a Session<'a>,
    writer: &'a CacheWriter<'a>,
    key: &'a SigningKey,
    plan: &'a Plan,
    realized: &'a Realized,
}

impl Filler<'_> {
    fn step(&self, at: usize, sharing: Sharing, pushed: &mut PushedResults) -> Result<(), OpsError> {
        let step = &self.plan.steps[at];
        if let Some(ResultOrigin::Below { .. }) = self.taken(at) {
            let reason = "it is the result of a store below, whose owner can push it";
            pushed.skipped.push(SkippedStep { step: step.name(), reason });
            return Ok(());
        }
        let outputs = step.outputs.iter();
        let outputs: BTreeMap<String, Output> =
            outputs.filter_map(|name| Some((name.clone(), self.realized.output(at, name)?.clone()))).collect();
        let mode = if sharing == Sharing::Private { PRIVATE } else { PUBLIC };
        // Packages are unpacked in less time than a tree of them is copied.
        if !matches!(step.work, Work::Builtin(Builtin::Tools)) {
            let mut whole = true;
            for output in outputs.values() {
                whole &= self.writer.content(output, mode)?;
            }
            if !whole {
                pushed.without_content.push(step.name());
            }
        }
        self.result((at, &outputs), mode, pushed)
    }

    /// Whose the result of a step is, where it is somebody else's.
    fn taken(&self, at: usize) -> Option<&ResultOrigin> {
        self.realized.taken().find(|(taken, _)| *taken == at).map(|(_, origin)| origin)
    }

    /// What is signed of a step: by this key, or by whoever has carried it out.
    fn result(
        &self,
        (at, outputs): (usize, &BTreeMap<String, Output>),
        mode: u32,
        pushed: &mut PushedResults,
    ) -> Result<(), OpsError> {
        let step = self.plan.steps[at].name();
        let action = self.realized.actions[&step];
        if self.taken(at).is_some() {
            let Some(remembered) = remember::signed(self.writer.store, &action) else {
                pushed.skipped.push(SkippedStep {
                    step,
                    reason: "the signature that it was taken with is not in this store any more",
                });
                return Ok(());
            };
            self.writer.result(&result_name(&action, &remembered.signer), (&remembered.signed, mode))?;
            pushed.passed_on.push(step.clone());
            pushed.steps.push(step);
            return Ok(());
        }
        let key = self.key.public();
        remember::own(self.writer.store, &action, &key)?;
        pushed.steps.push(step.clone());
        // An agent may ask its user each time.
        if self.writer.says(&key, &action, outputs) {
            return Ok(());
        }
        let statement = StepStatement::new((step, action), outputs, self.session.world.now()).write();
        let signature = self.key.sign(statement.as_bytes(), SignaturePurpose::Step)?;
        let name = result_name(&action, &key.file_name());
        self.writer.result(&name, (&SignedResult { statement, signature }, mode))
    }
}
