//! Sources that are not binary packages: tarballs by URL, and Debian source packages.

use std::collections::BTreeMap;

use super::archive::Loaded;
use super::error::ResolveError;
use super::{Context, Progress, Update, fetch, index};
use crate::base::Digest;
use crate::debian::control::{self, Stanzas};
use crate::debian::packages::is_inside;
use crate::debian::version;
use crate::lock::{Lock, LockedFile, LockedSource};
use crate::recipe::Recipe;
use crate::recipe::kernel::{Kernel, Origin, Source};
use crate::recipe::packages::PackageRequest;

/// A kernel's tarball is about 150 MB; ten times that is refused.
const MAX_SOURCE: u64 = 2 << 30;

/// What a kernel's source is, when it is not a binary package.
fn origin(kernel: &Kernel) -> Option<&Source> {
    match &kernel.origin {
        Origin::Compiled(compiled) if !matches!(compiled.source, Source::Package(_)) => Some(&compiled.source),
        _ => None,
    }
}

/// Whether the lock's answer is still one to the recipe's question.
fn is_kept(source: &Source, locked: &LockedSource, update: &Update, kernel: &Kernel) -> bool {
    let moved = match update {
        Update::Keep => false,
        Update::All => true,
        Update::Some(names) => {
            names.contains(&kernel.name)
                || matches!(source, Source::DebianSource(request, _) if names.contains(&request.name))
        }
    };
    let mut files = locked.files.values();
    match source {
        Source::Url { url, digest } => files.next().is_some_and(|(from, file)| {
            from == url
                && match digest {
                    Some(digest) => *digest == file.sha256,
                    None => !moved,
                }
        }),
        Source::DebianSource(request, archives) => {
            let fits = |file: &str| {
                file.strip_suffix(".dsc").and_then(|stem| stem.split_once('_')).is_some_and(|(name, found)| {
                    let asked = request.version.as_deref().map(|version| version.rsplit(':').next().unwrap_or(version));
                    name == request.name && asked.is_none_or(|asked| asked == found)
                })
            };
            let from = |place: &str| archives.iter().any(|name| place.split(['@', ':']).next() == Some(name.as_str()));
            !moved && locked.files.keys().any(|file| fits(file)) && locked.files.values().all(|(place, _)| from(place))
        }
        Source::Package(_) => false,
    }
}

/// The archives whose source indexes must be read: those of Debian sources that the lock does not answer.
pub(super) fn archives<'a>(recipe: &'a Recipe, previous: Option<&Lock>, update: &Update) -> Vec<&'a str> {
    let mut names = Vec::new();
    for kernel in recipe.kernels.values() {
        let kept = |source| {
            previous
                .and_then(|lock| lock.sources.get(&kernel.source_name()))
                .is_some_and(|locked| is_kept(source, locked, update, kernel))
        };
        if let Some(source @ Source::DebianSource(_, archives)) = origin(kernel)
            && !kept(source)
        {
            names.extend(archives.iter().map(String::as_str));
        }
    }
    names
}

/// Every source of the recipe, by the name that lowering looks for.
pub(super) fn all(
    context: &Context<'_>,
    recipe: &Recipe,
    loaded: &BTreeMap<&str, Loaded>,
    previous: Option<&Lock>,
    update: &Update,
) -> Result<BTreeMap<String, LockedSource>, ResolveError> {
    let mut sources = BTreeMap::new();
    for kernel in recipe.kernels.values() {
        let Some(source) = origin(kernel) else { continue };
        let name = kernel.source_name();
        let locked = previous.and_then(|lock| lock.sources.get(&name));
        let found = match locked.filter(|locked| is_kept(source, locked, update, kernel)) {
            Some(locked) => locked.clone(),
            None => match source {
                Source::Url { url, digest } => by_url(context, kernel, url, *digest)?,
                Source::DebianSource(request, archives) => {
                    debian(context, recipe, loaded, (kernel, request, archives))?
                }
                Source::Package(_) => continue,
            },
        };
        sources.insert(name, found);
    }
    Ok(sources)
}

