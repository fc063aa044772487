//! Which builds were accepted before: whoever has a newer one is not given an older one again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::ops::error::{OpsError, SignedError};
use crate::world::{World, WorldError, fs};

/// No such file is larger.
const LIMIT: u64 = 16 << 20;

/// The newest signature, by recipe and by key.
pub(super) struct Accepted {
    file: PathBuf,
    known: BTreeMap<String, BTreeMap<String, Timestamp>>,
}

impl Accepted {
    /// Of this user.
    pub(super) fn read(world: &dyn World) -> Result<Accepted, OpsError> {
        let below = |name: &str, rest: &str| world.env(name).map(|value| Path::new(&value).join(rest));
        let file = below("XDG_STATE_HOME", "kiln/accepted.json");
        let file = file.or_else(|| below("HOME", ".local/state/kiln/accepted.json")).ok_or(SignedError::NoState)?;
        let known = match world.read(&file, LIMIT) {
            Ok(text) => serde_json::from_slice(&text).map_err(|_| SignedError::State(file.clone()))?,
            Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Accepted { file, known })
    }

    /// When the newest build of a recipe was signed with a key that was accepted.
    pub(super) fn newest(&self, recipe: &str, key: &str) -> Option<Timestamp> {
        self.known.get(recipe)?.get(key).copied()
    }

    /// Remembers one.
    pub(super) fn add(&mut self, recipe: &str, key: &str, signed: Timestamp) -> Result<(), OpsError> {
        if self.newest(recipe, key).is_some_and(|newest| newest >= signed) {
            return Ok(());
        }
        self.known.entry(recipe.to_owned()).or_default().insert(key.to_owned(), signed);
        let text =
            serde_json::to_string_pretty(&self.known).map_err(|error| OpsError::parse("accepted.json", error))?;
        fs::create_dir_all(self.file.parent().unwrap_or(Path::new("/")))?;
        Ok(fs::write_with_mode(&self.file, text.as_bytes(), 0o600)?)
    }
}
