//! One suite: its signed `InRelease`, checked, and its indexes by the digests in it.

use std::collections::BTreeMap;

use super::error::{ResolveError, Tried};
use super::{Asking, Progress, fetch, index};
use crate::base::{ByteSize, Digest, Timestamp};
use crate::debian::keyring::{Keyring, MAX_SIGNED};
use crate::debian::packages::Index;
use crate::debian::release::Release;
use crate::lock::{LockedArchive, LockedFile};
use crate::recipe::Recipe;
use crate::recipe::archive::Archive;
use crate::recipe::content::MAX_HELD;

/// So many packages that were left out are named.
const SHOWN: usize = 5;

/// A suite as it is now.
pub(super) struct Loaded {
    /// What the lock will say of it, but for the snapshot's timestamp.
    pub(super) locked: LockedArchive,
    /// What it offers, by component.
    pub(super) indexes: Vec<Index>,
    pub(super) release: Release,
    /// What locks had as the digest of this state before it became that of the signed text: the digest of the document.
    document: Digest,
}

impl Loaded {
    /// Whether a lock was made from this very state of the archive.
    pub(super) fn is_state_of(&self, locked: &LockedArchive) -> bool {
        [self.locked.inrelease, self.document].contains(&locked.inrelease)
    }
}

/// Fetches and checks a suite. `previous` is the state that a lock was made from, which must not be newer.
pub(super) fn load(
    context: &Asking<'_>,
    recipe: &Recipe,
    archive: &Archive,
    previous: Option<&LockedArchive>,
) -> Result<Loaded, ResolveError> {
    context.report(Progress::Archive { name: archive.name.clone() });
    let keyring = keyring(recipe, archive)?;
    let signed = release(context, archive, &keyring, previous)?;
    let mut files = BTreeMap::new();
    let mut indexes = Vec::new();
    let components = archive.components.iter().map(|name| Some(name.as_str()));
    for component in components.chain(archive.is_flat().then_some(None)) {
        let index = index::component(context, archive, &signed.release, component, &mut files)?;
        left_out(context, archive, &index);
        indexes.push(index);
    }
    let Signed { release, digest, document, signers } = signed;
    let locked = LockedArchive {
        suite: archive.suite.clone(),
        components: archive.components.clone(),
        architecture: archive.architecture,
        repository: archive.repository.clone(),
        snapshot: release.date,
        inrelease: digest,
        signed_by: signers,
        date: release.date,
        valid_until: release.valid_until,
        indexes: files.into_iter().map(|(path, (size, sha256))| (path, LockedFile { size, sha256 })).collect(),
    };
    Ok(Loaded { locked, indexes, release, document })
}

/// One warning for all stanzas of an index that cannot be used: whoever requests one of those packages gets an error, where no other entry is as new.
fn left_out(context: &Asking<'_>, archive: &Archive, index: &Index) {
    let all: Vec<String> = index.unusable().map(|one| format!("{} ({})", one.package, one.reason)).collect();
    if all.is_empty() {
        return;
    }
    let more = if all.len() > SHOWN { format!(", and {} more", all.len() - SHOWN) } else { String::new() };
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let name = &archive.name;
    let message = format!("archive `{name}`: packages whose entries cannot be used are left out: {shown}{more}");
    context.report(Progress::Warning { message });
}

struct Signed {
    release: Release,
    digest: Digest,
    document: Digest,
    signers: Vec<String>,
}

/// The digest of a signed text, the same whether a mirror has it in `InRelease` or in `Release`: a cleartext signature
/// leaves out the white space at the ends of lines, and the end of the last one (RFC 9580, section 7.2).
fn digest_of(text: &str) -> Digest {
    let lines: String = text.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Digest::of(lines.as_bytes())
}

fn keyring(recipe: &Recipe, archive: &Archive) -> Result<Keyring, ResolveError> {
    let wrong = |problem: String| ResolveError::Keys { archive: archive.name.clone(), problem };
    let mut keyring = Keyring::default();
    for path in &archive.keys {
        let file = recipe.files.get(path).ok_or_else(|| wrong(format!("key file {path} is not part of the recipe")))?;
        let large = || {
            wrong(format!("{path} has {} bytes, more than a file of keys may have ({})", file.size, ByteSize(MAX_HELD)))
        };
        keyring.add(path, file.bytes().ok_or_else(large)?).map_err(|error| wrong(error.to_string()))?;
    }
    if archive.keys.is_empty() { Err(wrong("no keys are listed".to_owned())) } else { Ok(keyring) }
}