/// A tarball: read once, to know its size and, where the recipe does not say it, its digest.
fn by_url(
    context: &Context<'_>,
    kernel: &Kernel,
    url: &str,
    digest: Option<Digest>,
) -> Result<LockedSource, ResolveError> {
    let wrong = |problem: String| ResolveError::Source { kernel: kernel.name.clone(), problem };
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or("");
    if !is_inside(name) || !path.contains("://") {
        return Err(wrong(format!("{url} does not end in a file name")));
    }
    context.report(Progress::Download { label: name.to_owned(), bytes: 0 });
    let (size, sha256) = fetch::measure(context, url, MAX_SOURCE)
        .map_err(|tried| ResolveError::Unreachable { what: name.to_owned(), tried: vec![tried] })?;
    if let Some(asked) = digest.filter(|asked| *asked != sha256) {
        return Err(wrong(format!("{url} has sha256:{sha256}, the recipe says sha256:{asked}")));
    }
    let file = (url.to_owned(), LockedFile { size, sha256 });
    Ok(LockedSource { files: BTreeMap::from([(name.to_owned(), file)]) })
}

/// A source package's `.dsc` and tarballs: the highest version among the archives, or the one asked for.
fn debian(
    context: &Context<'_>,
    recipe: &Recipe,
    loaded: &BTreeMap<&str, Loaded>,
    (kernel, request, archives): (&Kernel, &PackageRequest, &[String]),
) -> Result<LockedSource, ResolveError> {
    let mut best: Option<(String, LockedSource)> = None;
    let allowed = |name: &&String| request.archive.as_ref().is_none_or(|asked| asked == *name);
    for name in archives.iter().filter(allowed) {
        let (Some(loaded), Some(archive)) = (loaded.get(name.as_str()), recipe.archives.get(name)) else { continue };
        for component in &archive.components {
            let Some(signed) = index::find(&loaded.release, &format!("{component}/source/Sources")) else { continue };
            let bytes = index::bytes(context, archive, &loaded.release, &signed)?;
            index::unpack(archive, &signed, &bytes, &mut |text| {
                let mut stanzas = Stanzas::new(text);
                let broken =
                    |reason: String| ResolveError::Index { archive: name.clone(), path: signed.path.clone(), reason };
                while let Some(stanza) = stanzas.next().map_err(|error| broken(error.to_string()))? {
                    if control::field(stanza, "Package") != Some(&request.name) {
                        continue;
                    }
                    let found = control::field(stanza, "Version").unwrap_or("").to_owned();
                    let asked = request.version.as_ref().is_none_or(|asked| *asked == found);
                    let better = best.as_ref().is_none_or(|(known, _)| version::compare(&found, known).is_gt());
                    if asked && better {
                        let source = files(name, stanza).ok_or_else(|| {
                            broken(format!("{} {found}: files without digest or place", request.name))
                        })?;
                        best = Some((found, source));
                    }
                }
                Ok(())
            })?;
        }
    }
    best.map(|(_, source)| source).ok_or_else(|| {
        let version = request.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let problem = format!("no source package {}{version} in {}", request.name, archives.join(", "));
        ResolveError::Source { kernel: kernel.name.clone(), problem }
    })
}

/// The files of a `Sources` stanza, each at `ARCHIVE:PATH`.
fn files(archive: &str, stanza: &str) -> Option<LockedSource> {
    let directory = control::field(stanza, "Directory")?;
    let mut files = BTreeMap::new();
    for line in control::field(stanza, "Checksums-Sha256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (digest, size, name) = (words.next()?, words.next()?, words.next()?);
        let path = format!("{directory}/{name}");
        if name.contains('/') || !is_inside(&path) {
            return None;
        }
        let file = LockedFile { size: size.parse().ok()?, sha256: digest.parse().ok()? };
        files.insert(name.to_owned(), (format!("{archive}:{path}"), file));
    }
    files.keys().any(|name| name.ends_with(".dsc")).then_some(LockedSource { files })
}
