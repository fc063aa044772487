//! Files that the lock names, from wherever they may be had.
//!
//! Size and digest decide, never the place. A file grows in `part/<sha256>` of the store, so that whoever comes next
//! goes on where the last one stopped; never more bytes than locked are taken. A place that sends wrong bytes, too
//! many or too few is asked no more for that file; a host that does not answer is asked last.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::event::{StepEvent, StepListener};
use super::gate::{Gate, Urgency};
use super::{ExecError, local};
use crate::base::{Digest, Foreign, Hasher};
use crate::debian::mirror;
use crate::plan::Fetch;
use crate::plan::step::FetchPlace;
use crate::store::{Store, StoreError, Visibility};
use crate::world::download::{self, Downloader, Length, Nobody, ServerAnswer, Sink, Stop, Told};
use crate::world::{HttpRequest, Stated, World, fs};

/// Downloads at a time; more do not help against one server, and annoy it.
const PARALLEL: usize = 8;

/// The addresses at which a place may be found, best first.
pub type MirrorLookup<'a> = dyn Fn(&FetchPlace) -> Vec<String> + Sync + 'a;

/// What every download of a build shares.
pub struct Fetcher<'a> {
    store: &'a Store,
    mirrors: &'a MirrorLookup<'a>,
    listener: &'a dyn StepListener,
    stop: Stop<'a>,
    gate: Gate,
    downloader: Downloader<'a>,
    /// Files that were told to be fetched, and those of which all bytes were told: several steps may wait for one.
    told: Mutex<[BTreeSet<Digest>; 2]>,
    /// Files that others than this user must not read.
    private: Option<&'a BTreeSet<Digest>>,
}

type Refusal = download::Refusal<ExecError>;

impl<'a> Fetcher<'a> {
    /// Ready to fetch into a store.
    pub fn new(
        store: &'a Store,
        world: &'a dyn World,
        mirrors: &'a MirrorLookup<'a>,
        listener: &'a dyn StepListener,
        stop: Stop<'a>,
    ) -> Self {
        let downloader = Downloader::new(world, stop).courteous_to(&mirror::service(world));
        let gate = Gate::new(PARALLEL);
        Fetcher { store, mirrors, listener, stop, gate, downloader, told: Mutex::default(), private: None }
    }

    /// Keeps these files closed to others than this user.
    pub fn hiding(self, private: &'a BTreeSet<Digest>) -> Self {
        Fetcher { private: Some(private), ..self }
    }

    /// Says so whenever a server is left alone for a while.
    pub fn telling(self, told: Told<'a>) -> Self {
        Fetcher { downloader: self.downloader.telling(told), ..self }
    }

    /// Gives servers that fall silent up after this time instead of a minute.
    pub fn patient_for(self, silence: Duration) -> Self {
        Fetcher { downloader: self.downloader.patient_for(silence), ..self }
    }

    /// Gets every file of the list that the store lacks; the first failure ends it.
    pub fn fetch(&self, fetches: &[&Fetch]) -> Result<(), ExecError> {
        self.fetch_for(0, fetches)
    }

