//! Sources that are not binary packages: tarballs by URL, and Debian source packages.

use std::collections::BTreeMap;

use super::archive::Loaded;
use super::error::ResolveError;
use super::{Asking, Progress, Update, fetch, source_package};
use crate::base::Digest;
use crate::debian::archive::ArchiveRef;
use crate::debian::packages::is_inside;
use crate::lock::described::is_described;
use crate::lock::{Lock, LockedFile, LockedSource, LockedSourceFile, MAX_FILE, SourcePlace};
use crate::recipe::Recipe;
use crate::recipe::address::Address;
use crate::recipe::build::BuildSource;
use crate::recipe::image::Content;
use crate::recipe::kernel::{KernelSource, Origin};

/// Something that a recipe asks for and that is not a binary package.
struct Wanted<'a> {
    /// Its key among the lock's sources.
    key: String,
    /// The kernel, image or build that asks.
    owner: &'a str,
    source: KernelSource,
}

/// Sources of kernels and builds, and files of images by URL.
fn wanted(recipe: &Recipe) -> Vec<Wanted<'_>> {
    let kernels = recipe.kernels.values().filter_map(|kernel| match &kernel.origin {
        Origin::Compiled(compiled)
            if matches!(compiled.source, KernelSource::DebianSource(_) | KernelSource::Url { .. }) =>
        {
            Some(Wanted { key: kernel.source_name(), owner: &kernel.name, source: compiled.source.clone() })
        }
        _ => None,
    });
    let files = recipe.images.values().flat_map(|image| {
        image.files.iter().filter_map(|file| match &file.content {
            Content::Url(Address { url, digest }) => {
                let source = KernelSource::Url { url: url.clone(), digest: *digest };
                Some(Wanted { key: image.source_name(file), owner: &image.name, source })
            }
            _ => None,
        })
    });
    let builds = recipe.builds.values().flat_map(|build| {
        build.sources.iter().filter_map(|(name, source)| {
            let source = match &source.value {
                BuildSource::Url(Address { url, digest }) => KernelSource::Url { url: url.clone(), digest: *digest },
                BuildSource::DebianSource(source) => KernelSource::DebianSource(source.clone()),
                BuildSource::Text(_)
                | BuildSource::File(_)
                | BuildSource::Directory(_)
                | BuildSource::Local { .. }
                | BuildSource::Output(_)
                | BuildSource::Kernel(_) => {
                    return None;
                }
            };
            Some(Wanted { key: build.source_name(name), owner: &build.name, source })
        })
    });
    kernels.chain(files).chain(builds).collect()
}

/// What is locked for a source, as long as neither the question nor the archives that answered it have changed.
fn kept<'a>(
    recipe: &Recipe,
    wanted: &Wanted<'_>,
    previous: Option<&'a Lock>,
    update: &Update,
) -> Option<&'a LockedSource> {
    let lock = previous?;
    let archives: &[String] = match &wanted.source {
        KernelSource::DebianSource(source) => &source.archives,
        _ => &[],
    };
    let mut used = archives.iter().filter(|name| lock.archives.contains_key(&ArchiveRef::current(*name)));
    let locked = lock.sources.get(&wanted.key).filter(|locked| is_kept(wanted, locked, update))?;
    used.all(|name| is_described(recipe, lock, name)).then_some(locked)
}

/// Whether the lock's answer is still one to the recipe's question.
fn is_kept(Wanted { owner, source, .. }: &Wanted<'_>, locked: &LockedSource, update: &Update) -> bool {
    let moved = match update {
        Update::Keep => false,
        Update::All => true,
        Update::Some(names) => {
            names.iter().any(|name| name == owner)
                || matches!(source, KernelSource::DebianSource(source) if names.contains(&source.request.name))
        }
        Update::Gone(files) => locked.files.values().any(|file| files.contains(&file.file.sha256)),
    };
    match source {
        KernelSource::Url { url, digest } => {
            locked.files.values().next().is_some_and(|LockedSourceFile { place, file }| {
                matches!(place, SourcePlace::Url(from) if from == url)
                    && match digest {
                        Some(digest) => *digest == file.sha256,
                        None => !moved,
                    }
            })
        }
        KernelSource::DebianSource(source) => {
            let from = |place: &SourcePlace| place.archive().is_some_and(|found| source.archives.contains(&found.name));
            !moved && source.is_answered_by(locked.files.keys()) && locked.files.values().all(|file| from(&file.place))
        }
        KernelSource::Package(_) | KernelSource::Output(_) | KernelSource::Directory(..) => false,
    }
}

