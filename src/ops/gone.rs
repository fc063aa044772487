//! Locks whose files nobody has any more: the pins that move, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cache::CacheMemory;
use super::error::OpsError;
use super::event::{Notice, OpsEvent};
use super::load::{self, Loaded, Ready};
use super::lock::Locked;
use super::options::RecipeOptions;
use super::session::Session;
use super::{machines, mirrors, project};
use crate::base::Digest;
use crate::exec::availability::{self, Question};
use crate::exec::fetch;
use crate::lock::resolve::{Progress, Update};
use crate::lock::{self, Lock};
use crate::plan;
use crate::plan::step::FetchPlace;
use crate::recipe::Recipe;
use crate::store::Store;

/// Moves the pins of a lock whose files neither the store nor any server has; all others stay.
pub fn lock(loaded: &Loaded<'_>) -> Result<Locked, OpsError> {
    let before = load::lock_of(loaded)?;
    let store = load::open_store(loaded.session.world)?;
    let gone = gone(loaded, &before, &store)?;
    if gone.is_empty() {
        return Ok(Locked { previous: Some(before.clone()), lock: before, written: false });
    }
    super::lock::lock(loaded, &Update::Gone(gone))
}

/// Everything that a build needs; where files of the lock are gone, with a lock of its own at `beside`. The lock itself is
/// left alone.
pub fn ready<'a>(session: &Session<'a>, options: &RecipeOptions, beside: &Path) -> Result<Ready<'a>, OpsError> {
    let mut loaded = load::recipe(session, options)?;
    let committed = load::lock_of(&loaded)?;
    let store = load::open_store(session.world)?;
    let gone = gone(&loaded, &committed, &store)?;
    if gone.is_empty() {
        return finished(loaded, committed, store);
    }
    let lock = match earlier(&loaded, &committed, (beside, &gone), &store)? {
        Some(lock) => lock,
        None => {
            let lock = super::lock::made(&loaded, Some(&committed), &Update::Gone(gone))?;
            project::write_lock(beside, &lock::write(&lock))?;
            lock
        }
    };
    let changes: Vec<String> = lock::diff(&committed, &lock).iter().map(ToString::to_string).collect();
    session.notice(Notice::Relocked { committed: &loaded.lock_path, used: beside, changes: &changes });
    loaded.lock_path = beside.to_owned();
    finished(loaded, lock, store)
}

fn finished<'a>(loaded: Loaded<'a>, lock: Lock, store: Store) -> Result<Ready<'a>, OpsError> {
    machines::judge(&loaded.session, &loaded.recipe, &lock)?;
    let plan = plan::lower(&loaded.recipe, &lock);
    Ok(Ready { loaded, lock, plan, store, caches: CacheMemory::default() })
}

/// `result/NAME.lock` of `result/NAME`.
pub fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    out.with_file_name(name)
}

/// Files of a lock that neither the store nor any server has. One that the recipe names by its address has no other version,
/// so it is an error.
fn gone(loaded: &Loaded<'_>, lock: &Lock, store: &Store) -> Result<BTreeSet<Digest>, OpsError> {
    let session = &loaded.session;
    let plan = plan::lower(&loaded.recipe, lock);
    let missing = fetch::missing(store, plan.fetches.values());
    let known = mirrors::known(session.world)?;
    let question = Question {
        world: session.world,
        mirrors: &|place: &FetchPlace| mirrors::addresses(&known, place),
        told: &|waiting| session.on(OpsEvent::Resolve(Progress::Waiting(waiting))),
        // Nothing is lost when a signal ends kiln here.
        stop: &|| false,
    };
    session.notice(Notice::Asking { files: missing.len() });
    let mut digests = BTreeSet::new();
    for lost in availability::lost(&question, &missing)? {
        if matches!(lost.fetch.place, FetchPlace::Url(_)) {
            return Err(lost.error().into());
        }
        session.notice(Notice::Gone { label: &lost.fetch.label, asked: &lost.asked });
        digests.insert(lost.fetch.digest);
    }
    Ok(digests)
}

/// The lock that an earlier run made for the same reason, as long as all of its files can be had.
fn earlier(
    loaded: &Loaded<'_>,
    committed: &Lock,
    (beside, gone): (&Path, &BTreeSet<Digest>),
    store: &Store,
) -> Result<Option<Lock>, OpsError> {
    // One that cannot be read is made anew.
    let found = load::read_lock(loaded.session.world, beside).ok().flatten();
    let Some(lock) = found.filter(|lock| follows(&loaded.recipe, lock, (committed, gone))) else { return Ok(None) };
    Ok(self::gone(loaded, &lock, store)?.is_empty().then_some(lock))
}

/// Whether a lock of the recipe has every pin of the committed one that is not gone.
fn follows(recipe: &Recipe, lock: &Lock, (committed, gone): (&Lock, &BTreeSet<Digest>)) -> bool {
    let digests = |lock: &Lock| -> BTreeSet<Digest> {
        let packages = lock.sets.values().flatten().map(|package| package.file.sha256);
        let sources = lock.sources.values().flat_map(|source| source.files.values());
        packages.chain(sources.map(|file| file.file.sha256)).collect()
    };
    let kept = digests(lock);
    lock::satisfies(recipe, lock).is_ok()
        && digests(committed).iter().all(|digest| kept.contains(digest) || gone.contains(digest))
}
