//! One suite: its signed `InRelease`, checked, and its indexes by the digests in it.

use std::collections::BTreeMap;

use super::error::{ResolveError, Tried};
use super::{Asking, Progress, fetch, index};
use crate::base::{Digest, Timestamp};
use crate::debian::keyring::{Keyring, MAX_SIGNED};
use crate::debian::packages::Index;
use crate::debian::release::Release;
use crate::lock::{LockedArchive, LockedFile};
use crate::recipe::Recipe;
use crate::recipe::archive::Archive;

/// A suite as it is now.
pub(super) struct Loaded {
    /// What the lock will say of it, but for the snapshot's timestamp.
    pub(super) locked: LockedArchive,
    /// What it offers, by component.
    pub(super) indexes: Vec<Index>,
    pub(super) release: Release,
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
    for component in &archive.components {
        indexes.push(index::component(context, archive, &signed.release, component, &mut files)?);
    }
    let Signed { release, digest, signers } = signed;
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
    Ok(Loaded { locked, indexes, release })
}

struct Signed {
    release: Release,
    digest: Digest,
    signers: Vec<String>,
}

fn keyring(recipe: &Recipe, archive: &Archive) -> Result<Keyring, ResolveError> {
    let wrong = |problem: String| ResolveError::Keys { archive: archive.name.clone(), problem };
    let mut keyring = Keyring::default();
    for path in &archive.keys {
        let file = recipe.files.get(path).ok_or_else(|| wrong(format!("key file {path} is not part of the recipe")))?;
        keyring.add(path, &file.bytes).map_err(|error| wrong(error.to_string()))?;
    }
    if archive.keys.is_empty() { Err(wrong("no keys are listed".to_owned())) } else { Ok(keyring) }
}

/// The first `InRelease` that passes every check; when none does, the first that failed one says why.
fn release(
    context: &Asking<'_>,
    archive: &Archive,
    keyring: &Keyring,
    previous: Option<&LockedArchive>,
) -> Result<Signed, ResolveError> {
    let (mut tried, mut refused) = (Vec::new(), None);
    for url in fetch::urls(context, archive, "InRelease") {
        let bytes = match fetch::whole(context, &url, MAX_SIGNED) {
            Ok(bytes) => bytes,
            Err(reason) => {
                tried.push(Tried { url, reason });
                continue;
            }
        };
        match check(context, archive, keyring, previous, (&url, &bytes)) {
            Ok(signed) => {
                if let Some(error) = refused {
                    context.report(Progress::Warning { message: format!("passed over: {error}") });
                }
                return Ok(signed);
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let what = format!("InRelease of {} (archive `{}`)", archive.suite, archive.name);
    Err(refused.unwrap_or(ResolveError::Unreachable { what, tried }))
}

fn check(
    context: &Asking<'_>,
    archive: &Archive,
    keyring: &Keyring,
    previous: Option<&LockedArchive>,
    (url, bytes): (&str, &[u8]),
) -> Result<Signed, ResolveError> {
    let (name, url, now) = (archive.name.clone(), url.to_owned(), context.world.now());
    let verified = keyring.verify(bytes, now).map_err(|source| ResolveError::Signature {
        archive: name.clone(),
        url: url.clone(),
        source,
    })?;
    let release = Release::parse(&verified.text).map_err(|source| ResolveError::Release {
        archive: name.clone(),
        url: url.clone(),
        source,
    })?;
    if !release.is_suite(&archive.suite) {
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
    Ok(Signed { release, digest: Digest::of(bytes), signers: verified.signers })
}
