//! Downloads: how patient kiln is with servers, and how polite, whatever a file is for.
//!
//! Input: addresses, best first, and what takes the bytes. Output: the bytes taken, or each place's answer. Whether they
//! are the right bytes is the caller's to judge.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::patience::{self, MAX_WAITS};
pub use super::refusal::{AnswerKind, Nobody, Refusal, ServerAnswer, ServerWait, Throttle, Told};
use super::stream::{Next, Stream};
use super::{HttpRequest, Response, World, WorldError};
use crate::base::ByteSize;

/// Times that one place is asked for one file while it makes no progress.
const MAX_ATTEMPTS: u32 = 3;
/// A connection that ended after so many new bytes is no failure.
const PROGRESS_BYTES: u64 = 64 << 10;
/// After so many failures in a row a host is asked last.
const MAX_HOST_FAILURES: u32 = 2;
/// A server that sends nothing for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections at a time to a host that answers everybody slowly.
const MAX_SHY_CONNECTIONS: usize = 2;
/// How long a host is left alone before it is asked again, the first time.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Somebody who waits looks so often whether the downloads were called off.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// When it answers yes, downloads end soon.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What several downloads share.
pub struct Downloader<'a> {
    world: &'a dyn World,
    stop: Stop<'a>,
    told: Told<'a>,
    /// How long a server may send nothing.
    silence: Duration,
    /// How long the start of an answer may take, where that is less than usual.
    answer: Option<Duration>,
    /// Failures in a row by host.
    failures: Mutex<BTreeMap<String, u32>>,
    /// A host that answers everybody slowly, and how many ask it at the moment.
    shy: Option<String>,
    asking: Mutex<usize>,
    left: Condvar,
}

