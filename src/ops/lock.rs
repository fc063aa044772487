//! Asks the archives what exists, and writes down which bits the recipe means.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{LockError, OpsError};
use super::event::{Notice, OpsEvent};
use super::load::{self, Loaded};
use super::previous::Previous;
use super::session::Session;
use super::{edited, machines, mirrors, project, record, written};
use crate::base::{Diagnostic, Digest};
use crate::lock::resolve::{self, DirectoryCache, Progress, ResolveContext, Update};
use crate::lock::{self, EditedLine, Lock, LockedMachine, Mismatch};
use crate::plan;
use crate::recipe::Recipe;

/// What became of a lock.
pub struct Locked {
    /// The lock that was there, if it could be read.
    pub previous: Option<Lock>,
    /// The lock that is there now.
    pub lock: Lock,
    /// Whether a file was written; a lock that is as it was is left alone.
    pub written: bool,
}

/// Makes the lock of a recipe, keeping what `update` does not move.
pub fn lock(loaded: &Loaded<'_>, update: &Update) -> Result<Locked, OpsError> {
    let session = &loaded.session;
    let before = load::lock_text(session.world, &loaded.lock_path)?;
    let previous = match before.as_deref() {
        Some(text) => Previous::read(session, &loaded.lock_path, text, update)?,
        None => Previous::default(),
    };
    let lock = made(loaded, previous.lock.as_ref(), update)?;
    let text = lock::write(&lock);
    if let (Some(before), Some(original)) = (&before, &previous.original) {
        let left = lock::compared(original, &text);
        let left: BTreeSet<_> = left.iter().map(|line| (&line.now, &line.before)).collect();
        let is_kept = |line: &EditedLine| left.contains(&(&line.now, &line.before));
        let lines: Vec<(EditedLine, bool)> =
            lock::compared(original, before).into_iter().map(|line| (line.clone(), is_kept(&line))).collect();
        session.notice(Notice::LockEdited { path: &loaded.lock_path, lines: &lines });
    }
    written::keep(&load::open_store(session.world)?, &text);
    let written = before.as_deref() != Some(&text);
    if written {
        project::write_lock(&loaded.lock_path, &text)?;
    }
    Ok(Locked { previous: previous.lock, lock, written })
}

/// A lock that is not written yet.
pub(super) fn made(loaded: &Loaded<'_>, previous: Option<&Lock>, update: &Update) -> Result<Lock, OpsError> {
    let (session, recipe) = (&loaded.session, &loaded.recipe);
    let mut lock = resolved(loaded, previous, update)?;
    machines::judge(session, recipe, &lock)?;
    lock::satisfies(recipe, &lock).map_err(|wrong| unbuildable(recipe, wrong))?;
    lock.machines = machines::locked(recipe, &lock)?;
    lock.steps = steps(recipe, &lock);
    carry_over(recipe, &mut lock, previous);
    Ok(lock)
}

/// What a lock that was made just now does not fulfil is a mistake in the recipe, where one place of it is to blame.
fn unbuildable(recipe: &Recipe, wrong: Vec<Mismatch>) -> OpsError {
    let mistakes: Vec<Diagnostic> = wrong.iter().filter_map(Mismatch::diagnostic).collect();
    if mistakes.is_empty() {
        LockError::Unbuildable(wrong).into()
    } else {
        OpsError::mistakes(&recipe.sources, mistakes)
    }
}

fn resolved(loaded: &Loaded<'_>, previous: Option<&Lock>, update: &Update) -> Result<Lock, OpsError> {
    let session = &loaded.session;
    asked(session, &|context| {
        resolve::resolve(context, &loaded.recipe, previous, update)
            .map_err(|error| OpsError::resolve(&loaded.recipe, error))
    })
}

/// Asks the archives something, with the mirrors of the session's user and the indexes that the store keeps.
pub(super) fn asked<T>(
    session: &Session<'_>,
    question: &dyn Fn(&ResolveContext<'_>) -> Result<T, OpsError>,
) -> Result<T, OpsError> {
    let store = load::open_store(session.world)?;
    question(&ResolveContext {
        world: session.world,
        cache: &DirectoryCache::new(store.root().join("index")),
        mirrors: &mirrors::known(session.world)?,
        listener: &|progress: Progress| session.on(OpsEvent::Resolve(progress)),
    })
}

/// The lock of a recipe, compared with it line by line without a network.
pub fn check(loaded: &Loaded<'_>) -> Result<Lock, OpsError> {
    let lock = load::lock_of(loaded).map_err(|error| edited::named(loaded, error))?;
    machines::judge(&loaded.session, &loaded.recipe, &lock)?;
    agrees(&loaded.recipe, &lock)?;
    Ok(lock)
}

/// Whether what the lock says of steps and machines follows from the recipe and from its own other lines.
pub fn agrees(recipe: &Recipe, lock: &Lock) -> Result<(), OpsError> {
    same_steps(&lock.steps, &steps(recipe, lock))?;
    same_machines(&lock.machines, machines::locked(recipe, lock)?)
}

/// Everything that can reach a bit is in a step's id: a line that was changed by hand shows here.
fn same_steps(locked: &BTreeMap<String, Digest>, now: &BTreeMap<String, Digest>) -> Result<(), OpsError> {
    let mut names = locked.keys().chain(now.keys());
    names.find(|name| locked.get(*name) != now.get(*name)).map_or(Ok(()), |name| Err(changed("step", name).into()))
}

/// What QEMU was asked about is known after a build only.
fn same_machines(
    locked: &BTreeMap<String, LockedMachine>,
    mut now: BTreeMap<String, LockedMachine>,
) -> Result<(), OpsError> {
    for (name, machine) in &mut now {
        machine.asked = locked.get(name).map(|locked| locked.asked.clone()).unwrap_or_default();
    }
    let mut names = locked.keys().chain(now.keys());
    names.find(|name| locked.get(*name) != now.get(*name)).map_or(Ok(()), |name| Err(changed("machine", name).into()))
}

fn changed(what: &'static str, name: &str) -> LockError {
    LockError::Inconsistent { what, name: name.to_owned() }
}

fn steps(recipe: &Recipe, lock: &Lock) -> BTreeMap<String, Digest> {
    plan::id::by_name(&plan::lower(recipe, lock))
}

/// What a build found out stays true as long as no input has moved; a table of users that was opened moves none.
fn carry_over(recipe: &Recipe, new: &mut Lock, previous: Option<&Lock>) {
    let Some(previous) = previous else { return };
    let unopened = Lock { images: previous.images.clone(), ..new.clone() };
    let plan = plan::lower(recipe, &unopened);
    let now = plan::id::by_name(&plan);
    // Steps that a newer kiln adds take nothing from what is known of the others.
    let same = previous.steps.iter().all(|(name, id)| now.get(name) == Some(id));
    let same_inputs = same && lock::inputs_digest(new) == lock::inputs_digest(previous);
    // A recipe whose tests or comments have changed, for example.
    let recorded: BTreeSet<String> = record::recorded(&plan).map(|(name, _)| name).collect();
    let same_outputs = now == previous.steps && recorded.iter().eq(previous.outputs.keys());
    if same_inputs || same_outputs {
        new.outputs = previous.outputs.clone();
        new.kernels = previous.kernels.clone();
    }
    for (name, machine) in &mut new.machines {
        let before = previous.machines.get(name).filter(|before| {
            (&before.qemu, &before.machine_type, &before.argv) == (&machine.qemu, &machine.machine_type, &machine.argv)
        });
        machine.asked = before.map(|before| before.asked.clone()).unwrap_or_default();
    }
}
