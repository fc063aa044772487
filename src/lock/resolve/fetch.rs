//! Getting a file whose size is bounded from the first place that has it.

use std::convert::Infallible;
use std::io::Write;

use super::error::Tried;
use super::{Asking, Progress};
use crate::base::{Digest, Hasher};
use crate::recipe::archive::Archive;
use crate::world::download::{Length, Nobody, Refusal, ServerAnswer, Sink};
use crate::world::{HttpRequest, Stated};

/// URLs of a file below a suite's directory, in the order in which they are asked. The snapshot service stands last, at this
/// moment.
pub(super) fn urls(context: &Asking<'_>, archive: &Archive, path: &str) -> Vec<String> {
    directories(context, archive).into_iter().map(|directory| format!("{directory}{path}")).collect()
}

/// Where a suite's `InRelease` is, on each mirror: `.../dists/trixie/`, or the directory itself of a flat repository.
pub(super) fn directories(context: &Asking<'_>, archive: &Archive) -> Vec<String> {
    let bases = context.mirrors.bases(&archive.repository, &[context.world.now()]);
    let below = match archive.suite.as_str() {
        "./" => String::new(),
        suite if archive.is_flat() => suite.to_owned(),
        suite => format!("dists/{suite}/"),
    };
    bases.into_iter().map(|base| format!("{base}/{below}")).collect()
}

/// The whole body of an address of the user's, refused beyond `limit`.
pub(super) fn whole(asking: &Asking<'_>, url: &str, limit: u64) -> Result<Vec<u8>, String> {
    let body = |url: &str| {
        let mut body = Body { asking, bytes: Vec::new() };
        asking.downloader.pour(
            &HttpRequest { url, from: 0, stated: Stated::User, authorization: None },
            Length::AtMost(limit),
            &mut body,
        )?;
        Ok(body.bytes)
    };
    first(asking, vec![url.to_owned()], body).map_err(|tried| last(tried).reason)
}

/// The first answer with the right size and digest.
pub(super) fn exact(asking: &Asking<'_>, urls: Vec<String>, size: u64, digest: &Digest) -> Result<Vec<u8>, Vec<Tried>> {
    first(asking, urls, |url| {
        let mut body = Body { asking, bytes: Vec::new() };
        asking.downloader.pour(
            &HttpRequest { url, from: 0, stated: Stated::User, authorization: None },
            Length::Exactly(size),
            &mut body,
        )?;
        match Digest::of(&body.bytes) == *digest {
            true => Ok(body.bytes),
            false => Err(Refusal::Useless("its SHA-256 does not match the signed one".to_owned())),
        }
    })
}

/// Size and digest of what an address of the recipe's holds, without keeping it. Where the recipe says the digest, mirrors
/// may have it, too.
pub(super) fn measure(
    asking: &Asking<'_>,
    url: &str,
    stated: Option<Digest>,
    limit: u64,
) -> Result<(u64, Digest), Vec<Tried>> {
    let own = url;
    let measured = |url: &str| {
        let mut measure = Measure { asking, hasher: Hasher::new(std::io::sink()) };
        asking.downloader.pour(
            &HttpRequest { url, from: 0, stated: Stated::Recipe, authorization: None },
            Length::AtMost(limit),
            &mut measure,
        )?;
        let (_, digest, size) = measure.hasher.finish();
        match stated.is_some_and(|stated| stated != digest) && url != own {
            true => Err(Refusal::Useless("its SHA-256 is not the one that the recipe states".to_owned())),
            false => Ok((size, digest)),
        }
    };
    let urls = if stated.is_some() { asking.mirrors.copies(own) } else { vec![own.to_owned()] };
    first(asking, urls, measured)
}

/// Asks places in turn. Each try begins anew: without a digest nobody could tell whether two halves belong together.
fn first<T>(
    asking: &Asking<'_>,
    urls: Vec<String>,
    attempt: impl FnMut(&str) -> Result<T, Refusal<Infallible>>,
) -> Result<T, Vec<Tried>> {
    asking.downloader.first(urls, || 0, attempt).map_err(|nobody| match nobody {
        Nobody::Asked(answers) => {
            answers.into_iter().map(|ServerAnswer { url, why, .. }| Tried { url, reason: why }).collect()
        }
        // Nothing calls these downloads off.
        Nobody::Stopped => Vec::new(),
        Nobody::Fatal(never) => match never {},
    })
}

/// The answer of the one place that was asked.
fn last(tried: Vec<Tried>) -> Tried {
    tried.into_iter().next_back().unwrap_or_else(|| Tried { url: String::new(), reason: "interrupted".to_owned() })
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
