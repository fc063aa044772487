//! Downloads: how patient kiln is with servers, and how polite, whatever a file is for.
//!
//! Input: addresses, best first, and what takes the bytes. Output: the bytes taken, or each place's answer. Whether they
//! are the right bytes is the caller's to judge.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::stream::{Next, Stream};
use super::{Request, Response, World, WorldError};
use crate::base::ByteSize;

/// Times that one place is asked for one file while it makes no progress.
const MAX_ATTEMPTS: u32 = 3;
/// After so many failures in a row a host is asked last.
const MAX_HOST_FAILURES: u32 = 2;
/// A server that sends nothing for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// When it answers yes, downloads end soon.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What several downloads share.
pub struct Downloader<'a> {
    world: &'a dyn World,
    stop: Stop<'a>,
    /// How long a server may send nothing.
    silence: Duration,
    /// Failures in a row by host.
    failures: Mutex<BTreeMap<String, u32>>,
}

/// Why one place did not give a file.
#[derive(Debug)]
pub enum Refusal<E> {
    /// Asking again may help.
    Again(String),
    /// Asking this place again is useless.
    Useless(String),
    /// The downloads were called off.
    Stopped,
    /// Asking anybody is useless.
    Fatal(E),
}

impl<E> From<WorldError> for Refusal<E> {
    fn from(error: WorldError) -> Refusal<E> {
        match error {
            WorldError::Fetch { reason, missing: true, .. } | WorldError::Refused { reason, .. } => {
                Refusal::Useless(reason)
            }
            WorldError::Fetch { reason, .. } => Refusal::Again(reason),
            other => Refusal::Again(other.to_string()),
        }
    }
}

/// What takes the bytes of a file.
pub trait Sink {
    /// What may go wrong with it.
    type Error;
    /// How many bytes it has.
    fn have(&self) -> u64;
    /// Forgets them: the server begins anew.
    fn restart(&mut self) -> Result<(), Self::Error>;
    /// Takes the next ones.
    fn take(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// How long a file is.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// It is known.
    Exactly(u64),
    /// More is refused.
    AtMost(u64),
}

impl<'a> Downloader<'a> {
    /// Nobody has been asked yet.
    pub fn new(world: &'a dyn World, stop: Stop<'a>) -> Downloader<'a> {
        Downloader { world, stop, silence: STALL_TIMEOUT, failures: Mutex::default() }
    }

    /// Gives servers that fall silent up after this time instead of a minute.
    pub fn patient_for(self, silence: Duration) -> Self {
        Downloader { silence, ..self }
    }

    /// Hosts that failed lately come last.
    pub fn ordered(&self, mut urls: Vec<String>) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        urls.sort_by_key(|url| failures.get(host(url)).is_some_and(|count| *count >= MAX_HOST_FAILURES));
        urls
    }

    /// Asks one place until it gives the file, or gives up on it. `have` says how much of it is kept between requests.
    pub fn insist<T, E>(
        &self,
        url: &str,
        have: impl Fn() -> u64,
        mut attempt: impl FnMut() -> Result<T, Refusal<E>>,
    ) -> Result<T, Refusal<E>> {
        let mut tries = 0;
        loop {
            let before = have();
            let why = match attempt() {
                Err(Refusal::Again(why)) => why,
                other => {
                    self.remember(url, false);
                    return other;
                }
            };
            tries = if have() > before { 0 } else { tries + 1 };
            let dead = self.remember(url, true) > MAX_HOST_FAILURES;
            if dead || tries >= MAX_ATTEMPTS {
                return Err(Refusal::Useless(why));
            }
            self.pause(Duration::from_millis(200) * tries)?;
        }
    }

    /// One request for what a sink lacks.
    pub fn pour<S: Sink>(&self, request: &Request<'_>, length: Length, sink: &mut S) -> Result<(), Refusal<S::Error>> {
        let response = self.world.get(&Request { from: sink.have(), ..*request })?;
        announced(length, &response)?;
        if response.start != sink.have() {
            sink.restart().map_err(Refusal::Fatal)?;
        }
        let (Length::Exactly(limit) | Length::AtMost(limit)) = length;
        let whole = response.length.map(|length| length.saturating_add(response.start));
        let mut stream = Stream::start(response.body, limit.saturating_sub(sink.have()));
        loop {
            match stream.next(self.stop, self.silence) {
                Next::Piece(piece) if piece.len() as u64 > limit - sink.have() => {
                    return Err(Refusal::Useless(too_long(length)));
                }
                Next::Piece(piece) => sink.take(&piece).map_err(Refusal::Fatal)?,
                Next::Broken(why) => return Err(Refusal::Again(why)),
                Next::Stopped => return Err(Refusal::Stopped),
                Next::End => return ended(length, whole, sink.have()),
            }
        }
    }

    fn remember(&self, url: &str, failed: bool) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(host(url).to_owned()).or_default();
        *count = if failed { *count + 1 } else { 0 };
        *count
    }

    fn pause<E>(&self, time: Duration) -> Result<(), Refusal<E>> {
        if (self.stop)() {
            return Err(Refusal::Stopped);
        }
        std::thread::sleep(time);
        Ok(())
    }
}

/// A server that says how long its file is can be refused before it is read.
fn announced<E>(length: Length, response: &Response) -> Result<(), Refusal<E>> {
    let Some(said) = response.length.map(|length| length.saturating_add(response.start)) else { return Ok(()) };
    match length {
        Length::Exactly(size) if said != size => Err(Refusal::Useless(format!("has {said} bytes, expected {size}"))),
        Length::AtMost(limit) if said > limit => Err(Refusal::Useless(too_long(length))),
        _ => Ok(()),
    }
}

fn too_long(length: Length) -> String {
    match length {
        Length::Exactly(size) => format!("sent more than the expected {size} bytes"),
        Length::AtMost(limit) => format!("more than {}, which is as much as it may have", ByteSize(limit)),
    }
}

/// Whether the body ended where it should.
fn ended<E>(length: Length, announced: Option<u64>, have: u64) -> Result<(), Refusal<E>> {
    let whole = match length {
        Length::Exactly(size) => Some(size),
        Length::AtMost(_) => announced,
    };
    match whole.filter(|whole| *whole != have) {
        Some(whole) => Err(Refusal::Again(format!("ended after {have} of {whole} bytes"))),
        None => Ok(()),
    }
}

/// `mirror.example:8080` of `http://mirror.example:8080/pool/x`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
