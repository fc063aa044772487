//! What is pushed: blobs in pieces that go on where the registry stopped, manifests, and blobs that another repository has.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::manifest::{Descriptor, MANIFEST_TYPE};
use super::registry::Registry;
use super::send::{Ask, encoded, server};
use super::{OciDigest, OciError, Upload};
use crate::world::{HttpAnswer, HttpMethod, WorldError, is_same_server, joined_url};

/// Bytes of a piece.
const CHUNK: u64 = 8 << 20;
/// A registry that wants larger pieces is refused: each one is held in memory.
const MAX_CHUNK: u64 = 64 << 20;
/// Times that an upload is taken up again while it makes no progress.
const MAX_RESUMES: u32 = 4;
/// Times that an upload is begun again.
const MAX_RESTARTS: u32 = 2;
/// Uploads at a time.
const PARALLEL: usize = 4;

/// An upload that a registry has begun.
struct Session {
    /// Where the next piece goes.
    location: String,
    /// Bytes that the registry has.
    at: u64,
    chunk: u64,
}

impl Registry<'_> {
    /// Pushes blobs, several at a time; the first failure ends it. `sent` hears how many bytes are there.
    pub fn put(&self, blobs: &[(&Descriptor, &Upload)], sent: &(dyn Fn(u64) + Sync)) -> Result<(), OciError> {
        let next = AtomicUsize::new(0);
        let error: Mutex<Option<OciError>> = Mutex::new(None);
        let failed = || error.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(blobs.len()) {
                scope.spawn(|| {
                    while let Some((descriptor, upload)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed() {
                            return;
                        }
                        if let Err(why) = self.put_blob(descriptor, upload, sent) {
                            error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                        }
                    }
                });
            }
        });
        error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn put_blob(&self, descriptor: &Descriptor, upload: &Upload, sent: &dyn Fn(u64)) -> Result<(), OciError> {
        let told = Cell::new(0);
        let tell = |reached: u64| {
            let reached = reached.max(told.get());
            sent(reached - told.replace(reached));
        };
        let mut restarts = 0;
        loop {
            let done = match self.has(descriptor)? {
                true => Ok(()),
                false => self.upload(descriptor, upload, &tell),
            };
            match done {
                Ok(()) => {
                    tell(descriptor.size);
                    return Ok(());
                }
                // It may have arrived all the same, which is asked next.
                Err(error) if restarts < MAX_RESTARTS && is_passing(&error) => restarts += 1,
                Err(error) => return Err(error),
            }
            self.ask_to_stop()?;
        }
    }

    fn upload(&self, descriptor: &Descriptor, upload: &Upload, tell: &dyn Fn(u64)) -> Result<(), OciError> {
        let Some(mut session) = self.begin(descriptor)? else { return Ok(()) };
        let (mut resumes, mut reached) = (0, 0);
        while session.at < descriptor.size && descriptor.size > session.chunk {
            match self.send_piece(&mut session, descriptor, upload) {
                Ok(()) => {}
                Err(error) if resumes < MAX_RESUMES && is_passing(&error) => {
                    resumes += 1;
                    self.ask_to_stop()?;
                    session = self.resume(&session, descriptor)?.ok_or(error)?;
                }
                Err(error) => return Err(error),
            }
            // A registry that forgets what it had makes no progress.
            if session.at > reached {
                (reached, resumes) = (session.at, 0);
            } else if resumes == 0 {
                return Err(server(&session.location, format!("still has {} bytes", session.at)));
            }
            tell(reached);
        }
        self.finish(&session, descriptor, upload)
    }

    /// Whether the repository has a blob.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let answer = self.send(Ask::new(HttpMethod::Head, &url))?;
        match answer.status {
            404 => return Ok(false),
            // A registry sends on to what it has.
            301 | 302 | 303 | 307 | 308 => return Ok(true),
            _ => {}
        }
        self.succeeded(HttpMethod::Head, &url, &answer)?;
        match answer.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            Some(size) if size != descriptor.size => {
                Err(server(&url, format!("has {size} bytes, expected {}", descriptor.size)))
            }
            _ => Ok(true),
        }
    }

    /// Begins an upload; nothing when the registry has taken the blob from another repository.
    fn begin(&self, descriptor: &Descriptor) -> Result<Option<Session>, OciError> {
        let mut url = self.url("blobs/uploads/");
        if let Some(from) = &self.access.mount_from {
            url.push_str(&format!("?mount={}&from={}", encoded(&descriptor.digest.to_string()), encoded(from)));
        }
        let headers = vec![("content-length", "0".to_owned())];
        let answer = self.send(Ask { headers, ..Ask::new(HttpMethod::Post, &url) })?;
        self.succeeded(HttpMethod::Post, &url, &answer)?;
        if answer.status == 201 && self.access.mount_from.is_some() {
            return Ok(None);
        }
        let least = answer.header("oci-chunk-min-length").and_then(|least| least.parse().ok()).unwrap_or(0);
        if least > MAX_CHUNK {
            return Err(server(&url, format!("it wants pieces of {least} bytes (limit {MAX_CHUNK})")));
        }
        Ok(Some(Session { location: self.location(&url, &answer)?, at: 0, chunk: CHUNK.max(least) }))
    }

    /// Where an upload goes on: a place of the same server, since the next request has the user's login and the file.
    fn location(&self, url: &str, answer: &HttpAnswer) -> Result<String, OciError> {
        let said = answer.header("location").unwrap_or_default();
        let next =
            joined_url(url, said).ok_or_else(|| server(url, format!("does not say where to upload to: {said:?}")))?;
        match is_same_server(url, &next) {
            true => Ok(next),
            false => Err(server(url, format!("sends the upload to another server: {next}"))),
        }
    }

    fn send_piece(&self, session: &mut Session, descriptor: &Descriptor, upload: &Upload) -> Result<(), OciError> {
        let size = session.chunk.min(descriptor.size - session.at);
        let body = upload.piece(session.at, size)?;
        let headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            ("content-range", format!("{}-{}", session.at, session.at + size - 1)),
        ];
        let url = session.location.clone();
        let answer = self.send(Ask { headers, body, ..Ask::new(HttpMethod::Patch, &url) })?;
        self.succeeded(HttpMethod::Patch, &url, &answer)?;
        session.location = self.location(&url, &answer)?;
        match received(&answer) {
            Some(at) if at > session.at + size => {
                Err(server(&url, format!("says it has {at} bytes of {}", session.at + size)))
            }
            Some(at) if at <= session.at => Err(server(&url, format!("still has {at} bytes"))),
            at => {
                session.at = at.unwrap_or(session.at + size);
                Ok(())
            }
        }
    }

    /// Asks how much of an upload has arrived; nothing if the registry has forgotten it.
    fn resume(&self, session: &Session, descriptor: &Descriptor) -> Result<Option<Session>, OciError> {
        let url = &session.location;
        let answer = self.send(Ask::new(HttpMethod::Get, url))?;
        if !(200..300).contains(&answer.status) {
            return Ok(None);
        }
        let Some(at) = received(&answer).filter(|at| *at <= descriptor.size) else { return Ok(None) };
        let location = self.location(url, &answer).unwrap_or_else(|_| url.clone());
        Ok(Some(Session { location, at, chunk: session.chunk }))
    }

    /// Gives an upload its digest, with what is still missing where that is all.
    fn finish(&self, session: &Session, descriptor: &Descriptor, upload: &Upload) -> Result<(), OciError> {
        let body = upload.piece(session.at, descriptor.size - session.at)?;
        let joint = if session.location.contains('?') { '&' } else { '?' };
        let digest = encoded(&descriptor.digest.to_string());
        let url = format!("{}{joint}digest={digest}", session.location);
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        let answer = self.send(Ask { headers, body, ..Ask::new(HttpMethod::Put, &url) })?;
        self.succeeded(HttpMethod::Put, &url, &answer)?;
        stored_as(&url, &answer, descriptor.digest)
    }

    /// Pushes a manifest, whose blobs are there, under a tag or its digest; whether the registry lists it by its subject.
    pub(super) fn put_manifest(&self, name: &str, media_type: &str, text: &[u8]) -> Result<bool, OciError> {
        let url = self.url(&format!("manifests/{name}"));
        let headers = vec![("content-type", media_type.to_owned())];
        let answer = self.send(Ask { headers, body: text.to_vec(), ..Ask::new(HttpMethod::Put, &url) })?;
        self.succeeded(HttpMethod::Put, &url, &answer)?;
        stored_as(&url, &answer, OciDigest::of(text))?;
        Ok(answer.header("oci-subject").is_some())
    }

    /// Pushes a manifest, whose blobs are there, under a tag.
    pub fn tag(&self, tag: &str, text: &[u8]) -> Result<(), OciError> {
        self.put_manifest(tag, MANIFEST_TYPE, text).map(drop)
    }
}

/// What a registry says that it stored must be what was sent.
fn stored_as(url: &str, answer: &HttpAnswer, digest: OciDigest) -> Result<(), OciError> {
    match answer.header("docker-content-digest").map(str::parse::<OciDigest>) {
        Some(Ok(found)) if found != digest => Err(server(url, format!("stored {found}, expected {digest}"))),
        _ => Ok(()),
    }
}

/// How many bytes a registry has of an upload: `Range: 0-99`.
fn received(answer: &HttpAnswer) -> Option<u64> {
    let range = answer.header("range")?;
    let (from, to) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    let last: u64 = to.parse().ok()?;
    // An empty upload is `0-0`, as is one of a single byte, which nobody sends as a piece.
    (from == "0").then(|| if last == 0 { 0 } else { last.saturating_add(1) })
}

/// Whether taking the upload up again may help.
fn is_passing(error: &OciError) -> bool {
    match error {
        OciError::World(WorldError::Fetch { .. } | WorldError::Busy { .. }) | OciError::Server { .. } => true,
        OciError::Status { status, .. } => matches!(status, 404 | 416 | 429 | 500..),
        _ => false,
    }
}
