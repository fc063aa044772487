//! The recipe as files: itself, its imports, and what it copies, whole directories among that.
//!
//! Input: a checked recipe. Output: entries of an archive below `recipes/`, with the digests that the recipe was read with:
//! unpacked, they are the same recipe.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{RECIPES, TIME};
use crate::base::{Digest, Hasher};
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader};
use crate::ops::error::{BundleError, OpsError};
use crate::recipe::content::{DiskSource, FileContent};
use crate::recipe::directory::{Directory, Modes};
use crate::recipe::{Recipe, RecipeFile};
use crate::world::fs;

/// Where the bytes of an entry are.
pub(super) enum EntryContent<'a> {
    /// It has none.
    Nothing,
    Held(&'a [u8]),
    /// A file of the recipe, which is compared with its digest as it is read.
    OnDisk(&'a Path, Digest),
    /// A part of a file of kiln's own.
    Part {
        file: PathBuf,
        /// Where it begins.
        at: u64,
        size: u64,
    },
}

/// What says how an entry is: the later ones know its mode better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    File,
    Tree,
    ExactTree,
}

/// One entry.
pub(super) struct RecipeEntry<'a> {
    pub(super) entry: TarEntry,
    pub(super) content: EntryContent<'a>,
    source: Source,
}

/// Entries by path, which is the order of an archive.
pub(super) type Closure<'a> = BTreeMap<TarPath, RecipeEntry<'a>>;

/// Everything that the recipe consists of; `scratch` is a directory for archives of its directories.
pub(super) fn closure<'a>(recipe: &'a Recipe, scratch: &Path) -> Result<Closure<'a>, OpsError> {
    let mut found = Closure::new();
    for (number, (key, file)) in recipe.files.iter().enumerate() {
        match &file.content {
            FileContent::OnDisk(DiskSource::Directory(directory)) => {
                let packed = scratch.join(format!("{number}.tar"));
                pack(directory, key, file, &packed)?;
                let source = if directory.modes == Modes::Exact { Source::ExactTree } else { Source::Tree };
                tree(&mut found, path_of(key)?, (&packed, source))?;
            }
            FileContent::OnDisk(DiskSource::File(path)) => {
                plain(&mut found, key, (file, EntryContent::OnDisk(path, file.digest)))?;
            }
            FileContent::Held(bytes) => plain(&mut found, key, (file, EntryContent::Held(bytes)))?,
        }
    }
    // Where it is unpacked, it would have them, too.
    if let Some(path) = found.iter().find(|(_, found)| found.entry.mode & 0o6000 != 0).map(|(path, _)| path) {
        return Err(unfit(path, "a file with the privileges of its owner or group (set-user-id, set-group-id)"));
    }
    no_link_leads_on(&found)?;
    Ok(found)
}

/// Where the file of a key is: `lib/a.kiln`, `tree/`, `tree//exact`.
fn path_of(key: &str) -> Result<TarPath, OpsError> {
    let path = key.strip_suffix("//exact").unwrap_or(key);
    TarPath::new(format!("{RECIPES}/{path}")).map_err(|_| unfit_name(key, "a path that is none"))
}

fn plain<'a>(
    found: &mut Closure<'a>,
    key: &str,
    (file, content): (&RecipeFile, EntryContent<'a>),
) -> Result<(), OpsError> {
    let path = path_of(key)?;
    let entry = TarEntry::file(path, 0o644, TIME, file.size);
    put(found, RecipeEntry { entry, content, source: Source::File })
}

/// Packs a directory as the recipe was read: what has changed since is not bundled.
fn pack(directory: &Directory, key: &str, file: &RecipeFile, to: &Path) -> Result<(), OpsError> {
    let mut hasher = Hasher::new(fs::create_new(to)?);
    directory.pack(&mut hasher).map_err(|error| OpsError::parse(key, error))?;
    let (_, digest, _) = hasher.finish();
    if digest == file.digest { Ok(()) } else { Err(BundleError::Changed(key.to_owned()).into()) }
}

fn tree(found: &mut Closure<'_>, root: TarPath, (packed, source): (&Path, Source)) -> Result<(), OpsError> {
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(packed)?));
    let own = |error| OpsError::parse("a directory of the recipe", error);
    while let Some(mut entry) = reader.next_entry().map_err(own)? {
        let path: Result<TarPath, _> = entry.path.parts().try_fold(root.clone(), |path, part| path.join(part));
        entry.path = path.map_err(own)?;
        entry.mtime = TIME;
        let content = match entry.kind {
            TarEntryKind::File => EntryContent::Part { file: packed.to_owned(), at: reader.offset(), size: entry.size },
            _ => EntryContent::Nothing,
        };
        put(found, RecipeEntry { entry, content, source })?;
    }
    Ok(())
}

/// A file that is copied by itself may also be in a directory that is, which says more of it.
fn put<'a>(found: &mut Closure<'a>, new: RecipeEntry<'a>) -> Result<(), OpsError> {
    let path = new.entry.path.clone();
    match found.get(&path) {
        Some(old) if old.entry.kind != new.entry.kind => Err(unfit(&path, "a link that is also read as a file")),
        Some(old) if old.source > new.source => Ok(()),
        _ => {
            found.insert(path, new);
            Ok(())
        }
    }
}

/// The recipe may reach a file of its root through a link in a directory that it also copies.
fn no_link_leads_on(found: &Closure<'_>) -> Result<(), OpsError> {
    for path in found.keys() {
        let mut above = path.parent();
        while let Some(parent) = above {
            if found.get(&parent).is_some_and(|parent| !parent.entry.is_directory()) {
                return Err(unfit(path, "a file that is read through a link"));
            }
            above = parent.parent();
        }
    }
    Ok(())
}

fn unfit(path: &TarPath, problem: &'static str) -> OpsError {
    unfit_name(path.to_string().trim_start_matches('/'), problem)
}

fn unfit_name(path: &str, problem: &'static str) -> OpsError {
    BundleError::Unfit { path: path.to_owned(), problem }.into()
}

impl EntryContent<'_> {
    /// Hands the bytes to `write`, and compares them with their digest if that is not known to be theirs.
    pub(super) fn read(&self, write: &mut dyn FnMut(&mut dyn Read) -> Result<(), OpsError>) -> Result<(), OpsError> {
        match self {
            EntryContent::Nothing => write(&mut std::io::empty()),
            EntryContent::Held(bytes) => write(&mut &**bytes),
            EntryContent::Part { file, at, size } => {
                let mut part = fs::open(file)?;
                fs::context("read", file, part.seek(SeekFrom::Start(*at)))?;
                write(&mut BufReader::new(part.take(*size)))
            }
            EntryContent::OnDisk(path, digest) => {
                let mut hashing = Hashing { inner: fs::open(path)?, hasher: Hasher::new(std::io::sink()) };
                write(&mut hashing)?;
                let (_, found, _) = hashing.hasher.finish();
                let changed = || BundleError::Changed(path.display().to_string());
                if found == *digest { Ok(()) } else { Err(changed().into()) }
            }
        }
    }
}

/// Hashes what is read.
struct Hashing<R> {
    inner: R,
    hasher: Hasher<std::io::Sink>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        std::io::Write::write_all(&mut self.hasher, &buffer[..count])?;
        Ok(count)
    }
}
