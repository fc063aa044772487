//! A file of attestations behind an address, bounded in bytes and in time. What came before it went wrong is handed on: each attestation
//! is signed by itself.

use std::time::{Duration, Instant};

use crate::base::{ByteSize, Foreign};
use crate::world::download::{Downloader, Length, Refusal, Sink};
use crate::world::{HttpRequest, Stated, World};

/// The answer must begin in this time, and go on after pauses no longer than this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A server that takes longer in all is not waited for.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(120);

/// What went wrong with a file.
pub(super) enum WebProblem {
    /// The server did not hand it out, or not all of it.
    Unreached(String),
    /// It is too much.
    Limit(String),
}

/// Fetches a file: what came of it, and what went wrong.
pub(super) fn fetch(
    world: &dyn World,
    stop: &(dyn Fn() -> bool + Sync),
    (url, most): (&str, u64),
) -> (Vec<u8>, Option<WebProblem>) {
    let downloader = Downloader::new(world, stop).hasty(ANSWER_TIMEOUT);
    let request = HttpRequest { url, from: 0, stated: Stated::User, authorization: None };
    #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
    let began = Instant::now();
    let mut sink = Held { bytes: Vec::new(), most, began };
    // What is too long is refused by the sink, which keeps what came before.
    let problem = match downloader.pour(&request, Length::AtMost(u64::MAX), &mut sink) {
        Ok(()) => None,
        Err(Refusal::Missing(_)) => Some(WebProblem::Unreached("there is no such file".to_owned())),
        Err(Refusal::Useless(why) | Refusal::Again(why)) => Some(WebProblem::Unreached(Foreign(why).to_string())),
        Err(Refusal::Later(throttle)) => Some(WebProblem::Unreached(Foreign(throttle.why).to_string())),
        Err(Refusal::Stopped) => Some(WebProblem::Unreached("interrupted".to_owned())),
        Err(Refusal::Fatal(why)) => Some(WebProblem::Limit(why)),
    };
    (sink.bytes, problem)
}

/// Bytes as they come.
struct Held {
    bytes: Vec<u8>,
    most: u64,
    began: Instant,
}

impl Sink for Held {
    type Error = String;

    fn have(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn restart(&mut self) -> Result<(), String> {
        self.bytes.clear();
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        if self.have() + piece.len() as u64 > self.most {
            return Err(format!("it is larger than {}; the rest was not read", ByteSize(self.most)));
        }
        self.bytes.extend_from_slice(piece);
        if self.began.elapsed() > WHOLE_TIMEOUT {
            return Err(format!("it took more than {} s; the rest was not read", WHOLE_TIMEOUT.as_secs()));
        }
        Ok(())
    }
}
