//! Stores below the user's own: which there are, and their results for a build.
//!
//! Input: the environment and the user's configuration; never a recipe, a project or a lock. Output: stores to read from, and a
//! [`StepCache`] that asks them before any cache. Content needs no trust, since it is checked; a result is the word of whoever owns the
//! store, and is treated like one that was taken from a cache: it is never this store's own.

use std::path::{Path, PathBuf};

use super::cache::{CacheUse, StepCaches};
use super::error::{OpsError, UsageError};
use super::sign::config_file;
use crate::base::Foreign;
use crate::exec::cache::{ResultOrigin, ResultPlaces, StepCache, TakenResult, WantedResult};
use crate::exec::interrupt;
use crate::store::{Below, BelowTrust, Store, StoreError, Visibility};
use crate::world::World;

/// No file that lists stores is larger.
const LIMIT: u64 = 1 << 20;
/// The variable, and the file below the user's configuration.
const VARIABLE: &str = "KILN_STORE_BELOW";
const FILE: &str = "stores-below";
/// What stands before a store whose owner is trusted with results, whoever it is.
const TRUSTED: &str = "trusted=";

/// A store to read from, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedStore {
    path: PathBuf,
    trust: BelowTrust,
}

/// Opens the stores below: those of the environment, then those of the user's configuration, each once, in this order. One that cannot be
/// used is left out, and said to be: whoever owns it can make it so at any time, and no command may end by that.
pub(super) fn over(store: Store, world: &dyn World) -> Result<Store, OpsError> {
    let mut stores: Vec<Below> = Vec::new();
    for NamedStore { path, trust } in each_once(named(world)?) {
        match Below::open(&path, trust) {
            Ok(below) => stores.push(below),
            Err(problem) => {
                store.warn(&format!("the store below at {} is not used: {problem}", Foreign(path.display())));
            }
        }
    }
    Ok(store.over(stores)?.stopping_at(interrupt::stopped))
}

/// Whether the user names any: what is below can be asked about, whether there is a store of the user's own yet or not.
pub(super) fn are_named(world: &dyn World) -> Result<bool, OpsError> {
    Ok(!named(world)?.is_empty())
}

/// Every store where it is named first, with the greatest trust that it is named with: all of them are the user's words.
fn each_once(named: Vec<NamedStore>) -> Vec<NamedStore> {
    let mut once: Vec<NamedStore> = Vec::new();
    for NamedStore { path, trust } in named {
        // One that is not there has the name that it was given.
        let path = path.canonicalize().unwrap_or(path);
        match once.iter_mut().find(|known| known.path == path) {
            Some(known) => known.trust = known.trust.max(trust),
            None => once.push(NamedStore { path, trust }),
        }
    }
    once
}

fn named(world: &dyn World) -> Result<Vec<NamedStore>, OpsError> {
    let mut stores = Vec::new();
    for word in world.env(VARIABLE).unwrap_or_default().split_whitespace() {
        stores.push(parse(world, (VARIABLE, word))?);
    }
    if let Some(file) = config_file(world, FILE).filter(|file| world.exists(file)) {
        let text = String::from_utf8_lossy(&world.read(&file, LIMIT)?).into_owned();
        let origin = file.display().to_string();
        for line in text.lines().map(|line| line.split(" #").next().unwrap_or("").trim()) {
            if !line.is_empty() && !line.starts_with('#') {
                stores.push(parse(world, (&origin, line))?);
            }
        }
    }
    Ok(stores)
}

fn parse(world: &dyn World, (origin, word): (&str, &str)) -> Result<NamedStore, UsageError> {
    let (name, trust) = match word.strip_prefix(TRUSTED) {
        Some(name) => (name, BelowTrust::Owner),
        None => (word, BelowTrust::Own),
    };
    let path = match name.strip_prefix("~/") {
        Some(below) => world.env("HOME").map(|home| Path::new(&home).join(below)),
        None => Some(PathBuf::from(name)).filter(|path| path.is_absolute()),
    };
    let path = path.ok_or_else(|| UsageError::StoreBelow { origin: origin.to_owned(), word: word.to_owned() })?;
    Ok(NamedStore { path, trust })
}

