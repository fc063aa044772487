//! Getting a file whose size is bounded from the first place that has it.

use std::io::Read;

use super::error::Tried;
use super::{Context, Progress};
use crate::base::{Digest, Hasher};

/// Bytes between two reports.
const STEP: usize = 1 << 18;

/// The whole body of a URL, refused beyond `limit`.
pub(super) fn whole(context: &Context<'_>, url: &str, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    stream(context, url, limit, &mut bytes)?;
    Ok(bytes)
}

/// Copies the body of a URL, refused beyond `limit`; its size.
fn stream(context: &Context<'_>, url: &str, limit: u64, out: &mut impl std::io::Write) -> Result<u64, String> {
    let answer = context.world.get(url, 0).map_err(|error| match error {
        crate::world::WorldError::Fetch { reason, .. } => reason,
        other => other.to_string(),
    })?;
    if answer.length.is_some_and(|length| length > limit) {
        return Err(format!("more than the {limit} bytes that it may have"));
    }
    let expected = answer.length;
    let mut body = answer.body.take(limit.saturating_add(1));
    let (mut buffer, mut total) = (vec![0; STEP], 0);
    loop {
        let read = body.read(&mut buffer).map_err(|error| format!("the connection broke: {error}"))?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > limit {
            return Err(format!("more than the {limit} bytes that it may have"));
        }
        out.write_all(&buffer[..read]).map_err(|error| error.to_string())?;
        context.report(Progress::Received { bytes: read as u64 });
    }
    match expected {
        Some(length) if length != total => Err(format!("the connection ended after {total} of {length} bytes")),
        _ => Ok(total),
    }
}

/// The first answer with the right size and digest.
pub(super) fn exact(
    context: &Context<'_>,
    urls: impl Iterator<Item = String>,
    size: u64,
    digest: &Digest,
) -> Result<Vec<u8>, Vec<Tried>> {
    let mut tried = Vec::new();
    for url in urls {
        let reason = match whole(context, &url, size) {
            Ok(bytes) if bytes.len() as u64 != size => format!("{} bytes instead of {size}", bytes.len()),
            Ok(bytes) if Digest::of(&bytes) != *digest => "its SHA-256 is not the signed one".to_owned(),
            Ok(bytes) => return Ok(bytes),
            Err(reason) => reason,
        };
        tried.push(Tried { url, reason });
    }
    Err(tried)
}

/// Size and digest of what a URL holds, without keeping it.
pub(super) fn measure(context: &Context<'_>, url: &str, limit: u64) -> Result<(u64, Digest), Tried> {
    let mut hasher = Hasher::new(std::io::sink());
    match stream(context, url, limit, &mut hasher) {
        Ok(_) => {
            let (_, digest, size) = hasher.finish();
            Ok((size, digest))
        }
        Err(reason) => Err(Tried { url: url.to_owned(), reason }),
    }
}
