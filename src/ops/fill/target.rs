//! Where files of a cache are written: a directory, a repository of a registry, or an image layout. Each is whole under its name or not there.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::Hasher;
use crate::exec::interrupt;
use crate::oci::{Connection, Descriptor, EMPTY, EMPTY_TYPE, Layout, OciError, Registry, Upload};
use crate::ops::cache::RESULT_LIMIT;
use crate::ops::cache::config::{CachePlace, PlaceKind};
use crate::ops::cache::layout;
use crate::ops::cache::place::Part;
use crate::ops::cache::registry::CacheArtifact;
use crate::ops::error::{CacheError, OpsError};
use crate::store::Store;
use crate::world::dir::Dir;
use crate::world::noted::NotedWriter;
use crate::world::{OutputDirectory, fs};

/// Writes the content of a file.
pub(super) type Fill<'a> = &'a mut dyn FnMut(&mut dyn Write) -> Result<(), OpsError>;

/// What is filled.
pub(super) enum CacheTarget<'a> {
    Directory(DirectoryTarget),
    Artifacts(Box<ArtifactTarget<'a>>),
}

/// A directory: a file is written under a name that nobody can foresee.
pub(super) struct DirectoryTarget {
    results: OutputDirectory,
    blobs: OutputDirectory,
    trees: OutputDirectory,
}

/// A repository or a layout: a file is compressed here, so that it is sent only where there is another one, or none.
pub(super) struct ArtifactTarget<'a> {
    place: ArtifactPlace<'a>,
    scratch: PathBuf,
    /// Whether it has the empty configuration that every artifact names.
    prepared: Cell<bool>,
}

/// Who takes artifacts.
enum ArtifactPlace<'a> {
    Registry(Box<Registry<'a>>),
    Layout(Layout, PathBuf),
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
                may_be_cache(path)?;
                let part = |part: Part| {
                    let directory = OutputDirectory::open(path)?.descend(Path::new(part.name()))?;
                    directory.sweep()?;
                    Ok::<_, OpsError>(directory)
                };
                let [results, blobs, trees] = [part(Part::Results)?, part(Part::Blobs)?, part(Part::Trees)?];
                Ok(CacheTarget::Directory(DirectoryTarget { results, blobs, trees }))
            }
            PlaceKind::Registry(registry) => {
                CacheTarget::artifacts(store, ArtifactPlace::Registry(Box::new(registry.for_pushing(connection)?)))
            }
            PlaceKind::Layout(directory) => {
                let layout = layout::open(directory, place.privacy);
                layout.prepare(&interrupt::stopped)?;
                CacheTarget::artifacts(store, ArtifactPlace::Layout(layout, directory.clone()))
            }
            PlaceKind::Web(_) => Err(CacheError::ReadOnly(place.name.clone()).into()),
        }
    }

    fn artifacts(store: &Store, place: ArtifactPlace<'a>) -> Result<CacheTarget<'a>, OpsError> {
        let scratch = store.scratch("push")?;
        Ok(CacheTarget::Artifacts(Box::new(ArtifactTarget { place, scratch, prepared: Cell::new(false) })))
    }

    /// Whether a file is there, and open to whoever should read it: one that was pushed as private before is replaced. Its mode is
    /// not changed, since whoever writes the cache may have linked another file there. A registry or layout is only known to have a
    /// file when it has the bytes that are going to be pushed.
    pub(super) fn may_be_read(&self, (part, name): (Part, &str), mode: u32) -> Result<bool, OpsError> {
        let CacheTarget::Directory(target) = self else { return Ok(false) };
        let entry = Dir::open(target.directory(part).path())?.entry(OsStr::new(name));
        Ok(entry.is_ok_and(|entry| entry.st_mode & mode == mode))
    }

    /// Writes a file; says how many bytes it has, unless it was there.
    pub(super) fn write(&self, file: (Part, &str), mode: u32, fill: Fill<'_>) -> Result<Option<u64>, OpsError> {
        match self {
            CacheTarget::Directory(target) => target.write(file, mode, fill).map(Some),
            CacheTarget::Artifacts(target) => target.write(file, fill),
        }
    }
}

/// Refuses a directory with files of others: a word that was mistyped would mix hundreds of files with them.
fn may_be_cache(path: &Path) -> Result<(), OpsError> {
    if !path.exists() {
        return Ok(());
    }
    let dir = Dir::open_named(path)?;
    let parts = [Part::Results, Part::Blobs, Part::Trees];
    let is_one = parts.iter().any(|part| dir.kind(part.name()).is_ok());
    match dir.names(0)? {
        None if !is_one => Err(CacheError::NoCache(path.to_owned()).into()),
        _ => Ok(()),
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
        let path = directory.path().join(name);
        let mut file = NotedWriter::new(&mut new.file);
        let filled = fill(&mut file);
        file.blame(&path, filled)?;
        let bytes = fs::context("look at", &path, new.file.metadata())?.len();
        new.finish(OsStr::new(name), mode)?;
        Ok(bytes)
    }
}

impl ArtifactTarget<'_> {
    fn write(&self, (part, name): (Part, &str), fill: Fill<'_>) -> Result<Option<u64>, OpsError> {
        let path = self.scratch.join(name);
        let mut file = Hasher::new(fs::create_new(&path)?);
        let mut noted = NotedWriter::new(&mut file);
        let filled = fill(&mut noted);
        noted.blame(&path, filled)?;
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

    /// Whether it was lacking. Blobs are asked for even where the manifest is there: a registry may have lost them.
    fn push(&self, artifact: &CacheArtifact, upload: &Upload) -> Result<bool, OpsError> {
        let empty = (Descriptor::of(EMPTY_TYPE, EMPTY), Upload::Bytes(EMPTY.to_vec()));
        let mut blobs = vec![(&artifact.layer, upload)];
        if !self.prepared.replace(true) {
            blobs.push((&empty.0, &empty.1));
        }
        // A manifest that cannot be read is replaced.
        match &self.place {
            ArtifactPlace::Registry(registry) => {
                registry.put(&blobs, &|_| ())?;
                let known = registry.read_manifest(&artifact.tag, None);
                if known.is_ok_and(|known| known.is_some_and(|(_, text)| text == artifact.text)) {
                    return Ok(false);
                }
                registry.tag(&artifact.tag, &artifact.text)?;
            }
            ArtifactPlace::Layout(layout, directory) => {
                let ask_to_stop = |_| if interrupt::stopped() { Err(OciError::Interrupted) } else { Ok(()) };
                layout.put(&mut blobs.into_iter(), &ask_to_stop)?;
                let known = layout.manifest(&layout::reference(directory, &artifact.tag));
                if known.is_ok_and(|(_, text)| text == artifact.text) {
                    return Ok(false);
                }
                let listed = (&artifact.descriptor(), artifact.text.as_slice());
                layout.list(listed, Some(&artifact.tag), &interrupt::stopped)?;
            }
        }
        Ok(true)
    }
}
