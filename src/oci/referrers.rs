//! What others say of an artifact: manifests with it as their subject. Registries that do not list them by themselves have an index
//! of them under a tag that is the subject's digest (the fallback of the distribution specification 1.1).

use super::manifest::{ArtifactManifest, Descriptor, INDEX_TYPE, ImageIndex, MANIFEST_LIMIT, MANIFEST_TYPE};
use super::registry::Registry;
use super::send::{Ask, encoded};
use super::{OciDigest, OciError};
use crate::world::HttpMethod;

impl Registry<'_> {
    /// Manifests of a type that say something of an artifact; those that say so are still to be read.
    pub fn referrers(&self, subject: OciDigest, artifact_type: &str) -> Result<Vec<Descriptor>, OciError> {
        let url = self.url(&format!("referrers/{subject}?artifactType={}", encoded(artifact_type)));
        let accept = vec![("accept", INDEX_TYPE.to_owned())];
        let answer = self.read(Ask { headers: accept, limit: MANIFEST_LIMIT, ..Ask::new(HttpMethod::Get, &url) })?;
        let listed =
            answer.status == 200 && answer.header("content-type").is_some_and(|kind| kind.starts_with(INDEX_TYPE));
        let index = match listed {
            true => Some(ImageIndex::read(&url, &answer.body)?),
            false => self.fallback(subject)?,
        };
        let all = index.map(|index| index.manifests).unwrap_or_default();
        Ok(all.into_iter().filter(|one| one.artifact_type.as_deref() == Some(artifact_type)).collect())
    }

    /// The index under the subject's own tag, if there is one.
    fn fallback(&self, subject: OciDigest) -> Result<Option<ImageIndex>, OciError> {
        let tag = tag(subject);
        match self.read_manifest(&tag, None)? {
            Some((_, text)) => Ok(Some(ImageIndex::read(&self.url(&format!("manifests/{tag}")), &text)?)),
            None => Ok(None),
        }
    }

    /// Pushes a manifest that says something of an artifact; its blobs are there.
    pub fn refer(&self, subject: OciDigest, manifest: &ArtifactManifest) -> Result<(), OciError> {
        let text = manifest.write();
        let digest = OciDigest::of(&text);
        let is_listed = self.put_manifest(&digest.to_string(), MANIFEST_TYPE, &text)?;
        if is_listed {
            return Ok(());
        }
        let mut index = self.fallback(subject)?.unwrap_or_else(|| ImageIndex::new(Vec::new()));
        if index.manifests.iter().any(|known| known.digest == digest) {
            return Ok(());
        }
        index.manifests.push(Descriptor::of_artifact(&text, &manifest.artifact_type));
        self.put_manifest(&tag(subject), INDEX_TYPE, &index.write()).map(drop)
    }
}

fn tag(subject: OciDigest) -> String {
    format!("sha256-{}", subject.0)
}
