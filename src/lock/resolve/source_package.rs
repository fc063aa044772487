//! Debian source packages: which version an archive has, and with which files.
//!
//! Input: the signed `Sources` indexes of a recipe's archives. Output: the files that a recipe asks for, with their digests.

use std::collections::BTreeMap;

use super::archive::Loaded;
use super::error::ResolveError;
use super::{Asking, index};
use crate::debian::archive::ArchiveRef;
use crate::debian::control::{self, Stanzas};
use crate::debian::packages::is_inside;
use crate::debian::version;
use crate::lock::{LockedFile, LockedSource, LockedSourceFile, SourcePlace};
use crate::recipe::Recipe;
use crate::recipe::packages::source::{DebianPart, DebianSource};

/// A source package that a kernel or build asks for.
pub(super) struct Asked<'a> {
    /// Its name.
    pub(super) owner: &'a str,
    pub(super) source: &'a DebianSource,
}

/// The files that are asked for, of the highest version among the archives or of the stated one.
pub(super) fn find(
    context: &Asking<'_>,
    recipe: &Recipe,
    loaded: &BTreeMap<&str, Loaded>,
    asked: &Asked<'_>,
) -> Result<LockedSource, ResolveError> {
    let Asked { owner, source: source @ DebianSource { request, archives, .. } } = *asked;
    let mut best: Option<(String, LockedSource)> = None;
    let allowed = |name: &&String| request.archive.as_ref().is_none_or(|asked| asked == *name);
    for name in archives.iter().filter(allowed) {
        let (Some(loaded), Some(archive)) = (loaded.get(name.as_str()), recipe.archives.get(name)) else { continue };
        let mut wanted: Vec<String> = archive.components.iter().map(|name| format!("{name}/source/Sources")).collect();
        wanted.extend(archive.is_flat().then(|| "Sources".to_owned()));
        for path in wanted {
            let Some(signed) = index::find(&loaded.release, &path) else { continue };
            let bytes = index::bytes(context, archive, &loaded.release, &signed)?;
            index::unpack(archive, &signed, &bytes, &mut |text| {
                let mut stanzas = Stanzas::new(text);
                let broken =
                    |reason: String| ResolveError::Index { archive: name.clone(), path: signed.path.clone(), reason };
                while let Some(stanza) = stanzas.advance_lossy().map_err(|error| broken(error.to_string()))? {
                    if control::field(stanza, "Package") != Some(&request.name) {
                        continue;
                    }
                    let found = control::field(stanza, "Version").unwrap_or("").to_owned();
                    let asked = request.version.as_ref().is_none_or(|asked| *asked == found);
                    let better = best.as_ref().is_none_or(|(known, _)| version::compare(&found, known).is_gt());
                    if asked && better {
                        let files = files(name, stanza).ok_or_else(|| {
                            broken(format!("{} {found}: files without a digest or a path", request.name))
                        })?;
                        best = Some((found, files));
                    }
                }
                Ok(())
            })?;
        }
    }
    let wrong = |problem: String| ResolveError::Source { owner: owner.to_owned(), problem };
    let Some((found, mut locked)) = best else {
        let version = request.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        return Err(wrong(format!("no source package {}{version} in {}", request.name, archives.join(", "))));
    };
    locked.files.retain(|file, _| source.has(file));
    match (source.part, locked.files.len()) {
        (DebianPart::Whole, _) | (DebianPart::Tarball, 1) => Ok(locked),
        (DebianPart::Tarball, count) => {
            let problem =
                format!("source package {} {found} has {count} original tarballs instead of one", request.name);
            Err(wrong(problem))
        }
    }
}

/// The files of a `Sources` stanza.
fn files(archive: &str, stanza: &str) -> Option<LockedSource> {
    // Flat repositories say `.`, and leave it out.
    let directory = control::field(stanza, "Directory").unwrap_or(".");
    let directory = directory.trim_start_matches("./").trim_end_matches('/');
    let mut files = BTreeMap::new();
    for line in control::field(stanza, "Checksums-Sha256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (digest, size, name) = (words.next()?, words.next()?, words.next()?);
        let path = if matches!(directory, "" | ".") { name.to_owned() } else { format!("{directory}/{name}") };
        if name.contains('/') || !is_inside(&path) {
            return None;
        }
        let file = LockedFile { size: size.parse().ok()?, sha256: digest.parse().ok()? };
        let place = SourcePlace::Archive { archive: ArchiveRef::current(archive), path };
        files.insert(name.to_owned(), LockedSourceFile { place, file });
    }
    files.keys().any(|name| name.ends_with(".dsc")).then_some(LockedSource { files })
}
