//! Looks things up in stores below, and checks them.

use std::io::Read;
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

use super::handed::State;
use super::{Below, Layers, copied, may_write};
use crate::base::{Digest, Foreign};
use crate::store::blob::{KnownSize, digest_of};
use crate::store::plain::TIME;
use crate::store::result::{LIMIT, ResultOutputs};
use crate::store::stamp::Stamp;
use crate::store::tree::{self, content, fingerprint};
use crate::store::walk::{Entries, Kind, list};
use crate::store::{Output, Store, StoreError};
use crate::world::WorldError;
use crate::world::dir::{Dir, HeldEntry, noun};

/// Larger files are no blobs of kiln: that of a disk image is no larger.
const LARGEST: u64 = 256 << 30;
/// Trees whose files have more bytes together are none of kiln's.
const LARGEST_TREE: u64 = 64 << 30;
/// What changed less than so many seconds ago may change once more without its times telling.
const SETTLED_SECONDS: i128 = 2;

/// A result that a store below has.
pub struct BelowResult<'a> {
    /// What its owner says that the step leaves behind.
    pub outputs: ResultOutputs,
    /// Whose word that is.
    pub store: &'a Below,
}

/// Why something is not used.
pub(super) enum Refused {
    /// It is not there, or for others alone.
    Missing,
    /// It is not what it must be.
    Because(String),
}

impl From<WorldError> for Refused {
    fn from(error: WorldError) -> Refused {
        Refused::Because(error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        match error {
            // Nothing was found out.
            StoreError::Interrupted => Refused::Missing,
            error => Refused::Because(error.to_string()),
        }
    }
}

impl Refused {
    /// The same of an entry of a tree.
    fn of(self, name: &str) -> Refused {
        match self {
            Refused::Because(why) => Refused::Because(format!("{}: {why}", Foreign(name))),
            Refused::Missing => Refused::Missing,
        }
    }
}

pub(super) fn because(why: impl Into<String>) -> Refused {
    Refused::Because(why.into())
}

/// Where something is used.
enum Place {
    /// Where it was found, in this state.
    There(State),
    /// In one's own store, which has a copy of it now.
    Here(PathBuf),
}

/// What is known before something is read, and whether to give up reading.
pub(super) struct Reading<'a> {
    pub(super) size: KnownSize,
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
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

/// A file that has the name of a blob and may be one, with its state before anything of it is read.
pub(super) fn file(below: &Below, digest: &Digest, size: KnownSize) -> Result<(Stamp, std::fs::File), Refused> {
    let held = held(below, "cas", digest)?;
    is_plain(held.stat())?;
    // A hole costs its maker nothing, and its reader an hour.
    match (held.stat().st_size.unsigned_abs(), size) {
        (found, KnownSize::Exactly(size)) if found != size => {
            return Err(because(format!("it has {found} bytes, not {size}")));
        }
        // It may be of use to somebody else.
        (found, KnownSize::AtMost(most)) if found > most => return Err(Refused::Missing),
        (found, _) if found > LARGEST => return Err(because(format!("it has {found} bytes (limit {LARGEST})"))),
        _ => {}
    }
    Ok((Stamp::from(held.stat()), open(&held)?))
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

/// What has the name of a tree.
pub(super) fn directory(below: &Below, root: &Digest) -> Result<(HeldEntry, Dir), Refused> {
    let held = held(below, "tree", root)?;
    if held.kind() != FileType::Directory {
        return Err(because(format!("it is {}, not a directory", noun(held.kind()))));
    }
    match below.root.directory(format!("tree/{}", root.hex())) {
        Err(error) if is_denied(&error) => Err(Refused::Missing),
        dir => Ok((held, dir?)),
    }
}

/// What is in a tree, where all of it may be there, and when something of it changed last. No file is read.
pub(super) fn listed(held: &HeldEntry, dir: &Dir) -> Result<(Entries, i128), Refused> {
    is_plain(held.stat())?;
    let (mut newest, mut bytes) = (Stamp::from(held.stat()).newest(), 0u64);
    let entries = list(dir)?;
    for (name, entry) in &entries {
        newest = newest.max(Stamp::from(&entry.stat).newest());
        if !matches!(entry.kind, Kind::Link(_)) {
            is_plain(&entry.stat).map_err(|refused| refused.of(name))?;
        }
        if matches!(entry.kind, Kind::File { .. }) {
            bytes = bytes.saturating_add(entry.stat.st_size.unsigned_abs());
        }
    }
    if bytes > LARGEST_TREE {
        return Err(because(format!("its files have {bytes} bytes (limit {LARGEST_TREE})")));
    }
    Ok((entries, newest))
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

/// What has the name of a digest in a part of a store.
fn held(below: &Below, part: &str, digest: &Digest) -> Result<HeldEntry, Refused> {
    below.root.look(format!("{part}/{}", digest.hex()))?.ok_or(Refused::Missing)
}

/// A file that others may not read is none: it was made from what is private.
fn open(held: &HeldEntry) -> Result<std::fs::File, Refused> {
    if held.kind() != FileType::RegularFile {
        return Err(because(format!("it is {}, not a file", noun(held.kind()))));
    }
    match held.open() {
        Err(error) if is_denied(&error) => Err(Refused::Missing),
        file => Ok(file?),
    }
}

fn is_denied(error: &WorldError) -> bool {
    matches!(error, WorldError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Steps may look at modes and times, which kiln makes the same everywhere.
fn is_plain(stat: &Stat) -> Result<(), Refused> {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        other => return Err(because(format!("it is {}, not a file", noun(other)))),
    }
    if !matches!(mode, 0o444 | 0o400 | 0o555 | 0o500) {
        return Err(because(format!("it has mode {mode:04o}, which kiln gives to nothing in a store")));
    }
    if (stat.st_mtime, stat.st_mtime_nsec) != (TIME.as_secs() as i64, 0) {
        return Err(because("it has another time than kiln gives to everything in a store"));
    }
    Ok(())
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
