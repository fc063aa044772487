//! Where files of a cache are written: a directory, or a repository of a registry. Each is whole under its name or not there.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::Hasher;
use crate::oci::{Connection, Descriptor, EMPTY, EMPTY_TYPE, Registry, Upload};
use crate::ops::cache::RESULT_LIMIT;
use crate::ops::cache::config::{CachePlace, PlaceKind};
use crate::ops::cache::place::Part;
use crate::ops::cache::registry::CacheArtifact;
use crate::ops::error::{CacheError, OpsError};
use crate::store::Store;
use crate::world::dir::Dir;
use crate::world::{OutputDirectory, fs};

/// Writes the content of a file.
pub(super) type Fill<'a> = &'a mut dyn FnMut(&mut dyn Write) -> Result<(), OpsError>;

/// What is filled.
pub(super) enum CacheTarget<'a> {
    Directory(DirectoryTarget),
    Registry(Box<RegistryTarget<'a>>),
}

/// A directory: a file is written under a name that nobody can foresee.
pub(super) struct DirectoryTarget {
    results: OutputDirectory,
    blobs: OutputDirectory,
    trees: OutputDirectory,
}

/// A repository: a file is compressed here, so that it is sent only where the registry has another one, or none.
pub(super) struct RegistryTarget<'a> {
    registry: Registry<'a>,
    scratch: PathBuf,
    /// Whether the repository has the empty configuration that every artifact names.
    prepared: Cell<bool>,
}

impl<'a> CacheTarget<'a> {
    /// Makes a directory where it is missing, and removes what interrupted pushes have left.
    pub(super) fn open(
        connection: Connection<'a>,
        store: &Store,
        place: &CachePlace,
    ) -> Result<CacheTarget<'a>, OpsError> {
        match &place.kind {
            PlaceKind::Directory(path) => {
                let part = |part: Part| {
                    let directory = OutputDirectory::open(path)?.descend(Path::new(part.name()))?;
                    directory.sweep()?;
                    Ok::<_, OpsError>(directory)
                };
                let [results, blobs, trees] = [part(Part::Results)?, part(Part::Blobs)?, part(Part::Trees)?];
                Ok(CacheTarget::Directory(DirectoryTarget { results, blobs, trees }))
            }
            PlaceKind::Registry(registry) => {
                let (registry, scratch) = (registry.for_pushing(connection)?, store.scratch("push")?);
                Ok(CacheTarget::Registry(Box::new(RegistryTarget { registry, scratch, prepared: Cell::new(false) })))
            }
            PlaceKind::Web(_) => Err(CacheError::ReadOnly(place.name.clone()).into()),
        }
    }

    /// Whether a file is there, and open to whoever should read it: one that was pushed as private before is replaced. Its mode is
    /// not changed, since whoever writes the cache may have linked another file there. A registry is only known to have a file when it
    /// has the bytes that are going to be pushed.
    pub(super) fn may_be_read(&self, (part, name): (Part, &str), mode: u32) -> Result<bool, OpsError> {
        let CacheTarget::Directory(target) = self else { return Ok(false) };
        let entry = Dir::open(target.directory(part).path())?.entry(OsStr::new(name));
        Ok(entry.is_ok_and(|entry| entry.st_mode & mode == mode))
    }

    /// Writes a file; says how many bytes it has, unless it was there.
    pub(super) fn write(&self, file: (Part, &str), mode: u32, fill: Fill<'_>) -> Result<Option<u64>, OpsError> {
        match self {
            CacheTarget::Directory(target) => target.write(file, mode, fill).map(Some),
            CacheTarget::Registry(target) => target.write(file, fill),
        }
    }
}

impl DirectoryTarget {
    fn directory(&self, part: Part) -> &OutputDirectory {
        match part {
            Part::Results => &self.results,
            Part::Blobs => &self.blobs,
            Part::Trees => &self.trees,
        }
    }

    fn write(&self, (part, name): (Part, &str), mode: u32, fill: Fill<'_>) -> Result<u64, OpsError> {
        let directory = self.directory(part);
        let mut new = directory.begin()?;
        fill(&mut new.file)?;
        let path = directory.path().join(name);
        let bytes = fs::context("look at", &path, new.file.metadata())?.len();
        new.finish(OsStr::new(name), mode)?;
        Ok(bytes)
    }
}

impl RegistryTarget<'_> {
    fn write(&self, (part, name): (Part, &str), fill: Fill<'_>) -> Result<Option<u64>, OpsError> {
        let path = self.scratch.join(name);
        let mut file = Hasher::new(fs::create_new(&path)?);
        fill(&mut file)?;
        let (_, digest, size) = file.finish();
        let (artifact, upload) = match part {
            Part::Results => {
                let bytes = fs::read(&path, RESULT_LIMIT)?;
                (CacheArtifact::result(name, &bytes), Upload::Bytes(bytes))
            }
            Part::Blobs | Part::Trees => {
                (CacheArtifact::content((part, name), digest, size), Upload::File(path.clone()))
            }
        };
        let pushed = self.push(&artifact, &upload);
        fs::remove_file(&path)?;
        Ok(pushed?.then_some(size))
    }

    /// Whether the registry lacked it. Blobs are asked for even where the manifest is there: a registry may have lost them.
    fn push(&self, artifact: &CacheArtifact, upload: &Upload) -> Result<bool, OpsError> {
        let empty = (Descriptor::of(EMPTY_TYPE, EMPTY), Upload::Bytes(EMPTY.to_vec()));
        let mut blobs = vec![(&artifact.layer, upload)];
        if !self.prepared.replace(true) {
            blobs.push((&empty.0, &empty.1));
        }
        self.registry.put(&blobs, &|_| ())?;
        let known = self.registry.read_manifest(&artifact.tag, None);
        // One that cannot be read is replaced.
        if known.is_ok_and(|known| known.is_some_and(|(_, text)| text == artifact.text)) {
            return Ok(false);
        }
        self.registry.tag(&artifact.tag, &artifact.text)?;
        Ok(true)
    }
}
