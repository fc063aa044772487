//! What packages say of themselves: the source package that they were built from, who maintains them, their licences.
//!
//! Input: `.deb` files in the store. Output: [`PackageFacts`] by digest. Packages may be hostile: what is read is bounded, and
//! a package that cannot be read is one of which nothing is known.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::model::SourceName;
use crate::base::Digest;
use crate::debian::copyright::Copyright;
use crate::debian::deb::{self, Control, Data, DebEntryKind, DebError};
use crate::exec::interrupt;
use crate::lock::LockedPackage;
use crate::ops::error::OpsError;
use crate::store::{Presence, Store};
use crate::world::fs;

/// A copyright file beyond this is not read; that of the firmware packages, the largest, has half of it.
const COPYRIGHT_LIMIT: u64 = 4 << 20;
/// Where policy 12.5 wants it.
const DOCUMENTATION: &str = "usr/share/doc/";
/// Packages that are read at a time.
const READERS: usize = 8;
/// Bytes of a maintainer's name and address.
const MAX_MAINTAINER: usize = 1024;
/// Packages that share a directory of documentation do so directly, or by way of one other.
const MAX_HOPS: usize = 4;

/// What a package says of itself.
#[derive(Debug, Clone)]
pub(super) struct PackageFacts {
    pub(super) name: String,
    pub(super) source: SourceName,
    pub(super) maintainer: Option<String>,
    pub(super) copyright: CopyrightFile,
}

/// Where its licences are said.
#[derive(Debug, Clone)]
pub(super) enum CopyrightFile {
    Readable(Copyright),
    /// In that of another package, whose directory of documentation it shares.
    Of(String),
    Unknown,
}

/// By digest of the `.deb`.
pub(super) type Facts = BTreeMap<Digest, PackageFacts>;

/// Reads those of these packages that are in the store; each tenth of them is told.
pub(super) fn of<'a>(
    store: &Store,
    packages: impl Iterator<Item = &'a LockedPackage>,
    told: &(dyn Fn(usize, usize) + Sync),
) -> Result<Facts, OpsError> {
    let wanted: BTreeMap<Digest, &LockedPackage> = packages.map(|package| (package.file.sha256, package)).collect();
    let wanted: Vec<&LockedPackage> = wanted.into_values().collect();
    let read_so_far = AtomicUsize::new(0);
    let (next, found, failed) = (AtomicUsize::new(0), Mutex::new(Facts::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while let Some(package) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = read_so_far.fetch_add(1, Ordering::Relaxed) + 1;
                    // Each tenth, however many there are.
                    if done * 10 / wanted.len() > (done - 1) * 10 / wanted.len() {
                        told(done, wanted.len());
                    }
                    match read(store, package) {
                        Ok(None) => {}
                        Ok(Some(facts)) => {
                            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                            found.insert(package.file.sha256, facts);
                        }
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(shared(found.into_inner().unwrap_or_else(PoisonError::into_inner))),
    }
}

fn read(store: &Store, package: &LockedPackage) -> Result<Option<PackageFacts>, OpsError> {
    let Presence::Good(path) = store.check(&package.file.sha256)? else { return Ok(None) };
    let file = BufReader::with_capacity(1 << 20, fs::open(&path)?);
    match facts(file, package) {
        Err(Unread::Interrupted) => Err(OpsError::Interrupted),
        Err(Unread::Package) => Ok(None),
        Ok(facts) => Ok(Some(facts)),
    }
}

/// Why nothing is known of a package.
enum Unread {
    Interrupted,
    Package,
}

impl From<DebError> for Unread {
    fn from(_: DebError) -> Unread {
        Unread::Package
    }
}

fn facts(file: BufReader<File>, package: &LockedPackage) -> Result<PackageFacts, Unread> {
    let (control, mut data) = deb::open(file)?;
    let source = source(&control, package).ok_or(Unread::Package)?;
    let maintainer = control.stanza.get("Maintainer").map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
    let maintainer = maintainer.filter(|name| (1..=MAX_MAINTAINER).contains(&name.len()));
    let copyright = copyright(&mut data, &package.name)?;
    Ok(PackageFacts { name: package.name.clone(), source, maintainer, copyright })
}

/// `Source: glibc (2.41-12)`; the package's own name and version where they are not stated (policy 5.6.1).
fn source(control: &Control, package: &LockedPackage) -> Option<SourceName> {
    if (control.package(), control.version()) != (package.name.as_str(), package.version.as_str()) {
        return None;
    }
    let stated = control.stanza.get("Source").unwrap_or(control.package());
    let (name, version) = match stated.split_once(" (") {
        Some((name, version)) => (name, version.strip_suffix(')')?),
        None => (stated, control.version()),
    };
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    (word(name) && word(version)).then(|| SourceName { name: name.to_owned(), version: version.to_owned() })
}

/// Reads until the copyright file was found; packages list their files by path.
fn copyright(data: &mut Data<'_>, package: &str) -> Result<CopyrightFile, Unread> {
    let directory = format!("{DOCUMENTATION}{package}");
    let file = format!("{directory}/copyright");
    while let Some(entry) = data.next()? {
        if interrupt::flag().load(Ordering::Relaxed) {
            return Err(Unread::Interrupted);
        }
        match entry.kind {
            DebEntryKind::Link(target) if entry.path == directory => return Ok(neighbour(&target)),
            DebEntryKind::Link(target) if entry.path == file => {
                let target = target.strip_prefix("../").and_then(|target| target.strip_suffix("/copyright"));
                return Ok(target.map_or(CopyrightFile::Unknown, neighbour));
            }
            DebEntryKind::File(size) if entry.path == file && size <= COPYRIGHT_LIMIT => {
                let mut text = Vec::new();
                data.read_to_end(&mut text).map_err(|_| Unread::Package)?;
                let text = String::from_utf8(text).ok();
                let found = text.and_then(|text| Copyright::parse(&text));
                return Ok(found.map_or(CopyrightFile::Unknown, CopyrightFile::Readable));
            }
            _ => {}
        }
    }
    Ok(CopyrightFile::Unknown)
}

/// A link to the directory of another package: `gcc-14-base`.
fn neighbour(target: &str) -> CopyrightFile {
    let name = target.strip_prefix("./").unwrap_or(target).trim_end_matches('/');
    if name.is_empty() || name.contains('/') { CopyrightFile::Unknown } else { CopyrightFile::Of(name.to_owned()) }
}

/// Follows links to directories of other packages. Policy 12.5 allows them between packages of one source only, and so no
/// package can speak for another's.
fn shared(facts: Facts) -> Facts {
    let by_name: BTreeMap<(&str, &str, &str), &CopyrightFile> = facts
        .values()
        .map(|facts| {
            ((facts.name.as_str(), facts.source.name.as_str(), facts.source.version.as_str()), &facts.copyright)
        })
        .collect();
    let followed = |facts: &PackageFacts| {
        let (source, version) = (facts.source.name.as_str(), facts.source.version.as_str());
        let mut at = &facts.copyright;
        for _ in 0..MAX_HOPS {
            let CopyrightFile::Of(name) = at else { break };
            at = by_name.get(&(name.as_str(), source, version)).copied().unwrap_or(&CopyrightFile::Unknown);
        }
        at.clone()
    };
    facts
        .iter()
        .map(|(digest, facts)| (*digest, PackageFacts { copyright: followed(facts), ..facts.clone() }))
        .collect()
}