/// How a lock answers what a recipe asks for as a source.
pub(in crate::lock) enum SourceAnswer {
    /// With everything.
    Whole,
    /// Not at all.
    Missing,
    /// With something else, or from somewhere else.
    Other,
}

/// The lock's answer to every source of the recipe, by name.
pub(in crate::lock) fn answers(recipe: &Recipe, lock: &Lock) -> Vec<(String, SourceAnswer)> {
    let home =
        |file: &LockedSourceFile| file.place.archive().is_some_and(|archive| lock.archives.contains_key(archive));
    let whole = |wanted: &Wanted<'_>, locked: &LockedSource| {
        let placed = match &wanted.source {
            KernelSource::Url { .. } => locked.files.len() == 1,
            KernelSource::DebianSource(..)
            | KernelSource::Package(_)
            | KernelSource::Output(_)
            | KernelSource::Directory(..) => locked.files.values().all(home),
        };
        placed && is_kept(wanted, locked, &Update::Keep)
    };
    let answer = |wanted: Wanted<'_>| {
        let answer = match lock.sources.get(&wanted.key) {
            None => SourceAnswer::Missing,
            Some(locked) if whole(&wanted, locked) => SourceAnswer::Whole,
            Some(_) => SourceAnswer::Other,
        };
        (wanted.key, answer)
    };
    wanted(recipe).into_iter().map(answer).collect()
}

/// The archives whose source indexes must be read: those of Debian sources that the lock does not answer.
pub(super) fn archives(recipe: &Recipe, previous: Option<&Lock>, update: &Update) -> Vec<String> {
    let mut names = Vec::new();
    for wanted in wanted(recipe) {
        if let KernelSource::DebianSource(source) = &wanted.source
            && kept(recipe, &wanted, previous, update).is_none()
        {
            names.extend(source.archives.iter().cloned());
        }
    }
    names
}

/// Every source of the recipe, by the name that lowering looks for.
pub(super) fn all(
    context: &Asking<'_>,
    recipe: &Recipe,
    loaded: &BTreeMap<&str, Loaded>,
    previous: Option<&Lock>,
    update: &Update,
) -> Result<BTreeMap<String, LockedSource>, ResolveError> {
    let mut sources = BTreeMap::new();
    for wanted in wanted(recipe) {
        let found = match kept(recipe, &wanted, previous, update) {
            Some(locked) => at_home(locked, loaded, previous),
            None => match &wanted.source {
                KernelSource::Url { url, digest } => by_url(context, wanted.owner, url, *digest)?,
                KernelSource::DebianSource(source) => {
                    let asked = source_package::Asked { owner: wanted.owner, source };
                    source_package::find(context, recipe, loaded, &asked)?
                }
                KernelSource::Package(_) | KernelSource::Output(_) | KernelSource::Directory(..) => continue,
            },
        };
        sources.insert(wanted.key, found);
    }
    Ok(sources)
}

/// A source that is kept, when its archive moved on: it stays where it was found, which is the archive's earlier state.
fn at_home(locked: &LockedSource, loaded: &BTreeMap<&str, Loaded>, previous: Option<&Lock>) -> LockedSource {
    let mut locked = locked.clone();
    for file in locked.files.values_mut() {
        let SourcePlace::Archive { archive, .. } = &mut file.place else { continue };
        let before = previous.and_then(|lock| lock.archives.get(archive)).filter(|_| archive.is_current());
        if let (Some(before), Some(now)) = (before, loaded.get(archive.name.as_str()))
            && !now.is_state_of(before)
        {
            archive.moment = Some(before.snapshot);
        }
    }
    locked
}

/// A tarball or file: read once, to know its size and, where the recipe does not say it, its digest.
fn by_url(context: &Asking<'_>, owner: &str, url: &str, digest: Option<Digest>) -> Result<LockedSource, ResolveError> {
    let wrong = |problem: String| ResolveError::Source { owner: owner.to_owned(), problem };
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or("");
    if !is_inside(name) || !path.contains("://") {
        return Err(wrong(format!("{url} does not end in a file name")));
    }
    context.report(Progress::Download { label: name.to_owned(), bytes: 0 });
    let (size, sha256) = fetch::measure(context, url, digest, MAX_FILE)
        .map_err(|tried| ResolveError::Unreachable { what: name.to_owned(), tried })?;
    if let Some(asked) = digest.filter(|asked| *asked != sha256) {
        return Err(wrong(format!("{url} has sha256:{sha256}, but the recipe states sha256:{asked}")));
    }
    let file = LockedSourceFile { place: SourcePlace::Url(url.to_owned()), file: LockedFile { size, sha256 } };
    Ok(LockedSource { files: BTreeMap::from([(name.to_owned(), file)]) })
}
