//! What others say of an artifact: manifests with it as their subject. Registries that do not list them by themselves have an index
//! of them under a tag that is the subject's digest (the fallback of the distribution specification 1.1).

use super::manifest::{ArtifactManifest, Descriptor, INDEX_TYPE, ImageIndex, MANIFEST_LIMIT, MANIFEST_TYPE};
use super::registry::Registry;
use super::send::{Ask, encoded};
use super::{OciDigest, OciError};
use crate::world::{HttpAnswer, HttpMethod, is_same_server, joined_url};

/// What tags of such indexes begin with.
pub(super) const FALLBACK: &str = "sha256-";
/// Pages of a list that are read.
const MAX_PAGES: usize = 32;

/// Whether a list was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnd {
    Whole,
    /// It goes on: for too many pages, on another server, or with what is no page.
    Cut,
}

/// What a registry lists.
pub struct ReferrerList {
    pub manifests: Vec<Descriptor>,
    pub end: ListEnd,
}

impl Registry<'_> {
    /// Manifests of a type that say something of an artifact; those that say so are still to be read.
    pub fn referrers(&self, subject: OciDigest, artifact_type: &str) -> Result<ReferrerList, OciError> {
        let mut url = self.url(&format!("referrers/{subject}?artifactType={}", encoded(artifact_type)));
        let (mut manifests, mut end) = (Vec::new(), ListEnd::Cut);
        for page in 0..MAX_PAGES {
            let (index, answer) = self.page(&url)?;
            match index {
                Some(index) => manifests.extend(index.manifests),
                None if page == 0 => {
                    manifests.extend(self.fallback(subject)?.into_iter().flat_map(|index| index.manifests));
                    end = ListEnd::Whole;
                    break;
                }
                None => break,
            }
            match next(&answer) {
                None => {
                    end = ListEnd::Whole;
                    break;
                }
                Some(link) => match joined_url(&url, link).filter(|link| is_same_server(&url, link)) {
                    Some(link) => url = link,
                    None => break,
                },
            }
        }
        manifests.retain(|one| one.artifact_type.as_deref() == Some(artifact_type));
        Ok(ReferrerList { manifests, end })
    }

    fn page(&self, url: &str) -> Result<(Option<ImageIndex>, HttpAnswer), OciError> {
        let accept = vec![("accept", INDEX_TYPE.to_owned())];
        let answer = self.read(Ask { headers: accept, limit: MANIFEST_LIMIT, ..Ask::new(HttpMethod::Get, url) })?;
        let listed =
            answer.status == 200 && answer.header("content-type").is_some_and(|kind| kind.starts_with(INDEX_TYPE));
        let index = if listed { Some(ImageIndex::read(url, &answer.body)?) } else { None };
        Ok((index, answer))
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
        let mut listed = Descriptor::of_artifact(&text, &manifest.artifact_type);
        listed.annotations.clone_from(&manifest.annotations);
        index.manifests.push(listed);
        self.put_manifest(&tag(subject), INDEX_TYPE, &index.write()).map(drop)
    }
}

fn tag(subject: OciDigest) -> String {
    format!("{FALLBACK}{}", subject.0)
}

/// The address of the page after this one: `Link: <...>; rel="next"`.
fn next(answer: &HttpAnswer) -> Option<&str> {
    answer.all("link").find_map(next_of)
}

fn next_of(link: &str) -> Option<&str> {
    link.split('<').find_map(|one| {
        let (address, about) = one.split_once('>')?;
        let about = about.to_ascii_lowercase().replace(['"', ' '], "");
        about.split([';', ',']).any(|word| word == "rel=next").then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_told_from_others() {
        for (link, expected) in [
            ("</v2/x?n=1>; rel=\"next\"", Some("/v2/x?n=1")),
            ("</a,b>; rel=\"prev\", </c>;REL=next", Some("/c")),
            ("</a>; rel=\"prev\"", None),
            ("next", None),
        ] {
            assert_eq!(next_of(link), expected, "{link}");
        }
    }
}
