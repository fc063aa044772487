//! Which builds were accepted before: whoever has a newer one is not given an older one again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::ops::error::{OpsError, SignedError};
use crate::store::StoreLock;
use crate::world::{World, WorldError, fs};

/// No such file is larger.
const LIMIT: u64 = 16 << 20;

/// Where the list of this user is.
pub(in crate::ops) fn state_directory(world: &dyn World) -> Option<PathBuf> {
    let below = |name: &str, rest: &str| world.env(name).map(|value| Path::new(&value).join(rest));
    below("XDG_STATE_HOME", "kiln").or_else(|| below("HOME", ".local/state/kiln"))
}

/// By what builds were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum AcceptedKind {
    /// A signature.
    Signed,
    /// Attestations.
    Attested,
}

impl AcceptedKind {
    fn name(self) -> &'static str {
        match self {
            AcceptedKind::Signed => "accepted",
            AcceptedKind::Attested => "attested",
        }
    }
}

/// The newest signature or attestation, by recipe and by key. While it is held, no other kiln reads or writes the list.
pub(in crate::ops) struct Accepted {
    file: PathBuf,
    known: BTreeMap<String, BTreeMap<String, Timestamp>>,
    _lock: StoreLock,
}

impl Accepted {
    /// Of this user.
    pub(in crate::ops) fn open(world: &dyn World, kind: AcceptedKind) -> Result<Accepted, OpsError> {
        Accepted::open_in(&state_directory(world).ok_or(SignedError::NoState)?, kind)
    }

    fn open_in(directory: &Path, kind: AcceptedKind) -> Result<Accepted, OpsError> {
        let name = kind.name();
        fs::create_dir_all(directory)?;
        // A file of its own: the list is replaced whenever it is written.
        let lock = StoreLock::exclusive(&directory.join(format!("{name}.lock")), &|| false)?;
        let file = directory.join(format!("{name}.json"));
        let known = match fs::read(&file, LIMIT) {
            Ok(text) => serde_json::from_slice(&text).map_err(|_| SignedError::State(file.clone()))?,
            Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Accepted { file, known, _lock: lock })
    }

    /// When the newest build of a recipe that was accepted was signed, or attested, with a key.
    pub(in crate::ops) fn newest(&self, recipe: &str, key: &str) -> Option<Timestamp> {
        self.known.get(recipe)?.get(key).copied()
    }

    /// Remembers one.
    pub(in crate::ops) fn add(&mut self, recipe: &str, key: &str, signed: Timestamp) -> Result<(), OpsError> {
        if self.newest(recipe, key).is_some_and(|newest| newest >= signed) {
            return Ok(());
        }
        self.known.entry(recipe.to_owned()).or_default().insert(key.to_owned(), signed);
        let text = serde_json::to_string_pretty(&self.known)
            .map_err(|error| OpsError::parse("a list of accepted builds", error))?;
        Ok(fs::write_with_mode(&self.file, text.as_bytes(), 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_is_lost_where_several_remember_at_once() {
        let directory = std::env::temp_dir().join(format!("kiln-accepted-{}", std::process::id()));
        let (threads, builds) = (4, 8);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let directory = &directory;
                scope.spawn(move || {
                    for build in 0..builds {
                        let mut accepted = Accepted::open_in(directory, AcceptedKind::Signed).unwrap();
                        accepted.add(&format!("recipe-{thread}-{build}"), "key", Timestamp(1)).unwrap();
                    }
                });
            }
        });
        let accepted = Accepted::open_in(&directory, AcceptedKind::Signed).unwrap();
        assert_eq!(accepted.known.len(), threads * builds);
        drop(accepted);
        fs::remove_tree(&directory).unwrap();
    }
}
