//! Getting a file whose size is bounded from the first place that has it.

use std::convert::Infallible;
use std::io::Write;

use super::error::Tried;
use super::{Asking, Progress};
use crate::base::{Digest, Hasher};
use crate::recipe::archive::Archive;
use crate::world::download::{Length, Refusal, Sink};
use crate::world::{Request, Stated};

/// URLs of a file below a suite's directory, in the order in which they are asked. The snapshot service stands last, at this
/// moment.
pub(super) fn urls(context: &Asking<'_>, archive: &Archive, path: &str) -> Vec<String> {
    directories(context, archive).into_iter().map(|directory| format!("{directory}{path}")).collect()
}

/// Where a suite's `InRelease` is, on each mirror: `.../dists/trixie/`, or the directory itself of a flat repository.
pub(super) fn directories(context: &Asking<'_>, archive: &Archive) -> Vec<String> {
    let bases = context.mirrors.bases(&archive.repository, Some(&context.world.now().snapshot()));
    let below = match archive.suite.as_str() {
        "./" => String::new(),
        suite if archive.is_flat() => suite.to_owned(),
        suite => format!("dists/{suite}/"),
    };
    bases.into_iter().map(|base| format!("{base}/{below}")).collect()
}

/// The whole body of an address of the user's, refused beyond `limit`.
pub(super) fn whole(asking: &Asking<'_>, url: &str, limit: u64) -> Result<Vec<u8>, String> {
    let mut body = Body { asking, bytes: Vec::new() };
    pour(asking, &Request { url, from: 0, stated: Stated::User }, Length::AtMost(limit), &mut body)?;
    Ok(body.bytes)
}

/// The first answer with the right size and digest.
pub(super) fn exact(asking: &Asking<'_>, urls: Vec<String>, size: u64, digest: &Digest) -> Result<Vec<u8>, Vec<Tried>> {
    let mut tried = Vec::new();
    for url in asking.downloader.ordered(urls) {
        let mut body = Body { asking, bytes: Vec::new() };
        let reason =
            match pour(asking, &Request { url: &url, from: 0, stated: Stated::User }, Length::Exactly(size), &mut body)
            {
                Ok(()) if Digest::of(&body.bytes) == *digest => return Ok(body.bytes),
                Ok(()) => "its SHA-256 does not match the signed one".to_owned(),
                Err(reason) => reason,
            };
        tried.push(Tried { url, reason });
    }
    Err(tried)
}

/// Size and digest of what an address of the recipe's holds, without keeping it.
pub(super) fn measure(asking: &Asking<'_>, url: &str, limit: u64) -> Result<(u64, Digest), Tried> {
    let mut measure = Measure { asking, hasher: Hasher::new(std::io::sink()) };
    match pour(asking, &Request { url, from: 0, stated: Stated::Recipe }, Length::AtMost(limit), &mut measure) {
        Ok(()) => {
            let (_, digest, size) = measure.hasher.finish();
            Ok((size, digest))
        }
        Err(reason) => Err(Tried { url: url.to_owned(), reason }),
    }
}

/// Each try begins anew: without a digest nobody could tell whether two halves belong together.
fn pour(
    asking: &Asking<'_>,
    request: &Request<'_>,
    length: Length,
    sink: &mut impl Sink<Error = Infallible>,
) -> Result<(), String> {
    let poured = asking.downloader.insist(
        request.url,
        || 0,
        || {
            sink.restart().map_err(Refusal::Fatal)?;
            asking.downloader.pour(request, length, sink)
        },
    );
    poured.map_err(|refusal| match refusal {
        Refusal::Again(why) | Refusal::Useless(why) => why,
        Refusal::Stopped => "interrupted".to_owned(),
        Refusal::Fatal(never) => match never {},
    })
}

/// A body that is kept.
struct Body<'a> {
    asking: &'a Asking<'a>,
    bytes: Vec<u8>,
}

impl Sink for Body<'_> {
    type Error = Infallible;

    fn have(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn restart(&mut self) -> Result<(), Infallible> {
        self.bytes.clear();
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(piece);
        self.asking.report(Progress::Received { bytes: piece.len() as u64 });
        Ok(())
    }
}

/// A body that is only looked at.
struct Measure<'a> {
    asking: &'a Asking<'a>,
    hasher: Hasher<std::io::Sink>,
}

impl Sink for Measure<'_> {
    type Error = Infallible;

    fn have(&self) -> u64 {
        self.hasher.count()
    }

    fn restart(&mut self) -> Result<(), Infallible> {
        self.hasher = Hasher::new(std::io::sink());
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Infallible> {
        // A sink takes everything.
        let _ = self.hasher.write_all(piece);
        self.asking.report(Progress::Received { bytes: piece.len() as u64 });
        Ok(())
    }
}
