//! Which locked files nobody has any more.
//!
//! Input: files that the store lacks. Output: those that no place has in the right size, with what each place said. Only the
//! last byte of a file is asked for: its digest is checked when it is fetched.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ExecError;
use super::fetch::{MirrorLookup, stated, unavailable};
use crate::debian::mirror;
use crate::plan::Fetch;
use crate::plan::step::FetchPlace;
use crate::world::download::{AnswerKind, Downloader, Nobody, Refusal, ServerAnswer, Stop, Told};
use crate::world::{HttpRequest, World};

/// Questions at a time.
const PARALLEL: usize = 8;

/// A file that nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostFile<'a> {
    /// The file.
    pub fetch: &'a Fetch,
    /// Every place that was asked.
    pub asked: Vec<ServerAnswer>,
}

impl LostFile<'_> {
    /// The error of a build that needs the file.
    pub fn error(self) -> ExecError {
        unavailable(self.fetch, self.asked)
    }
}

/// Who is asked, and who hears of it.
pub struct Question<'a> {
    /// The network.
    pub world: &'a dyn World,
    /// Where files may be.
    pub mirrors: &'a MirrorLookup<'a>,
    /// Hears when a server is left alone for a while.
    pub told: Told<'a>,
    /// Ends it.
    pub stop: Stop<'a>,
}

/// The files of a list that nobody has, in its order. At least one server must say so; that none can be asked is an error.
pub fn lost<'a>(question: &Question<'_>, fetches: &[&'a Fetch]) -> Result<Vec<LostFile<'a>>, ExecError> {
    let Question { world, mirrors, told, stop } = *question;
    let downloader = Downloader::new(world, stop).telling(told).courteous_to(&mirror::service(world));
    // What the recipe brings along is nobody else's to lose.
    let fetches: Vec<&Fetch> =
        fetches.iter().copied().filter(|fetch| !matches!(fetch.place, FetchPlace::Recipe(_))).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(fetches.len()) {
            scope.spawn(|| {
                while let Some((at, fetch)) = advance(&next, &fetches) {
                    let answer = ask(&downloader, fetch, mirrors(&fetch.place));
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, answer);
                }
            });
        }
    });
    let mut lost = Vec::new();
    for (at, answer) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match answer {
            Ok(()) => {}
            Err(Nobody::Asked(asked)) => {
                let lost_file = LostFile { fetch: fetches[at], asked };
                // Where nobody could be asked, nobody knows.
                if !lost_file.asked.iter().any(|answer| answer.kind == AnswerKind::Missing) {
                    return Err(lost_file.error());
                }
                lost.push(lost_file);
            }
            Err(Nobody::Stopped) => return Err(ExecError::Interrupted),
            Err(Nobody::Fatal(never)) => match never {},
        }
    }
    Ok(lost)
}

fn advance<'a>(next: &AtomicUsize, fetches: &[&'a Fetch]) -> Option<(usize, &'a Fetch)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, *fetches.get(at)?))
}

/// Whether any place has the last byte of a file where it is to be.
fn ask(downloader: &Downloader<'_>, fetch: &Fetch, urls: Vec<String>) -> Result<(), Nobody<Infallible>> {
    downloader.first(
        urls,
        || 0,
        |url| {
            let request = HttpRequest {
                url,
                from: fetch.size.saturating_sub(1),
                stated: stated(&fetch.place),
                authorization: None,
            };
            let response = downloader.ask(&request)?;
            match response.length.map(|length| length.saturating_add(response.start)) {
                Some(size) if size != fetch.size => {
                    Err(Refusal::Missing(format!("has {size} bytes, expected {}", fetch.size)))
                }
                _ => Ok(()),
            }
        },
    )
}
