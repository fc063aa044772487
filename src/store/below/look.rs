//! Looks things up in stores below, and checks them.

use std::io::Read;
use std::path::PathBuf;

use super::found::{Reading, Refused, because, directory, file, held, listed, open};
use super::handed::State;
use super::{Below, Layers, copied, may_write};
use crate::base::{Digest, Foreign};
use crate::store::blob::{KnownSize, digest_of};
use crate::store::result::{LIMIT, ResultOutputs};
use crate::store::stamp::Stamp;
use crate::store::tree::{self, content, fingerprint};
use crate::store::{Output, Store};

/// What changed less than so many seconds ago may change once more without its times telling.
const SETTLED_SECONDS: i128 = 2;

/// A result that a store below has.
pub struct BelowResult<'a> {
    /// What its owner says that the step leaves behind.
    pub outputs: ResultOutputs,
    /// Whose word that is.
    pub store: &'a Below,
}

/// Where something is used.
enum Place {
    /// Where it was found, in this state.
    There(State),
    /// In one's own store, which has a copy of it now.
    Here(PathBuf),
}

impl Layers {
    /// A sound blob.
    pub(in crate::store) fn blob(&self, own: &Store, (digest, size): (&Digest, KnownSize)) -> Option<PathBuf> {
        let reading = Reading { size, stop: &|| self.is_stopped() };
        self.first(("cas", digest), |below| {
            if below.is_foreign() {
                return Ok(Place::Here(copied::blob(below, own, digest, &reading)?));
            }
            let sound = blob(below, digest, &reading, |stamp| own.knows(digest, stamp))?;
            if sound.trust == Lasting::Yes {
                own.learn(*digest, sound.state);
            }
            Ok(Place::There(State::File(sound.state)))
        })
    }

    /// A sound tree.
    pub(in crate::store) fn tree(&self, own: &Store, root: &Digest) -> Option<PathBuf> {
        let note = tree::note_name(root);
        let stop = &|| self.is_stopped();
        self.first(("tree", root), |below| {
            if below.is_foreign() {
                return Ok(Place::Here(copied::tree(below, own, root, stop)?));
            }
            let sound = tree(below, root, stop, |state| own.recall(&note).as_deref() == Some(state))?;
            if sound.trust == Lasting::Yes {
                // Not to remember costs a reading later.
                let _ = own.note(&note, &sound.state);
            }
            Ok(Place::There(State::Tree(sound.state)))
        })
    }

    /// Where it is found first, and is what it must be.
    fn first(
        &self,
        (part, digest): (&str, &Digest),
        look: impl Fn(&Below) -> Result<Place, Refused>,
    ) -> Option<PathBuf> {
        self.stores.iter().filter(|below| below.is_used()).find_map(|below| {
            let path = below.path.join(part).join(digest.hex());
            if self.is_refused(&path) {
                return None;
            }
            match look(below) {
                Ok(Place::There(state)) => self.hand_out(path, state),
                Ok(Place::Here(copy)) => Some(copy),
                Err(Refused::Missing) => None,
                Err(Refused::Because(why)) => {
                    self.refuse(&path, &why);
                    None
                }
            }
        })
    }
}

/// What was found to be what its name says.
pub(super) struct Sound<T> {
    /// What tells this state of it from others.
    state: T,
    trust: Lasting,
}

/// Whether it need not be read again as long as its state is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Yes,
    /// It is known already, or so young that it may change without its times telling.
    No,
}

/// A blob that is what it must be; one in a known state is not read.
pub(super) fn blob(
    below: &Below,
    digest: &Digest,
    reading: &Reading<'_>,
    known: impl Fn(Stamp) -> bool,
) -> Result<Sound<Stamp>, Refused> {
    let (state, file) = file(below, digest, reading.size)?;
    if known(state) {
        return Ok(Sound { state, trust: Lasting::No });
    }
    let (found, _) = digest_of(&file, &below.path, reading.stop)?;
    if found != *digest || Stamp::of(&file) != Some(state) {
        return Err(because(format!("its bytes have digest {found}")));
    }
    Ok(Sound { state, trust: lasting(state.newest()) })
}