/// What is done when a place wants to be left alone.
enum Patience {
    /// Others are asked first.
    Brief,
    /// It is waited for.
    Long,
    /// It is waited for, and said so before.
    Owing(Throttle),
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
        Downloader {
            world,
            stop,
            told: &|_| {},
            silence: STALL_TIMEOUT,
            answer: None,
            failures: Mutex::default(),
            shy: None,
            asking: Mutex::new(0),
            left: Condvar::new(),
        }
    }

    /// Says so whenever a server is left alone for a while.
    pub fn telling(self, told: Told<'a>) -> Self {
        Downloader { told, ..self }
    }

    /// Asks the host of this address with few connections at a time, and again only after minutes.
    pub fn courteous_to(self, url: &str) -> Self {
        Downloader { shy: Some(host(url).to_owned()), ..self }
    }

    /// Gives servers that fall silent up after this time instead of a minute.
    pub fn patient_for(self, silence: Duration) -> Self {
        Downloader { silence, ..self }
    }

    /// Gives servers up whose answer does not begin in this time, or that fall silent for as long.
    pub fn hasty(self, time: Duration) -> Self {
        Downloader { silence: time, answer: Some(time), ..self }
    }

    /// Hosts that failed lately come last.
    pub fn ordered(&self, mut urls: Vec<String>) -> Vec<String> {
        let failures = self.failures();
        urls.sort_by_key(|url| failures.get(host(url)).is_some_and(|count| *count >= MAX_HOST_FAILURES));
        urls
    }

    /// Asks places in turn, and those that want to be left alone once more when nobody else has the file.
    pub fn first<T, E>(
        &self,
        urls: Vec<String>,
        have: impl Fn() -> u64,
        mut attempt: impl FnMut(&str) -> Result<T, Refusal<E>>,
    ) -> Result<T, Nobody<E>> {
        let (mut answers, mut later) = (Vec::new(), Vec::<(String, Patience)>::new());
        for url in self.ordered(urls) {
            // Other addresses of a host that wants to be left alone are left alone, too.
            if later.iter().any(|(other, _)| host(other) == host(&url)) {
                later.push((url, Patience::Long));
                continue;
            }
            match self.insist(&url, Patience::Brief, &have, || attempt(&url)) {
                Ok(found) => return Ok(found),
                Err(Refusal::Later(throttle)) => later.push((url, Patience::Owing(throttle))),
                Err(refusal) => answers.push(refusal.answer(url)?),
            }
        }
        for (url, patience) in later {
            match self.insist(&url, patience, &have, || attempt(&url)) {
                Ok(found) => return Ok(found),
                Err(refusal) => answers.push(refusal.answer(url)?),
            }
        }
        Err(Nobody::Asked(answers))
    }

    /// Asks one place until it gives the file, or gives up on it. `have` says how much of it is kept between requests.
    /// A place that wants to be left alone is waited for only with patience.
    fn insist<T, E>(
        &self,
        url: &str,
        patience: Patience,
        have: impl Fn() -> u64,
        mut attempt: impl FnMut() -> Result<T, Refusal<E>>,
    ) -> Result<T, Refusal<E>> {
        let _place = self.enter(url)?;
        let patient = !matches!(patience, Patience::Brief);
        let mut throttle = match patience {
            Patience::Owing(throttle) => Some(throttle),
            Patience::Brief | Patience::Long => None,
        };
        let (mut tries, mut waits) = (0, 0);
        // The most that it had: what a server sends a second time is no progress.
        let mut most = have();
        loop {
            if let Some(throttle) = throttle.take() {
                self.leave_alone(url, throttle, waits)?;
                waits += 1;
            }
            let refusal = attempt();
            let new = have().saturating_sub(most);
            most += new;
            if new > 0 {
                (tries, waits) = (0, 0);
            }
            match refusal {
                Err(Refusal::Later(asked)) if patient => throttle = Some(asked),
                // It says nothing against the host: where a network fails for a moment, all connections to it end.
                Err(Refusal::Again(_)) if new >= PROGRESS_BYTES => {
                    self.remember(url, false);
                    self.pause(RETRY_PAUSE)?;
                }
                Err(Refusal::Again(why)) => {
                    tries += 1;
                    let dead = self.remember(url, true) > MAX_HOST_FAILURES;
                    if dead || tries >= MAX_ATTEMPTS {
                        return Err(Refusal::Useless(why));
                    }
                    self.pause(RETRY_PAUSE * tries)?;
                }
                Err(Refusal::Later(asked)) => return Err(Refusal::Later(asked)),
                other => {
                    self.remember(url, false);
                    return other;
                }
            }
        }
    }

    /// Waits as long as a server wants, or gives it up: it, too, if it was given up before.
    fn leave_alone<E>(&self, url: &str, throttle: Throttle, waits: u32) -> Result<(), Refusal<E>> {
        let given_up = self.failures().get(host(url)).is_some_and(|count| *count > MAX_HOST_FAILURES);
        let Throttle { why, after } = throttle;
        let Some(time) = patience::wait(waits, after).filter(|_| waits < MAX_WAITS && !given_up) else {
            self.failures().insert(host(url).to_owned(), MAX_HOST_FAILURES + 1);
            let after = after.map(|time| format!(", which asks to wait {} s", time.as_secs())).unwrap_or_default();
            return Err(Refusal::Useless(format!("{why}{after}")));
        };
        (self.told)(ServerWait { host: host(url).to_owned(), seconds: time.as_secs(), reason: why });
        self.pause(time)
    }

    /// A connection to a host that answers everybody slowly.
    fn enter<E>(&self, url: &str) -> Result<Option<Place<'_, 'a>>, Refusal<E>> {
        if self.shy.as_deref() != Some(host(url)) {
            return Ok(None);
        }
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        while *asking >= MAX_SHY_CONNECTIONS {
            if (self.stop)() {
                return Err(Refusal::Stopped);
            }
            let waited = self.left.wait_timeout(asking, LOOK_INTERVAL).unwrap_or_else(PoisonError::into_inner);
            asking = waited.0;
        }
        *asking += 1;
        Ok(Some(Place(self)))
    }

    /// One request, whose body is the caller's to read.
    pub fn ask<E>(&self, request: &HttpRequest<'_>) -> Result<Response, Refusal<E>> {
        let answer = match self.answer {
            None => self.world.get(request),
            Some(time) => self.world.get_within(request, time),
        };
        answer.map_err(|error| self.refusal(error))
    }

    /// One request for what a sink lacks.
    pub fn pour<S: Sink>(
        &self,
        request: &HttpRequest<'_>,
        length: Length,
        sink: &mut S,
    ) -> Result<(), Refusal<S::Error>> {
        let response = self.ask(&HttpRequest { from: sink.have(), ..*request })?;
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

    /// Whether a server that has too much to do is asked again soon depends on which it is.
    fn refusal<E>(&self, error: WorldError) -> Refusal<E> {
        match error {
            WorldError::Busy { url, reason, throttled, after }
                if throttled || after.is_some() || self.shy.as_deref() == Some(host(&url)) =>
            {
                Refusal::Later(Throttle { why: reason, after })
            }
            other => other.into(),
        }
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, url: &str, failed: bool) -> u32 {
        let mut failures = self.failures();
        let count = failures.entry(host(url).to_owned()).or_default();
        *count = if failed { *count + 1 } else { 0 };
        *count
    }

    fn pause<E>(&self, time: Duration) -> Result<(), Refusal<E>> {
        let mut left = time;
        loop {
            if (self.stop)() {
                return Err(Refusal::Stopped);
            }
            if left.is_zero() {
                return Ok(());
            }
            let now = left.min(LOOK_INTERVAL);
            self.world.wait(now);
            left -= now;
        }
    }
}

/// A place among those that may ask at the same time; the drop lets the next one in.
struct Place<'d, 'a>(&'d Downloader<'a>);

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        *self.0.asking.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
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
