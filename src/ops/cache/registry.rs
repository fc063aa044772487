//! A cache in a repository of a container registry: each file of the cache is an artifact with one layer, under a tag of its own.
//!
//! ```text
//! ACTION-KEY     what one key has signed of one action; the manifest has these bytes in it, so that one request reads them
//! blob-SHA256    a file, or the messages of a tree
//! tree-SHA256    the bytes of all files of a tree
//! ```
//!
//! Input: the name of a file of a cache, and who takes its bytes. Output: the bytes, that there is none, or what is wrong. A tag that
//! is missing is a miss; a registry that refuses, or does not answer in time, is down.

use std::time::{Duration, Instant};

use super::pour::{Part, PouredSink, ReadProblem, Reader, Take, poured, too_long};
use super::repository::RegistryPlace;
use crate::base::{Digest, base64};
use crate::oci::{ArtifactManifest, Descriptor, OciError};

/// The type of an artifact that is a file of a cache.
const FILE: &str = "application/vnd.kiln.cache.v1";
/// Types of its layer.
const RESULT: &str = "application/vnd.kiln.cache.result.v1+json";
const CONTENT: &str = "application/vnd.kiln.cache.content.v1+zstd";
/// A manifest must be there in this time, with whatever login the registry asks for.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A file piece by piece.
pub(super) fn pour(
    repository: &RegistryPlace,
    reader: &Reader<'_>,
    (part, name): (Part, &str),
    (most, take): (u64, Take<'_>),
) -> Result<(), ReadProblem> {
    let layer = layer(repository, reader, (part, name))?;
    if layer.size > most {
        return Err(too_long(most));
    }
    if let Some(bytes) = held(&layer)? {
        return take(&bytes);
    }
    let registry = repository.for_pulling(reader, reader.stop).map_err(|error| problem(error, reader))?;
    let mut sink = PouredSink::new(take);
    poured(&mut sink, &mut |sink| registry.pour_once(&layer, sink))
}

/// What the manifest of a file says that its bytes are.
fn layer(
    repository: &RegistryPlace,
    reader: &Reader<'_>,
    (part, name): (Part, &str),
) -> Result<Descriptor, ReadProblem> {
    #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
    let began = Instant::now();
    let stop = || (reader.stop)() || began.elapsed() > MANIFEST_TIMEOUT;
    let limited = Reader { world: reader.world, stop: &stop };
    let read =
        repository.for_pulling(&limited, &stop).and_then(|registry| registry.read_manifest(&tag(part, name), None));
    let Some((_, text)) = read.map_err(|error| problem(error, reader))? else { return Err(ReadProblem::Missing) };
    layer_of(part, &text).map_err(|error| problem(error, reader))
}

/// The only layer of the artifact that is a file of a cache.
pub(super) fn layer_of(part: Part, text: &[u8]) -> Result<Descriptor, OciError> {
    let what = "its manifest";
    let bad = |why: &str| Err(OciError::Invalid { what: what.to_owned(), problem: why.to_owned() });
    match <[Descriptor; 1]>::try_from(ArtifactManifest::read(what, FILE, text)?.layers) {
        Ok([layer]) if layer.media_type == kind(part) => Ok(layer),
        Ok(_) => bad("its layer is of another type"),
        Err(_) => bad("it has not exactly one layer"),
    }
}

/// What a file of a cache is as an artifact: its tag, its only layer, and the text of its manifest.
pub(in crate::ops) struct CacheArtifact {
    pub(in crate::ops) tag: String,
    pub(in crate::ops) layer: Descriptor,
    pub(in crate::ops) text: Vec<u8>,
}

impl CacheArtifact {
    /// What lists it.
    pub(in crate::ops) fn descriptor(&self) -> Descriptor {
        Descriptor::of_artifact(&self.text, FILE)
    }
}

impl CacheArtifact {
    /// Of content, whose digest and size are known.
    pub(in crate::ops) fn content((part, name): (Part, &str), digest: Digest, size: u64) -> CacheArtifact {
        CacheArtifact::of((part, name), Descriptor::new(kind(part), digest, size))
    }

    /// Of a result.
    pub(in crate::ops) fn result(name: &str, bytes: &[u8]) -> CacheArtifact {
        let layer = Descriptor::of(RESULT, bytes);
        CacheArtifact::of((Part::Results, name), Descriptor { data: Some(base64::encode(bytes)), ..layer })
    }

    fn of((part, name): (Part, &str), layer: Descriptor) -> CacheArtifact {
        let layer = layer.titled(&format!("{}/{name}", part.name()));
        let text = ArtifactManifest::new(FILE, vec![layer.clone()], [].into()).write();
        CacheArtifact { tag: tag(part, name), layer, text }
    }
}

fn kind(part: Part) -> &'static str {
    match part {
        Part::Results => RESULT,
        Part::Blobs | Part::Trees => CONTENT,
    }
}

/// `HEX.zst` and `ACTION-KEY.json` without their endings, which are tags of at most 128 characters.
pub(super) fn tag(part: Part, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    match part {
        Part::Results => stem.to_owned(),
        Part::Blobs => format!("blob-{stem}"),
        Part::Trees => format!("tree-{stem}"),
    }
}

/// The bytes of a layer that its manifest has in it.
pub(super) fn held(layer: &Descriptor) -> Result<Option<Vec<u8>>, ReadProblem> {
    let Some(data) = &layer.data else { return Ok(None) };
    match base64::decode(data) {
        Some(bytes) if (Digest::of(&bytes), bytes.len() as u64) == (layer.digest.0, layer.size) => Ok(Some(bytes)),
        _ => Err(ReadProblem::Bad("the bytes in its manifest are not those of its layer".to_owned())),
    }
}

/// What a failed request says of the file, or of the registry.
fn problem(error: OciError, reader: &Reader<'_>) -> ReadProblem {
    match error {
        OciError::Interrupted if (reader.stop)() => ReadProblem::Stopped,
        OciError::Interrupted => ReadProblem::Down(format!("did not answer within {} s", MANIFEST_TIMEOUT.as_secs())),
        error if error.is_mismatch() => ReadProblem::Bad(error.to_string()),
        error => ReadProblem::Down(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_tag_that_registries_accept() {
        let hex = "0123456789abcdef".repeat(4);
        let longest = tag(Part::Results, &format!("{hex}-ssh-{}.json", &hex[..32]));
        assert_eq!(longest, format!("{hex}-ssh-{}", &hex[..32]));
        assert!(longest.len() <= 128);
        assert_eq!(tag(Part::Blobs, &format!("{hex}.zst")), format!("blob-{hex}"));
        assert_eq!(tag(Part::Trees, &format!("{hex}.zst")), format!("tree-{hex}"));
    }

    #[test]
    fn bytes_in_a_manifest_are_compared_with_their_digest() {
        let artifact = CacheArtifact::result("x.json", b"signed");
        assert_eq!(held(&artifact.layer).unwrap().unwrap(), b"signed");
        for data in ["c2lnbmVE", "!", ""] {
            let layer = Descriptor { data: Some(data.to_owned()), ..artifact.layer.clone() };
            assert!(matches!(held(&layer), Err(ReadProblem::Bad(_))), "{data}");
        }
        assert!(held(&CacheArtifact::content((Part::Blobs, "x.zst"), Digest::of(b""), 0).layer).unwrap().is_none());
    }
}
