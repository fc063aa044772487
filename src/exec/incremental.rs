//! Steps that go on from where an earlier run of them ended: in its build directory, which the store kept.
//!
//! Such an incremental run has the bits of a run from nothing only as far as the programs in it know what they need not do
//! again. So its result is kept under a name of its own, where only those find it who ask for incremental results, until a run
//! from nothing gave the same bits; it is never a result like any other before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::ExecError;
use super::executor::{Provided, Request};
use super::outcome::{Names, Outputs};
use super::source::{self, Archives, LocalInputs, SourceEntry};
use crate::base::Digest;
use crate::plan::{IncrementalRun, id};
use crate::store::{KeptState, Store, StoreError, StoreLock};
use crate::world::dir::Dir;
use crate::world::fs;

/// What it is called until a run has it.
const TAKEN: &str = "directory";

/// Why a kept directory is of no use.
const UNTRUSTED: &str = "files in it changed, or this host was restarted, since it was kept";
const UNKNOWN: &str = "it is not known what of the local source is in it";

/// Asked now and then whether to give up.
type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// How a step is run incremental.
#[derive(Clone, Copy)]
pub(super) struct KeptDirectory<'a> {
    how: &'a IncrementalRun,
    pub(super) names: Names,
}

impl<'a> KeptDirectory<'a> {
    /// `action` is that of the step called `step`, `apart` that of the same step without its changing input. What such a run
    /// sees instead of its inputs is part of both names: a kiln that has learned better starts from nothing. So is the name of
    /// the step, or two kernels of one source would compile all that they have different once more in each other's directory.
    pub(super) fn new(how: &'a IncrementalRun, step: &str, (action, apart): (&Digest, &Digest)) -> KeptDirectory<'a> {
        let mut text = format!("incremental directory {apart} {} of {step}\n", how.directory);
        for (path, bytes) in &how.instead {
            text.push_str(&format!("{} {path}\n", Digest::of(bytes)));
        }
        let directory = Digest::of(text.as_bytes());
        let result = Digest::of(format!("incremental result {action} {directory}\n").as_bytes());
        KeptDirectory { how, names: Names { directory, result, action: *action } }
    }

    /// Waits until no other kiln runs the step in this directory, or is about to leave one: to go on from there takes less
    /// than to do the same work beside it.
    pub(super) fn alone(&self, store: &Store, stop: Stop<'_>) -> Result<StoreLock, StoreError> {
        store.lock(&Digest::of(format!("incremental use {}", self.names.directory).as_bytes()), stop)
    }

    /// The directory that the run can go on from, out of the reach of all others; it is lost when the run fails. One of which
    /// nobody knows what of the local sources is in it is of no use.
    pub(super) fn take(
        &self,
        store: &Store,
        local: &LocalInputs,
        stop: Stop<'_>,
    ) -> Result<FoundDirectory, StoreError> {
        let place = store.scratch("incremental")?.join(TAKEN);
        let said = match store.take_incremental(&self.names.directory, &place, stop)? {
            KeptState::Nothing => return Ok(FoundDirectory::Nothing),
            KeptState::Untrusted => return Ok(FoundDirectory::Unusable(UNTRUSTED)),
            KeptState::Taken(said) => said,
        };
        let sources = read_sources(&said).filter(|sources| local.keys().all(|input| sources.contains_key(input)));
        Ok(match sources {
            Some(sources) => FoundDirectory::Kept(TakenDirectory { place, said, sources }),
            None => FoundDirectory::Unusable(UNKNOWN),
        })
    }

    /// Puts the directory where the run looks for it, and shows the run what it sees instead of its inputs: of local sources
    /// what has changed since the directory was kept.
    pub(super) fn prepare(
        &self,
        store: &Store,
        (taken, local, archives): (&TakenDirectory, &LocalInputs, &Archives<'_>),
        request: &mut Request,
    ) -> Result<(), ExecError> {
        for (input, tree) in local {
            match self.how.changing.contains(input) {
                true => archives.changes((input, tree), &taken.sources[input], request)?,
                false => archives.whole(&LocalInputs::from([(input.clone(), tree.clone())]), request)?,
            }
        }
        let place = request.build.join(&self.how.directory);
        fs::rename(&taken.place, &place).map_err(|error| store.failure(error))?;
        for (name, bytes) in &self.how.instead {
            let path = store.path(&store.put(bytes)?)?;
            request.inputs.entry(name.clone()).and_modify(|input| *input = Provided { value: id::inline(bytes), path });
        }
        Ok(())
    }

    /// Keeps a directory again that no run has had since it was taken.
    pub(super) fn give_back(&self, store: &Store, taken: &TakenDirectory) -> Result<(), StoreError> {
        let parent = taken.place.parent().unwrap_or(&taken.place);
        let parent = Dir::open(parent).map_err(|error| store.failure(error))?;
        store.keep_incremental(&self.names.directory, (&parent, TAKEN, &taken.said), &|| false)
    }

    /// Keeps what a run left, for the next one.
    pub(super) fn keep(
        &self,
        store: &Store,
        (out, local): (&Dir, &LocalInputs),
        stop: Stop<'_>,
    ) -> Result<(), StoreError> {
        store.keep_incremental(&self.names.directory, (out, self.how.directory.as_str(), &sources(local)), stop)
    }
}

/// What is kept of a step.
pub(super) enum FoundDirectory {
    Nothing,
    /// It is gone, and why.
    Unusable(&'static str),
    Kept(TakenDirectory),
}

/// A directory that was kept.
pub(super) struct TakenDirectory {
    place: PathBuf,
    /// What was kept with it.
    said: Vec<u8>,
    /// What of each local source is in it.
    sources: BTreeMap<String, Vec<SourceEntry>>,
}

/// Of each local source its name, the length of its listing, and the listing: kept with the directory, under the same lock.
fn sources(local: &LocalInputs) -> Vec<u8> {
    let mut text = Vec::new();
    for (input, tree) in local {
        let listing = tree.listing();
        text.extend_from_slice(format!("{input} {}\n", listing.len()).as_bytes());
        text.extend_from_slice(&listing);
    }
    text
}

fn read_sources(mut text: &[u8]) -> Option<BTreeMap<String, Vec<SourceEntry>>> {
    let mut sources = BTreeMap::new();
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (input, length) = std::str::from_utf8(&text[..end]).ok()?.rsplit_once(' ')?;
        let (listing, rest) = text[end + 1..].split_at_checked(length.parse().ok()?)?;
        sources.insert(input.to_owned(), source::read_listing(listing)?);
        text = rest;
    }
    Some(sources)
}

/// Compares what an incremental run left with what a run from nothing left. Where it is the same it counts from now on like any
/// other result; where it is not, neither it nor the directory that it came from is used again.
pub(super) fn judge(store: &Store, names: &Names, incremental: &Outputs, clean: &Outputs) -> Result<bool, StoreError> {
    store.forget_result(&names.result)?;
    if incremental == clean {
        store.put_result(&names.action, clean)?;
    } else {
        store.drop_incremental(&names.directory, &super::interrupt::stopped)?;
    }
    Ok(incremental == clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_no_run_has_had_is_kept_as_it_was() {
        let root = std::env::temp_dir().join(format!("kiln-given-back-{}", std::process::id()));
        let store = Store::open(&root).unwrap();
        let how = IncrementalRun { directory: "linux".into(), changing: [].into(), instead: BTreeMap::new() };
        let kept = KeptDirectory::new(&how, "kernel-build k", (&Digest::of(b"a"), &Digest::of(b"b")));
        let out = Dir::open(&store.scratch("out").unwrap()).unwrap();
        Dir::make(&out.path().join("linux"), 0o755).unwrap();
        fs::write_atomically(&out.path().join("linux/core.o"), b"core").unwrap();
        kept.keep(&store, (&out, &LocalInputs::new()), &|| false).unwrap();
        for _ in 0..2 {
            let found = kept.take(&store, &LocalInputs::new(), &|| false).unwrap();
            let FoundDirectory::Kept(taken) = found else { panic!("nothing was kept") };
            assert!(matches!(kept.take(&store, &LocalInputs::new(), &|| false).unwrap(), FoundDirectory::Nothing));
            assert_eq!(fs::read(&taken.place.join("core.o"), 9).unwrap(), b"core");
            kept.give_back(&store, &taken).unwrap();
        }
        fs::remove_tree(&root).unwrap();
    }
}