/// A tree that is what it must be; one in a known state is not read.
pub(super) fn tree(
    below: &Below,
    root: &Digest,
    stop: &(dyn Fn() -> bool + Sync),
    known: impl Fn(&[u8]) -> bool,
) -> Result<Sound<Vec<u8>>, Refused> {
    let (held, dir) = directory(below, root)?;
    let state = fingerprint(&dir)?;
    if known(&state) {
        return Ok(Sound { state, trust: Lasting::No });
    }
    let (_, newest) = listed(&held, &dir)?;
    let found = content(&dir, stop)?;
    if found != *root || fingerprint(&dir)? != state {
        return Err(because(format!("its files have digest {found}")));
    }
    Ok(Sound { state, trust: lasting(newest) })
}

impl Store {
    /// What a store below has as the result of an action. It is the word of whoever owns that store, and never this store's own.
    pub fn result_below(&self, action: &Digest) -> Option<BelowResult<'_>> {
        self.below().find_map(|below| {
            let path = below.path.join("ac").join(action.hex());
            if self.layers.is_refused(&path) {
                return None;
            }
            let read = read_result(below, action);
            let read = read.and_then(|outputs| self.has_right_sizes(below, &outputs).map(|()| outputs));
            match read {
                Ok(outputs) => Some(BelowResult { outputs, store: below }),
                Err(Refused::Missing) => None,
                Err(Refused::Because(why)) => {
                    self.layers.refuse(&path, &why);
                    None
                }
            }
        })
    }

    /// Sizes are part of what later steps are found by. Of outputs that are not there nobody knows better.
    fn has_right_sizes(&self, below: &Below, outputs: &ResultOutputs) -> Result<(), Refused> {
        for (name, output) in outputs {
            let (digest, size) = match output {
                Output::File { digest, size, .. } => (digest, size),
                Output::Tree { messages, messages_size, .. } => (messages, messages_size),
            };
            let right = self.size(below, digest).is_none_or(|found| found == *size);
            if !right || !self.has_right_root(output) {
                return Err(because(format!("it states another size of `{}`", Foreign(name))));
            }
        }
        Ok(())
    }
}

impl Store {
    /// Bytes of what has the name of a blob, here or in the store whose result it is. Nobody has checked it, and a third store has no say.
    fn size(&self, below: &Below, digest: &Digest) -> Option<u64> {
        let own = self.blob_path(digest).symlink_metadata().ok().map(|found| found.len());
        own.or_else(|| Some(held(below, "cas", digest).ok()?.stat().st_size.unsigned_abs()))
    }
}

/// Whether a state is old enough to be told from the next one by its times.
fn lasting(newest: i128) -> Lasting {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let settled = newest < (i128::from(now.tv_sec) - SETTLED_SECONDS) * 1_000_000_000;
    if settled { Lasting::Yes } else { Lasting::No }
}

fn read_result(below: &Below, action: &Digest) -> Result<ResultOutputs, Refused> {
    let held = held(below, "ac", action)?;
    if may_write(held.stat().st_mode) || ![0, below.owner].contains(&held.stat().st_uid) {
        return Err(because("it may be written by, or belongs to, others than the owner of that store"));
    }
    let file = open(&held)?;
    let mut bytes = Vec::new();
    let read = file.take(LIMIT + 1).read_to_end(&mut bytes);
    crate::world::fs::context("read", &below.path, read)?;
    if bytes.len() as u64 > LIMIT {
        return Err(because(format!("it has more than {LIMIT} bytes")));
    }
    crate::store::result::parse(action, &bytes).ok_or_else(|| because("it is not a whole result of this action"))
}
