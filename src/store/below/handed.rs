//! What was handed out of stores below: after it was used, it must be what it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use super::Layers;
use crate::base::Foreign;
use crate::store::Store;
use crate::store::stamp::Stamp;
use crate::store::tree::fingerprint;
use crate::world::dir::Dir;

/// What tells one state of a file or a tree from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    File(Stamp),
    Tree(Vec<u8>),
}

impl State {
    fn at(path: &Path, like: &State) -> Option<State> {
        match like {
            State::File(_) => Stamp::at(path).map(State::File),
            State::Tree(_) => Some(State::Tree(fingerprint(&Dir::open(path).ok()?).ok()?)),
        }
    }
}

/// What was handed out, and what is not looked at again.
#[derive(Debug, Default)]
pub(super) struct Handed {
    states: BTreeMap<PathBuf, State>,
    refused: BTreeSet<PathBuf>,
}

impl Layers {
    pub(super) fn lock(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what is handed out; nothing where it is another one already.
    pub(super) fn hand_out(&self, path: PathBuf, state: State) -> Option<PathBuf> {
        let mut handed = self.lock();
        // A reader that has the older one would not notice.
        let first = handed.states.entry(path.clone()).or_insert_with(|| state.clone());
        if *first == state {
            return Some(path);
        }
        drop(handed);
        self.stores.iter().filter(|below| path.starts_with(&below.path)).for_each(super::Below::leave);
        None
    }

    /// Whether something was found to be what it must not be.
    pub(super) fn is_refused(&self, path: &Path) -> bool {
        self.lock().refused.contains(path)
    }

    /// Says once that something is not used.
    pub(super) fn refuse(&self, path: &Path, why: &str) {
        if self.lock().refused.insert(path.to_owned()) {
            crate::tell!("warning: {} of the store below is not used: {why}", Foreign(path.display()));
        }
    }
}

impl Store {
    /// Whether something changed or went that was handed out of stores below under these paths. Those stores are used no more, so that
    /// whoever asks can do the work again.
    pub fn was_disturbed<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> bool {
        let mut disturbed = false;
        for path in paths {
            let Some(before) = self.layers.lock().states.get(path).cloned() else { continue };
            if State::at(path, &before).as_ref() == Some(&before) {
                continue;
            }
            disturbed = true;
            self.layers.stores.iter().filter(|below| path.starts_with(below.path())).for_each(super::Below::leave);
        }
        disturbed
    }

    /// The same of all files that were handed out; looking at trees takes its time.
    pub fn was_disturbed_in_files(&self) -> bool {
        let handed = self.layers.lock().states.clone();
        let files = handed.iter().filter(|(_, state)| matches!(state, State::File(_)));
        self.was_disturbed(files.map(|(path, _)| path.as_path()))
    }

    /// The same of everything that was handed out.
    pub fn was_disturbed_anywhere(&self) -> bool {
        let paths: Vec<PathBuf> = self.layers.lock().states.keys().cloned().collect();
        self.was_disturbed(paths.iter().map(PathBuf::as_path))
    }
}
