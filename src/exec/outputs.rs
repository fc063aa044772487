//! What a step leaves behind: foreign files until they are in the store.
//!
//! Input: the directory that the step's programs had, by the descriptor from before they ran. Output: objects of the
//! store, or files that are read once and kept nowhere. Nothing is looked up by its path, and no link is followed. What comes
//! through a pipe is in the store when its last byte is.

use std::path::Path;

use super::outcome::Outputs;
use super::transient::Files;
use crate::plan::root::{BASE, NAMED, ROOT};
use crate::plan::{Builtin, Work};
use crate::store::{PipeError, PipedFile, Store, StoreError, Taking};
use crate::world::dir::Dir;

/// Mode of a directory that programs of any user id inside may read.
const OPEN_MODE: u32 = 0o755;

/// What was taken of a step's outputs.
pub(super) enum Collected {
    /// Objects of the store.
    Objects(Outputs),
    /// Files beside it.
    Transient(Files),
}

/// Where a step's outputs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// Into the store.
    Store,
    /// To the steps that read them.
    Readers,
}

/// The build directory of one run.
pub(super) struct BuildDirectory<'a> {
    pub(super) dir: Dir,
    store: &'a Store,
    piped: Vec<PipedFile>,
}

impl<'a> BuildDirectory<'a> {
    /// Makes it below a directory that no sandbox has; outputs that are to be piped may have so many bytes.
    pub(super) fn make(
        store: &'a Store,
        scratch: &Path,
        (piped, limit): (Option<&str>, u64),
    ) -> Result<BuildDirectory<'a>, StoreError> {
        let dir = Dir::make(&scratch.join("out"), OPEN_MODE).map_err(|error| store.failure(error))?;
        let piped = piped.into_iter().map(|name| store.pipe(&dir, name, limit)).collect::<Result<_, _>>()?;
        Ok(BuildDirectory { dir, store, piped })
    }

    /// What went wrong on this side of a pipe, when a step failed: that is all that its other side may have noticed.
    pub(super) fn broken_pipe(&mut self) -> Option<PipeError> {
        self.piped.drain(..).find_map(|piped| piped.end(self.store).err())
    }

    /// Takes every declared output.
    pub(super) fn collect(
        &mut self,
        declared: &[String],
        destination: Destination,
        taking: Taking<'_>,
    ) -> Result<Collected, StoreError> {
        // Its programs may have shut it. Where it is not this user's any more, looking into it says so.
        let _ = self.dir.set_mode(OPEN_MODE);
        let mut piped = Outputs::new();
        for arrived in self.piped.drain(..).map(|piped| piped.end(self.store)) {
            let arrived = arrived?;
            let name = arrived.name().to_owned();
            piped.extend(arrived.take(self.store, &self.dir, taking)?.map(|output| (name, output)));
        }
        let names = declared.iter();
        match destination {
            Destination::Store => {
                let mut taken = |name: &String| match piped.remove(name) {
                    Some(output) => Ok(output),
                    None => self.store.take(&self.dir, name, taking),
                };
                let objects = names.map(|name| Ok((name.clone(), taken(name)?)));
                objects.collect::<Result<_, StoreError>>().map(Collected::Objects)
            }
            Destination::Readers => {
                let files = names.map(|name| Ok((name.clone(), self.store.take_transient(&self.dir, name, taking)?)));
                files.collect::<Result<_, StoreError>>().map(Collected::Transient)
            }
        }
    }
}

/// The output that a step writes from its beginning to its end, and that is large.
pub(super) fn piped(work: &Work) -> Option<&'static str> {
    match work {
        Work::Builtin(Builtin::Base(_)) => Some(BASE),
        Work::Builtin(Builtin::Named(_)) => Some(NAMED),
        Work::Builtin(Builtin::Root(_)) => Some(ROOT),
        _ => None,
    }
}