    /// The same for a step of this rank: its files come before those of lower ranks, and of equal ranks those first whose list
    /// is smaller.
    pub(super) fn fetch_for(&self, rank: u64, fetches: &[&Fetch]) -> Result<(), ExecError> {
        // The largest begins first, so that none is left alone in the end.
        let mut fetches = fetches.to_vec();
        fetches.sort_by_key(|fetch| Reverse(fetch.size));
        let urgency = Urgency { rank, size: Reverse(fetches.iter().map(|fetch| fetch.size).sum()) };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let downloads: Vec<u64> = fetches
            .iter()
            .filter(|fetch| !fetch.place.is_local() && told[0].insert(fetch.digest))
            .map(|fetch| fetch.size)
            .collect();
        drop(told);
        if !downloads.is_empty() {
            let (files, bytes) = (downloads.len() as u64, downloads.iter().sum());
            self.listener.on(StepEvent::FetchPlanned { files, bytes });
        }
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let error = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(fetches.len()) {
                scope.spawn(|| {
                    while let Some(fetch) = fetches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed.load(Ordering::Relaxed) {
                            return;
                        }
                        let _pass = self.gate.enter(urgency);
                        if let Err(why) = self.one(fetch) {
                            failed.store(true, Ordering::Relaxed);
                            error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                        }
                    }
                });
            }
        });
        error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn one(&self, fetch: &Fetch) -> Result<(), ExecError> {
        let _alone = self.store.lock(&fetch.digest, self.stop).map_err(interrupted)?;
        if let FetchPlace::Recipe(source) = &fetch.place {
            let hidden = self.private.is_some_and(|private| private.contains(&fetch.digest));
            let visibility = if hidden { Visibility::Owner } else { Visibility::Everybody };
            return local::import(self.store, fetch, source, visibility);
        }
        if self.store.has_sized(&fetch.digest, fetch.size) {
            // Unless it was fetched for another step of this build.
            if self.is_first_of(fetch) {
                self.listener.on(StepEvent::FetchProgress { bytes: fetch.size });
            }
            return Ok(());
        }
        let part = self.store.part_path(&fetch.digest);
        match self.store.begun(&fetch.digest, fetch.size) {
            0 => {}
            bytes => self.listener.on(StepEvent::FetchProgress { bytes }),
        }
        let urls = (self.mirrors)(&fetch.place);
        match self.downloader.first(urls, || length(&part), |url| self.attempt(fetch, url, &part)) {
            Ok(()) => {
                self.is_first_of(fetch);
                self.listener.on(StepEvent::Fetched { label: fetch.label.clone() });
                Ok(())
            }
            Err(Nobody::Stopped) => Err(ExecError::Interrupted),
            Err(Nobody::Fatal(error)) => Err(error),
            Err(Nobody::Asked(answers)) => Err(unavailable(fetch, answers)),
        }
    }

    /// Whether it was not told before that all bytes of a file are there.
    fn is_first_of(&self, fetch: &Fetch) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)[1].insert(fetch.digest)
    }

    /// One request.
    fn attempt(&self, fetch: &Fetch, url: &str, part: &Path) -> Result<(), Refusal> {
        let fatal = |error: StoreError| Refusal::Fatal(error.into());
        if length(part) > fetch.size {
            fs::remove_file(part).map_err(|error| fatal(error.into()))?;
        }
        let file = self.store.open_part(&fetch.digest).map_err(fatal)?;
        let mut sink = Part { fetcher: self, file, hasher: Hasher::new(io::sink()), path: part, grown: false };
        let read = io::copy(&mut (&sink.file).take(fetch.size), &mut sink.hasher);
        fs::context("read", part, read).map_err(|error| fatal(self.store.failure(error)))?;
        let resumed = sink.have() > 0;
        if sink.have() < fetch.size {
            let request = HttpRequest { url, from: 0, stated: stated(&fetch.place), authorization: None };
            let poured = self.downloader.pour(&request, Length::Exactly(fetch.size), &mut sink);
            if sink.grown && matches!(poured, Err(Refusal::Useless(_))) {
                // Whatever that was, it is no beginning of the file.
                fs::remove_file(part).map_err(|error| fatal(error.into()))?;
            }
            poured?;
        }
        let (_, found, _) = sink.hasher.finish();
        if found == fetch.digest {
            return self.store.adopt(part, found).map_err(fatal);
        }
        fs::remove_file(part).map_err(|error| fatal(error.into()))?;
        let why = format!("its {} bytes have digest {found}", fetch.size);
        // The wrong bytes may be those of another place, which this one only continued.
        Err(if resumed { Refusal::Again(why) } else { Refusal::Useless(why) })
    }
}

/// Whose word the addresses of a place are.
pub(super) fn stated(place: &FetchPlace) -> Stated {
    match place {
        FetchPlace::Repository { .. } => Stated::User,
        FetchPlace::Url(_) | FetchPlace::Recipe(_) => Stated::Recipe,
    }
}

pub(super) fn unavailable(fetch: &Fetch, answers: Vec<ServerAnswer>) -> ExecError {
    let (label, digest, size) = (fetch.label.clone(), fetch.digest, fetch.size);
    let line = |ServerAnswer { url, why, .. }: ServerAnswer| format!("  {}: {}", Foreign(url), Foreign(why));
    let asked = match answers.is_empty() {
        true => "  no mirror is configured for it".to_owned(),
        false => answers.into_iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    ExecError::Fetch { label, digest, size, asked }
}

/// The beginning of a file, which grows in the store.
struct Part<'a> {
    fetcher: &'a Fetcher<'a>,
    file: File,
    hasher: Hasher<io::Sink>,
    path: &'a Path,
    /// This place had a part in it: what another one began is not thrown away for a 404.
    grown: bool,
}

impl Sink for Part<'_> {
    type Error = ExecError;

    fn have(&self) -> u64 {
        self.hasher.count()
    }

    fn restart(&mut self) -> Result<(), ExecError> {
        self.hasher = Hasher::new(io::sink());
        self.grown = true;
        self.done("truncate", self.file.set_len(0))
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ExecError> {
        self.grown = true;
        let written = self.file.write_all(piece).and_then(|()| self.hasher.write_all(piece));
        self.done("write", written)?;
        self.fetcher.listener.on(StepEvent::FetchProgress { bytes: piece.len() as u64 });
        Ok(())
    }
}

impl Part<'_> {
    fn done(&self, verb: &'static str, result: io::Result<()>) -> Result<(), ExecError> {
        fs::context(verb, self.path, result).map_err(|error| self.fetcher.store.failure(error).into())
    }
}

pub(super) fn interrupted(error: StoreError) -> ExecError {
    match error {
        StoreError::Interrupted => ExecError::Interrupted,
        other => other.into(),
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Files of the list that the store lacks, in its order.
pub fn missing<'a>(store: &Store, fetches: impl Iterator<Item = &'a Fetch>) -> Vec<&'a Fetch> {
    let mut seen = BTreeSet::new();
    // A file of the recipe may be private here and is copied here, whoever may read one with the same bytes below.
    let has = |fetch: &Fetch| match fetch.place.is_local() {
        true => store.holds(&fetch.digest),
        false => store.has_sized(&fetch.digest, fetch.size),
    };
    fetches.filter(|fetch| seen.insert(fetch.digest) && !has(fetch)).collect()
}
