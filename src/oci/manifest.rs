//! Manifests, indexes and descriptors, as the OCI image specification has them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OciError;
use crate::base::{Digest, base64};

/// No registry has to accept a larger manifest, and none is read.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// No manifest or index of more is read.
const MAX_DESCRIPTORS: usize = 10_000;
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The type of a configuration that there is none of.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
pub const EMPTY: &[u8] = b"{}";
/// The annotation with a file's name.
pub const TITLE: &str = "org.opencontainers.image.title";
/// The annotation with the tag of a manifest in an image layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// `sha256:` and 64 hexadecimal digits; registries that name content by another digest are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OciDigest(pub Digest);

/// Not a digest by SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a digest by SHA-256")]
pub struct NotAnOciDigest;

impl OciDigest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> OciDigest {
        OciDigest(Digest::of(bytes))
    }
}

impl FromStr for OciDigest {
    type Err = NotAnOciDigest;

    fn from_str(text: &str) -> Result<OciDigest, NotAnOciDigest> {
        text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()).map(OciDigest).ok_or(NotAnOciDigest)
    }
}

impl TryFrom<String> for OciDigest {
    type Error = NotAnOciDigest;

    fn try_from(text: String) -> Result<OciDigest, NotAnOciDigest> {
        text.parse()
    }
}

impl From<OciDigest> for String {
    fn from(digest: OciDigest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What names bytes: their type, digest and number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: OciDigest,
    pub size: u64,
    /// Of a manifest: what kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The bytes themselves, where they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// Of bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Of bytes that are elsewhere.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        let (media_type, digest) = (media_type.to_owned(), OciDigest(digest));
        Descriptor { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new(), data: None }
    }

    /// Of the text of an artifact's manifest.
    pub fn of_artifact(text: &[u8], artifact_type: &str) -> Descriptor {
        Descriptor { artifact_type: Some(artifact_type.to_owned()), ..Descriptor::of(MANIFEST_TYPE, text) }
    }

    /// With the name of a file.
    pub fn titled(mut self, title: &str) -> Descriptor {
        self.annotations.insert(TITLE.to_owned(), title.to_owned());
        self
    }

    /// The name of a file.
    pub fn title(&self) -> Option<&str> {
        self.annotations.get(TITLE).map(String::as_str)
    }
}

/// An artifact: files as layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactManifest {
    schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    #[serde(default)]
    pub artifact_type: String,
    config: Descriptor,
    pub layers: Vec<Descriptor>,
    /// The artifact that this one says something of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image that container programs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl ImageManifest {
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> ImageManifest {
        ImageManifest { schema_version: 2, media_type: MANIFEST_TYPE, config, layers }
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has only strings and numbers")
    }
}

/// Manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl ArtifactManifest {
    /// With an empty configuration.
    pub fn new(
        artifact_type: &str,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> ArtifactManifest {
        let config = Descriptor { data: Some(base64::encode(EMPTY)), ..Descriptor::of(EMPTY_TYPE, EMPTY) };
        ArtifactManifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config,
            layers,
            subject: None,
            annotations,
        }
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has only strings and numbers")
    }

    /// Reads a manifest of this type; `what` names it in errors.
    pub fn read(what: &str, artifact_type: &str, text: &[u8]) -> Result<ArtifactManifest, OciError> {
        let wrong = |problem: String| OciError::Invalid { what: what.to_owned(), problem };
        let kind = |kind: &str| match kind {
            "" => format!(
                "it has no artifact type, as container images have none, and not `{artifact_type}`: kiln did not push it"
            ),
            kind => format!("its type is `{kind}`, not `{artifact_type}`: kiln did not push it"),
        };
        let index: Result<ImageIndex, _> = serde_json::from_slice(text);
        let manifest: ArtifactManifest = match serde_json::from_slice(text) {
            Ok(manifest) => manifest,
            Err(_) if index.is_ok() => return Err(wrong("an index of several images, not one artifact".to_owned())),
            Err(error) => return Err(wrong(format!("not a manifest: {error}"))),
        };
        if manifest.schema_version != 2 || manifest.media_type != MANIFEST_TYPE {
            return Err(wrong(kind(&manifest.media_type)));
        }
        if manifest.artifact_type != artifact_type {
            return Err(wrong(kind(&manifest.artifact_type)));
        }
        match manifest.layers.len() {
            count if count > MAX_DESCRIPTORS => Err(wrong(format!("it has {count} layers (limit {MAX_DESCRIPTORS})"))),
            _ => Ok(manifest),
        }
    }
}

impl ImageIndex {
    pub fn new(manifests: Vec<Descriptor>) -> ImageIndex {
        ImageIndex { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests, annotations: BTreeMap::new() }
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index has only strings and numbers")
    }

    /// Reads an index; `what` names it in errors.
    pub fn read(what: &str, text: &[u8]) -> Result<ImageIndex, OciError> {
        let wrong = |problem: String| OciError::Invalid { what: what.to_owned(), problem };
        let index: ImageIndex =
            serde_json::from_slice(text).map_err(|error| wrong(format!("not an index: {error}")))?;
        match index.manifests.len() {
            count if count > MAX_DESCRIPTORS => {
                Err(wrong(format!("it has {count} manifests (limit {MAX_DESCRIPTORS})")))
            }
            _ if index.schema_version != 2 => Err(wrong(format!("it has schema version {}", index.schema_version))),
            _ => Ok(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_configuration_is_that_of_the_specification() {
        let manifest = ArtifactManifest::new("x/y", vec![], BTreeMap::new());
        let text = String::from_utf8(manifest.write()).unwrap();
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert!(text.contains(&format!("\"digest\":\"{digest}\",\"size\":2,\"data\":\"e30=\"")), "{text}");
        assert_eq!(ArtifactManifest::read("it", "x/y", &manifest.write()).unwrap(), manifest);
    }

    #[test]
    fn other_artifacts_and_digests_are_refused() {
        let manifest = ArtifactManifest::new("x/y", vec![Descriptor::of("a/b", b"x")], BTreeMap::new());
        let read = |text: &str| ArtifactManifest::read("it", "x/y", text.as_bytes()).unwrap_err().to_string();
        let text = String::from_utf8(manifest.write()).unwrap();
        assert!(read(&text.replace("x/y", "x/z")).contains("its type is `x/z`"));
        assert!(read(&text.replace("sha256:44", "sha512:44")).contains("expected a digest by SHA-256"));
        assert!(read(&text.replace("sha256:44", "sha256:../4")).contains("expected a digest by SHA-256"));
        assert!(read(&text.replace("\"size\":1", "\"size\":-1")).contains("not a manifest"));
        let index = String::from_utf8(ImageIndex::new(vec![]).write()).unwrap();
        assert!(read(&index).contains("an index of several images"));
    }
}
