//! Files that the lock names, from wherever they may be had.
//!
//! Size and digest decide, never the place. A file grows in `part/<sha256>` of the store, so that whoever comes next
//! goes on where the last one stopped; never more bytes than locked are taken. A place that sends wrong bytes, too
//! many or too few is asked no more for that file; a host that does not answer is asked last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ExecError;
use super::event::{Event, Listener};
use super::gate::Gate;
use super::stream::{Next, Stream};
use crate::base::{Foreign, Hasher};
use crate::plan::Fetch;
use crate::plan::step::Place;
use crate::store::{Store, StoreError};
use crate::world::{Response, World, WorldError, fs};

/// Downloads at a time; more do not help against one server, and annoy it.
const PARALLEL: usize = 8;
/// Times that one place is asked for one file while it makes no progress.
const TRIES: u32 = 3;
/// After so many failures in a row a host is asked last.
const PATIENCE: u32 = 2;
/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// The addresses at which a place may be found, best first.
pub type Mirrors<'a> = dyn Fn(&Place) -> Vec<String> + Sync + 'a;

/// What every download of a build shares.
pub struct Fetcher<'a> {
    store: &'a Store,
    world: &'a dyn World,
    mirrors: &'a Mirrors<'a>,
    listener: &'a dyn Listener,
    /// When it becomes true, downloads end soon.
    stop: &'a (dyn Fn() -> bool + Sync),
    gate: Gate,
    /// How long a server may send nothing.
    silence: Duration,
    /// Failures in a row by host.
    failures: Mutex<BTreeMap<String, u32>>,
}

/// Why one place did not give a file.
enum Refusal {
    /// Asking again may help.
    Again(String),
    /// Asking this place again is useless.
    Useless(String),
    /// Asking anybody is useless.
    Fatal(ExecError),
}

impl<'a> Fetcher<'a> {
    /// Ready to fetch into a store.
    pub fn new(
        store: &'a Store,
        world: &'a dyn World,
        mirrors: &'a Mirrors<'a>,
        listener: &'a dyn Listener,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let failures = Mutex::new(BTreeMap::new());
        Fetcher { store, world, mirrors, listener, stop, gate: Gate::new(PARALLEL), silence: SILENCE, failures }
    }

    /// Gives servers that fall silent up after this time instead of a minute.
    pub fn patient_for(self, silence: Duration) -> Self {
        Fetcher { silence, ..self }
    }