/// Results of others: of stores below, then of caches.
pub(super) struct OthersResults<'a> {
    store: &'a Store,
    caches: Option<&'a StepCaches<'a>>,
}

impl<'a> OthersResults<'a> {
    /// None where the results of others do not count, or there are none.
    pub(super) fn new(
        store: &'a Store,
        caches: Option<&'a StepCaches<'a>>,
        wanted: CacheUse,
    ) -> Option<OthersResults<'a>> {
        let any = caches.is_some() || store.below().next().is_some();
        (any && wanted != CacheUse::Nothing).then_some(OthersResults { store, caches })
    }

    /// The caches, if they are to be asked.
    fn caches(&self, wanted: &WantedResult<'_>) -> Option<&StepCaches<'a>> {
        self.caches.filter(|_| wanted.places == ResultPlaces::All)
    }

    /// What was made from files that others must not read is not in a store that others read.
    fn below(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        let public = wanted.visibility == Visibility::Everybody;
        let found = if public { self.store.result_below(&wanted.action) } else { None }?;
        let origin = ResultOrigin::Below { store_below: found.store.path().display().to_string() };
        Some(TakenResult { outputs: found.outputs, origin })
    }
}

impl StepCache for OthersResults<'_> {
    fn result(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        self.below(wanted).or_else(|| self.caches(wanted)?.result(wanted))
    }

    fn remembered(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        self.below(wanted).or_else(|| self.caches(wanted)?.remembered(wanted))
    }

    fn fetch(&self, wanted: &WantedResult<'_>, taken: &TakenResult) -> Result<bool, StoreError> {
        let Some(caches) = self.caches(wanted) else { return Ok(false) };
        if matches!(taken.origin, ResultOrigin::Signed { .. }) {
            return caches.fetch(wanted, taken);
        }
        // A store below has lost what it says; a cache may say the same and have it.
        match caches.result(wanted).filter(|signed| signed.outputs == taken.outputs) {
            Some(signed) => caches.fetch(wanted, &signed),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::memory::MemoryWorld;

    #[test]
    fn stores_come_from_the_environment_and_the_file() {
        let mut world = MemoryWorld::default();
        world.variables.insert("HOME".to_owned(), "/home/me".to_owned());
        world.variables.insert(VARIABLE.to_owned(), "/srv/one trusted=/srv/two".to_owned());
        let file = b"# ours\n\ntrusted=~/team store # of the team\n/srv/one\n".to_vec();
        world.files.insert("/home/me/.config/kiln/stores-below".into(), file);
        let store = |path: &str, trust| NamedStore { path: path.into(), trust };
        let expected = [
            store("/srv/one", BelowTrust::Own),
            store("/srv/two", BelowTrust::Owner),
            store("/home/me/team store", BelowTrust::Owner),
            store("/srv/one", BelowTrust::Own),
        ];
        assert_eq!(named(&world).unwrap(), expected);
        world.variables.insert(VARIABLE.to_owned(), "/srv/./one trusted=/srv/two trusted=/srv/one /srv/two".to_owned());
        let once =
            [("/srv/one", BelowTrust::Owner), ("/srv/two", BelowTrust::Owner)].map(|(path, trust)| store(path, trust));
        assert_eq!(each_once(named(&world).unwrap())[..2], once, "whichever of the words comes first");
        for word in ["relative/path", "trusted=", "https://cache.example/kiln"] {
            world.variables.insert(VARIABLE.to_owned(), word.to_owned());
            let error = named(&world).unwrap_err().to_string();
            assert!(error.contains(VARIABLE) && error.contains(word), "{error}");
        }
    }
}
