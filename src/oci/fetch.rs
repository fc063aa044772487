//! Reading a repository: manifests and blobs over HTTP, as the OCI distribution specification 1.1 has it.
//!
//! Input: tags, digests and descriptors. Output: manifests, and blobs; what is read whole is compared with what names it.

use std::cell::Cell;

use super::manifest::{Descriptor, INDEX_TYPE, MANIFEST_LIMIT, MANIFEST_TYPE};
use super::registry::Registry;
use super::send::{Ask, server};
use super::{OciDigest, OciError, Reference, RegistryReference, Which};
use crate::base::Digest;
use crate::world::download::{Length, Nobody, Refusal, Sink};
use crate::world::{HttpMethod, HttpRequest, Stated};

/// The types that docker gives to manifests and lists of them.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry says of the tags of a repository; some say `null` where there are none.
#[derive(serde::Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

impl Registry<'_> {
    /// A manifest, compared with the digest that it is asked by.
    pub fn manifest(&self, which: &Which) -> Result<(Descriptor, Vec<u8>), OciError> {
        let name = which.digest.map_or_else(|| which.tag().to_owned(), |digest| digest.to_string());
        let asked = RegistryReference { which: which.clone(), ..self.reference.clone() };
        let missing = || {
            let tags = if which.digest.is_none() { self.tags() } else { Vec::new() };
            OciError::NoArtifact { what: Reference::Registry(asked.clone()).to_string(), tags }
        };
        self.read_manifest(&name, which.digest)?.ok_or_else(missing)
    }

    /// The tags of the repository, for an error that has a reason already; none if the registry does not say.
    fn tags(&self) -> Vec<String> {
        let url = self.url("tags/list");
        let answer = self.read(Ask { limit: MANIFEST_LIMIT, ..Ask::new(HttpMethod::Get, &url) });
        let body = answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.body);
        let listed = body.and_then(|body| serde_json::from_slice::<TagList>(&body).ok());
        let mut tags = listed.and_then(|listed| listed.tags).unwrap_or_default();
        // What refers to an artifact is no artifact to pull.
        tags.retain(|tag| !tag.starts_with(super::referrers::FALLBACK));
        tags
    }

    /// The manifest of a tag or a digest, if there is one.
    pub fn read_manifest(
        &self,
        name: &str,
        expected: Option<OciDigest>,
    ) -> Result<Option<(Descriptor, Vec<u8>)>, OciError> {
        let text = self.accepted(name, (expected, format!("{MANIFEST_TYPE}, {INDEX_TYPE}")))?;
        Ok(text.map(|text| (Descriptor::of(MANIFEST_TYPE, &text), text)))
    }

    /// What a tag stands for, of whatever type: registries deny that there is one of a type that nobody accepts.
    pub fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, OciError> {
        self.accepted(tag, (None, format!("{MANIFEST_TYPE}, {INDEX_TYPE}, {DOCKER_MANIFEST}, {DOCKER_INDEX}, */*")))
    }

    fn accepted(
        &self,
        name: &str,
        (expected, types): (Option<OciDigest>, String),
    ) -> Result<Option<Vec<u8>>, OciError> {
        let url = self.url(&format!("manifests/{name}"));
        let accept = vec![("accept", types)];
        let answer = self.read(Ask { headers: accept, limit: MANIFEST_LIMIT, ..Ask::new(HttpMethod::Get, &url) })?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.succeeded(HttpMethod::Get, &url, &answer)?;
        let named = answer.header("docker-content-digest").and_then(|digest| digest.parse::<OciDigest>().ok());
        for OciDigest(expected) in expected.into_iter().chain(named) {
            let found = Digest::of(&answer.body);
            if found != expected {
                let size = answer.body.len() as u64;
                return Err(OciError::Wrong { what: url, expected, expected_size: size, found, found_size: size });
            }
        }
        Ok(Some(answer.body))
    }

    /// A small blob.
    pub fn small(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        let what = self.url(&format!("blobs/{}", descriptor.digest));
        if descriptor.size > limit {
            let problem = format!("has {} bytes (limit {limit})", descriptor.size);
            return Err(OciError::Invalid { what, problem });
        }
        let mut sink = Held(Vec::new());
        self.blob(descriptor, &mut sink)?;
        let (found, found_size) = (Digest::of(&sink.0), sink.0.len() as u64);
        if (found, found_size) == (descriptor.digest.0, descriptor.size) {
            return Ok(sink.0);
        }
        let (expected, expected_size) = (descriptor.digest.0, descriptor.size);
        Err(OciError::Wrong { what, expected, expected_size, found, found_size })
    }

    /// A manifest or a blob of somebody whose word nobody has taken yet: `limit` holds whatever size is stated, and nothing that is
    /// wrong with it counts against the registry.
    pub fn unproven(&self, kind: &str, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        let url = self.url(&format!("{kind}/{}", descriptor.digest));
        if descriptor.size > limit {
            let problem = format!("has {} bytes (limit {limit})", descriptor.size);
            return Err(OciError::Invalid { what: url, problem });
        }
        let headers = if kind == "manifests" { vec![("accept", MANIFEST_TYPE.to_owned())] } else { Vec::new() };
        let answer = self.read(Ask { headers, limit, ..Ask::new(HttpMethod::Get, &url) })?;
        self.succeeded(HttpMethod::Get, &url, &answer)?;
        let (found, found_size) = (Digest::of(&answer.body), answer.body.len() as u64);
        let (expected, expected_size) = (descriptor.digest.0, descriptor.size);
        if (found, found_size) == (expected, expected_size) {
            return Ok(answer.body);
        }
        Err(OciError::Wrong { what: url, expected, expected_size, found, found_size })
    }

    /// Some bytes of a blob. Whether they are the right ones is the caller's to judge.
    pub fn range(&self, descriptor: &Descriptor, (from, size): (u64, u64)) -> Result<Vec<u8>, OciError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let headers = vec![("range", format!("bytes={from}-{}", from + size - 1))];
        // One that sends the whole blob is told from one that sends what was asked for by its status, before its bytes are counted.
        let answer = self.read(Ask { headers, limit: size, ..Ask::new(HttpMethod::Get, &url) })?;
        self.succeeded(HttpMethod::Get, &url, &answer)?;
        match answer.status {
            206 if answer.body.len() as u64 == size => Ok(answer.body),
            206 => Err(server(&url, format!("sent {} bytes of a part of {size}", answer.body.len()))),
            _ => Err(server(&url, "does not send parts of files".to_owned())),
        }
    }

    /// Asks once for what a sink lacks of a blob.
    pub fn pour_once<S: Sink>(&self, descriptor: &Descriptor, sink: &mut S) -> Result<(), Refusal<S::Error>> {
        self.pour(&self.url(&format!("blobs/{}", descriptor.digest)), descriptor, sink)
    }

    fn pour<S: Sink>(&self, url: &str, descriptor: &Descriptor, sink: &mut S) -> Result<(), Refusal<S::Error>> {
        let shown = self.login.get();
        let request = HttpRequest { url, from: 0, stated: Stated::User, authorization: shown.as_deref() };
        self.downloader.pour(&request, Length::Exactly(descriptor.size), sink)
    }

    /// Has a blob poured into a sink, from where that is on; whether it is the right one is the caller's to judge.
    pub fn blob<S: Sink<Error = OciError>>(&self, descriptor: &Descriptor, sink: &mut S) -> Result<(), OciError> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        let (have, mut tries) = (Cell::new(sink.have()), 0);
        let poured = self.downloader.first(
            vec![url.clone()],
            || have.get(),
            |url| {
                if tries > 0 {
                    // A token may have expired; what else is wrong shows below.
                    let _ = self.send(Ask::new(HttpMethod::Head, url));
                }
                tries += 1;
                let poured = self.pour(url, descriptor, sink);
                have.set(sink.have());
                poured
            },
        );
        match poured {
            Ok(()) => Ok(()),
            Err(Nobody::Stopped) => Err(OciError::Interrupted),
            Err(Nobody::Fatal(error)) => Err(error),
            Err(Nobody::Asked(answers)) => {
                let answers: Vec<String> = answers.into_iter().map(|answer| format!("  {}", answer.why)).collect();
                Err(OciError::Fetch { what: url, answers: answers.join("\n") })
            }
        }
    }
}

/// A small blob as it comes.
struct Held(Vec<u8>);

impl Sink for Held {
    type Error = OciError;

    fn have(&self) -> u64 {
        self.0.len() as u64
    }

    fn restart(&mut self) -> Result<(), OciError> {
        self.0.clear();
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), OciError> {
        self.0.extend_from_slice(piece);
        Ok(())
    }
}