    /// Gets every file of the list that the store lacks; the first failure ends it.
    pub fn fetch(&self, fetches: &[&Fetch]) -> Result<(), ExecError> {
        let bytes = fetches.iter().map(|fetch| fetch.size).sum();
        self.listener.on(Event::FetchPlanned { files: fetches.len() as u64, bytes });
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let error = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(fetches.len()) {
                scope.spawn(|| {
                    while let Some(fetch) = fetches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed.load(Ordering::Relaxed) {
                            return;
                        }
                        let _pass = self.gate.enter();
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
        if self.store.has(&fetch.digest) {
            self.listener.on(Event::FetchProgress { bytes: fetch.size });
            return Ok(());
        }
        let mut asked = Vec::new();
        for url in self.ordered((self.mirrors)(&fetch.place)) {
            match self.from(fetch, &url) {
                Ok(()) => {
                    self.listener.on(Event::Fetched { label: fetch.label.clone() });
                    return Ok(());
                }
                Err(Refusal::Fatal(error)) => return Err(error),
                Err(Refusal::Again(why) | Refusal::Useless(why)) => asked.push(format!("  {}: {}", Foreign(url), Foreign(why))),
            }
        }
        if asked.is_empty() {
            asked.push("  no mirror is known for it".to_owned());
        }
        let (label, digest, size) = (fetch.label.clone(), fetch.digest, fetch.size);
        Err(ExecError::Fetch { label, digest, size, asked: asked.join("\n") })
    }

    /// Hosts that failed lately come last.
    fn ordered(&self, mut urls: Vec<String>) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        urls.sort_by_key(|url| failures.get(host(url)).is_some_and(|count| *count >= PATIENCE));
        urls
    }

    fn remember(&self, url: &str, failed: bool) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(host(url).to_owned()).or_default();
        *count = if failed { *count + 1 } else { 0 };
        *count
    }

    /// Asks one place until it gives the file, or gives up on it.
    fn from(&self, fetch: &Fetch, url: &str) -> Result<(), Refusal> {
        let part = self.store.part_path(&fetch.digest);
        let mut tries = 0;
        loop {
            let before = length(&part);
            let why = match self.attempt(fetch, url, &part) {
                Err(Refusal::Again(why)) => why,
                other => {
                    self.remember(url, false);
                    return other;
                }
            };
            tries = if length(&part) > before { 0 } else { tries + 1 };
            let dead = self.remember(url, true) > PATIENCE;
            if dead || tries >= TRIES {
                return Err(Refusal::Useless(why));
            }
            std::thread::sleep(Duration::from_millis(200) * tries);
        }
    }

    /// One request.
    fn attempt(&self, fetch: &Fetch, url: &str, part: &Path) -> Result<(), Refusal> {
        let fatal = |error: StoreError| Refusal::Fatal(error.into());
        if length(part) > fetch.size {
            fs::remove_file(part).map_err(|error| fatal(error.into()))?;
        }
        let mut file = self.store.open_part(&fetch.digest).map_err(fatal)?;
        let mut hasher = Hasher::new(io::sink());
        let read = fs::context("read", part, io::copy(&mut (&file).take(fetch.size), &mut hasher));
        let mut have = read.map_err(|error| fatal(self.store.failure(error)))?;
        let resumed = have > 0;
        if have < fetch.size {
            let response = self.world.get(url, have).map_err(refusal)?;
            announced(fetch, &response)?;
            if response.start != have {
                // The server begins anew, so does the file.
                fs::context("truncate", part, file.set_len(0)).map_err(|error| fatal(self.store.failure(error)))?;
                hasher = Hasher::new(io::sink());
                have = 0;
            }
            let poured = self.pour(fetch, response, &mut (&mut file, &mut hasher, &mut have), part);
            if let Err(Refusal::Useless(_)) = &poured {
                // Whatever that was, it is no beginning of the file.
                fs::remove_file(part).map_err(|error| fatal(error.into()))?;
            }
            poured?;
        }
        let (_, found, _) = hasher.finish();
        if found == fetch.digest {
            return self.store.adopt(part, found).map_err(fatal);
        }
        fs::remove_file(part).map_err(|error| fatal(error.into()))?;
        let why = format!("its {} bytes have the digest {found}", fetch.size);
        // The wrong bytes may be those of another place, which this one only continued.
        Err(if resumed { Refusal::Again(why) } else { Refusal::Useless(why) })
    }

    /// Appends what arrives, up to the size that is locked.
    fn pour(
        &self,
        fetch: &Fetch,
        response: Response,
        (file, hasher, have): &mut (&mut File, &mut Hasher<io::Sink>, &mut u64),
        part: &Path,
    ) -> Result<(), Refusal> {
        let stream = Stream::start(response.body, fetch.size - **have);
        loop {
            let piece = match stream.next(self.stop, self.silence) {
                Next::Piece(piece) => piece,
                Next::Broken(why) => return Err(Refusal::Again(why)),
                Next::Stopped => return Err(Refusal::Fatal(ExecError::Interrupted)),
                Next::End if **have < fetch.size => {
                    return Err(Refusal::Again(format!("ended after {} of {} bytes", **have, fetch.size)));
                }
                Next::End => return Ok(()),
            };
            if piece.len() as u64 > fetch.size - **have {
                let why = format!("sends more than the {} bytes that are locked", fetch.size);
                return Err(Refusal::Useless(why));
            }
            let written = file.write_all(&piece).and_then(|()| hasher.write_all(&piece));
            let written = fs::context("write", part, written);
            written.map_err(|error| Refusal::Fatal(self.store.failure(error).into()))?;
            **have += piece.len() as u64;
            self.listener.on(Event::FetchProgress { bytes: piece.len() as u64 });
        }
    }
}

/// A server that says how long its file is can be refused before it is read.
fn announced(fetch: &Fetch, response: &Response) -> Result<(), Refusal> {
    match response.length.map(|length| length.saturating_add(response.start)) {
        Some(size) if size != fetch.size => {
            Err(Refusal::Useless(format!("has {size} bytes there, {} are locked", fetch.size)))
        }
        _ => Ok(()),
    }
}

fn refusal(error: WorldError) -> Refusal {
    match error {
        WorldError::Fetch { reason, missing: true, .. } => Refusal::Useless(reason),
        WorldError::Fetch { reason, .. } => Refusal::Again(reason),
        other => Refusal::Again(other.to_string()),
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

/// `mirror.example:8080` of `http://mirror.example:8080/pool/x`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Files of the list that the store lacks, in its order.
pub fn missing<'a>(store: &Store, fetches: impl Iterator<Item = &'a Fetch>) -> Vec<&'a Fetch> {
    let mut seen = BTreeSet::new();
    fetches.filter(|fetch| seen.insert(fetch.digest) && !store.has(&fetch.digest)).collect()
}