/// A signed document as it was fetched.
struct Document {
    url: String,
    bytes: Vec<u8>,
    /// `Release.gpg`, where the signature is not in the document itself.
    signature: Option<Vec<u8>>,
}

/// The first `InRelease` that passes every check, or `Release` with `Release.gpg` of a mirror without one; when none does, the
/// first that failed one says why.
fn release(
    context: &Asking<'_>,
    archive: &Archive,
    keyring: &Keyring,
    previous: Option<&LockedArchive>,
) -> Result<Signed, ResolveError> {
    let (mut tried, mut refused) = (Vec::new(), None);
    for directory in fetch::directories(context, archive) {
        let Some(document) = document(context, &directory, &mut tried) else { continue };
        match check(context, archive, keyring, previous, &document) {
            Ok(signed) => {
                if let Some(error) = refused {
                    context.report(Progress::Warning { message: format!("passed over: {error}") });
                }
                return Ok(signed);
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let what = format!("InRelease, or Release and Release.gpg, of {} (archive `{}`)", archive.suite, archive.name);
    Err(refused.unwrap_or(ResolveError::Unreachable { what, tried }))
}

fn document(context: &Asking<'_>, directory: &str, tried: &mut Vec<Tried>) -> Option<Document> {
    let mut get = |name: &str| {
        let url = format!("{directory}{name}");
        match fetch::whole(context, &url, MAX_SIGNED) {
            Ok(bytes) => Some((url, bytes)),
            Err(reason) => {
                tried.push(Tried { url, reason });
                None
            }
        }
    };
    if let Some((url, bytes)) = get("InRelease") {
        return Some(Document { url, bytes, signature: None });
    }
    let (url, bytes) = get("Release")?;
    let (_, signature) = get("Release.gpg")?;
    Some(Document { url, bytes, signature: Some(signature) })
}

fn check(
    context: &Asking<'_>,
    archive: &Archive,
    keyring: &Keyring,
    previous: Option<&LockedArchive>,
    document: &Document,
) -> Result<Signed, ResolveError> {
    let (name, url, now) = (archive.name.clone(), document.url.clone(), context.world.now());
    let verified = match &document.signature {
        None => keyring.verify(&document.bytes, now),
        Some(signature) => keyring.verify_detached(&document.bytes, signature, now),
    };
    let verified =
        verified.map_err(|source| ResolveError::Signature { archive: name.clone(), url: url.clone(), source })?;
    let release = Release::parse(&verified.text).map_err(|source| ResolveError::Release {
        archive: name.clone(),
        url: url.clone(),
        source,
    })?;
    // The directory of a flat repository is no suite's name.
    if !archive.is_flat() && !release.is_suite(&archive.suite) {
        let found = release.codename.clone().or(release.suite.clone()).unwrap_or_else(|| "without a name".to_owned());
        return Err(ResolveError::WrongSuite { archive: name, url, asked: archive.suite.clone(), found });
    }
    if let Some(until) = release.valid_until.filter(|until| *until < now) {
        if archive.check_valid_until {
            return Err(ResolveError::Expired { archive: name, url, until, now });
        }
        let message = format!("archive `{name}` expired on {until}; accepted because of `check-valid-until = false`");
        context.report(Progress::Warning { message });
    }
    let same = previous.filter(|locked| locked.suite == archive.suite && locked.repository == archive.repository);
    if let Some(locked) = same.map(|locked| locked.date).filter(|locked: &Timestamp| *locked > release.date) {
        return Err(ResolveError::RolledBack { archive: name, url, locked, offered: release.date });
    }
    if release.is_nameless() && !archive.is_flat() {
        let message =
            format!("archive `{name}`: {url} names neither its suite nor its code name: it could be of another");
        context.report(Progress::Warning { message });
    }
    let (digest, document) = (digest_of(&verified.text), Digest::of(&document.bytes));
    Ok(Signed { release, digest, document, signers: verified.signers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_text_is_that_of_its_words_and_lines() {
        let digest = digest_of("Suite: stable\nSHA256:\n abc 1 x\n");
        for same in ["Suite: stable \nSHA256:\n abc 1 x", "Suite: stable\r\nSHA256:\t\r\n abc 1 x\n\n"] {
            assert_eq!(digest_of(same), digest, "{same:?}");
        }
        for other in ["Suite: stable\nSHA256:\nabc 1 x\n", "Suite: stable\n\nSHA256:\n abc 1 x\n"] {
            assert_ne!(digest_of(other), digest, "{other:?}");
        }
    }
}
