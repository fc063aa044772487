//! OCI image layouts: a directory with `oci-layout`, `index.json` and `blobs/sha256/DIGEST`.
//!
//! Input: a directory, which may come from anybody. Output: its manifests and blobs, which are opened as plain files only, through
//! no link. Written are blobs first and the index last, so that an interrupted push leaves the layout as it was.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest::{Descriptor, ImageIndex, MANIFEST_LIMIT, MANIFEST_TYPE, REF_NAME};
use super::pieces::{Upload, pieces};
use super::{LayoutReference, OciDigest, OciError};
use crate::base::Hasher;
use crate::world::dir::Dir;
use crate::world::output::is_temporary;
use crate::world::plain::Odd;
use crate::world::{OutputDirectory, fs};

/// The file that says what the directory is, and its content.
pub const LAYOUT_MARKER: &str = "oci-layout";
pub const LAYOUT_VERSION: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
const ALGORITHM: &str = "sha256";
/// Everybody may read them.
const MODE: u32 = 0o644;
/// More names are not left by pushes that were killed.
const MAX_LEFT: usize = 64;

fn missing(reference: &LayoutReference, tags: Vec<String>) -> OciError {
    OciError::NoArtifact { what: super::Reference::Layout(reference.clone()).to_string(), tags }
}

/// An image layout.
pub struct Layout {
    directory: PathBuf,
    /// Of the blobs that are written.
    mode: u32,
}

impl Layout {
    pub fn new(reference: &LayoutReference) -> Layout {
        Layout { directory: reference.directory.clone(), mode: MODE }
    }

    /// Blobs that are written have this mode.
    pub fn with_mode(self, mode: u32) -> Layout {
        Layout { mode, ..self }
    }

    fn invalid(&self, file: &str, problem: impl ToString) -> OciError {
        OciError::Invalid { what: self.directory.join(file).display().to_string(), problem: problem.to_string() }
    }

    fn small(&self, dir: &Dir, name: &str) -> Result<Vec<u8>, OciError> {
        let plain = dir.plain(name).map_err(|odd| self.invalid(name, odd))?;
        let bytes = plain.read(MANIFEST_LIMIT).map_err(|error| self.invalid(name, error))?;
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(self.invalid(name, format!("it is larger than {MANIFEST_LIMIT} bytes")));
        }
        Ok(bytes)
    }

    /// Its manifests.
    fn index(&self) -> Result<ImageIndex, OciError> {
        let dir = Dir::open_named(&self.directory)?;
        if matches!(dir.kind(LAYOUT_MARKER), Err(Odd::Missing)) {
            return Err(OciError::NotLayout(self.directory.clone()));
        }
        let marker: serde_json::Value = serde_json::from_slice(&self.small(&dir, LAYOUT_MARKER)?)
            .map_err(|error| self.invalid(LAYOUT_MARKER, error))?;
        match marker.get("imageLayoutVersion").and_then(|version| version.as_str()) {
            Some("1.0.0") => {}
            _ => return Err(self.invalid(LAYOUT_MARKER, "not an image layout of version 1.0.0")),
        }
        ImageIndex::read(&self.directory.join(INDEX).display().to_string(), &self.small(&dir, INDEX)?)
    }

    /// The manifest of a digest or a tag, or the only one that is no statement about another.
    pub fn manifest(&self, reference: &LayoutReference) -> Result<(Descriptor, Vec<u8>), OciError> {
        let index = self.index()?;
        if let Some(digest) = reference.which.digest {
            return self.by_digest(&index, digest)?.ok_or_else(|| missing(reference, Vec::new()));
        }
        let name = |descriptor: &Descriptor| descriptor.annotations.get(REF_NAME).cloned();
        let all: Vec<&Descriptor> = index.manifests.iter().collect();
        let tagged: Vec<&Descriptor> = all.iter().copied().filter(|one| name(one).is_some()).collect();
        let is_asked = |one: &&Descriptor| name(one).as_deref() == Some(reference.which.tag());
        let asked: Vec<&Descriptor> = tagged.iter().copied().filter(is_asked).collect();
        let found = match (asked.as_slice(), tagged.as_slice(), all.as_slice()) {
            ([one], _, _) => Descriptor::clone(one),
            ([], [one], _) | ([], [], [one]) if reference.which.tag.is_none() => Descriptor::clone(one),
            ([], _, _) => return Err(missing(reference, tagged.iter().filter_map(|one| name(one)).collect())),
            _ => return Err(self.invalid(INDEX, format!("it has tag `{}` more than once", reference.which.tag()))),
        };
        let text = self.read(&found, MANIFEST_LIMIT)?;
        Ok((found, text))
    }

    /// The manifest with a digest, whether the index lists it or not: a tag that has moved leaves the blobs of what it stood for, and
    /// the digest proves them, as it does in a registry.
    fn by_digest(&self, index: &ImageIndex, digest: OciDigest) -> Result<Option<(Descriptor, Vec<u8>)>, OciError> {
        let listed = index.manifests.iter().find(|one| one.digest == digest).cloned();
        let found = match listed {
            Some(found) => found,
            None => match self.blobs()?.plain(&digest.0.hex()) {
                Ok(plain) => Descriptor::new(MANIFEST_TYPE, digest.0, plain.size),
                Err(Odd::Missing) => return Ok(None),
                Err(odd) => return Err(self.invalid(&format!("{BLOBS}/{ALGORITHM}/{}", digest.0.hex()), odd)),
            },
        };
        let text = self.read(&found, MANIFEST_LIMIT)?;
        Ok(Some((found, text)))
    }

    /// What a tag stands for, if it stands for anything, as it is; also of a layout that there is none of yet.
    pub fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, OciError> {
        let (_, index) = self.open()?;
        let has_tag = |one: &&Descriptor| one.annotations.get(REF_NAME).is_some_and(|known| known == tag);
        index.manifests.iter().find(has_tag).map(|found| self.read(found, MANIFEST_LIMIT)).transpose()
    }

    /// A small blob.
    pub fn read(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        if descriptor.size > limit {
            let problem = format!("has {} bytes (limit {limit})", descriptor.size);
            return Err(self.invalid(&descriptor.digest.to_string(), problem));
        }
        let mut bytes = Vec::new();
        self.copy(descriptor, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn blobs(&self) -> Result<Dir, OciError> {
        let at = format!("{BLOBS}/{ALGORITHM}");
        let dir = Dir::open_named(&self.directory)?.below(BLOBS).and_then(|blobs| blobs.below(ALGORITHM));
        dir.map_err(|odd| self.invalid(&at, odd))
    }

    /// Hands a blob on piece by piece, and compares it with its descriptor.
    pub fn copy(
        &self,
        descriptor: &Descriptor,
        take: &mut dyn FnMut(&[u8]) -> Result<(), OciError>,
    ) -> Result<(), OciError> {
        let name = descriptor.digest.0.hex();
        let at = format!("{BLOBS}/{ALGORITHM}/{name}");
        let plain = self.blobs()?.plain(&name).map_err(|odd| self.invalid(&at, odd))?;
        let mut hasher = Hasher::new(std::io::sink());
        if plain.size == descriptor.size {
            pieces(&plain.file, descriptor.size, &mut |piece| {
                hasher.write_all(piece).map_err(|error| self.invalid(&at, error))?;
                take(piece)
            })
            .map_err(|error| error.unwrap_or_else(|error| self.invalid(&at, error)))?;
        }
        let (_, found, size) = hasher.finish();
        if (OciDigest(found), size) == (descriptor.digest, descriptor.size) {
            return Ok(());
        }
        let found_size = if plain.size == descriptor.size { size } else { plain.size };
        let (what, expected, expected_size) = (self.directory.join(at), descriptor.digest.0, descriptor.size);
        if found_size == expected_size {
            let what = what.display().to_string();
            return Err(OciError::Wrong { what, expected, expected_size, found, found_size });
        }
        let problem = format!("has {found_size} bytes, expected {expected_size}");
        Err(OciError::Invalid { what: what.display().to_string(), problem })
    }

    /// Manifests that say something of an artifact, of this type.
    pub fn referrers(&self, artifact_type: &str) -> Result<Vec<Descriptor>, OciError> {
        let all = self.index()?.manifests;
        Ok(all.into_iter().filter(|one| one.artifact_type.as_deref() == Some(artifact_type)).collect())
    }

    /// Opens it for writing: a layout, an empty directory, or none yet.
    fn open(&self) -> Result<(OutputDirectory, ImageIndex), OciError> {
        let root = OutputDirectory::open(&self.directory)?;
        let dir = Dir::open_named(&self.directory)?;
        let index = match dir.kind(LAYOUT_MARKER) {
            Ok(_) => self.index()?,
            Err(Odd::Missing) => self.unfinished(&dir)?.ok_or_else(|| OciError::NoLayout(self.directory.clone()))?,
            Err(_) => return Err(OciError::NoLayout(self.directory.clone())),
        };
        root.sweep()?;
        Ok((root, index))
    }

    /// The index of what a first push left that was killed: an empty directory, or one with nothing but files of a layout.
    fn unfinished(&self, dir: &Dir) -> Result<Option<ImageIndex>, OciError> {
        let Some(names) = dir.names(MAX_LEFT)? else { return Ok(None) };
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if has(LAYOUT_MARKER) {
            // Another push has finished since the marker was looked for.
            return Ok(Some(self.index()?));
        }
        let is_ours = |name: &OsString| name == BLOBS || name == INDEX || is_temporary(name);
        if !names.iter().all(is_ours) {
            return Ok(None);
        }
        if !has(INDEX) {
            return Ok(Some(ImageIndex::new(Vec::new())));
        }
        // Blobs come before their index.
        let index = ImageIndex::read(&self.directory.join(INDEX).display().to_string(), &self.small(dir, INDEX)?);
        Ok(index.ok().filter(|_| has(BLOBS)))
    }

    /// Writes blobs; those that are there, and open to as many people, stay.
    pub fn put(
        &self,
        blobs: &mut dyn Iterator<Item = (&Descriptor, &Upload)>,
        written: &dyn Fn(u64) -> Result<(), OciError>,
    ) -> Result<(), OciError> {
        self.open()?;
        let place = Path::new(BLOBS).join(ALGORITHM);
        let blobs_directory = OutputDirectory::open(&self.directory)?.descend(&place)?;
        blobs_directory.sweep()?;
        for (descriptor, upload) in blobs {
            let name = descriptor.digest.0.hex();
            if self.may_be_read(&name) && self.copy(descriptor, &mut |_| written(0)).is_ok() {
                written(descriptor.size)?;
                continue;
            }
            let new = blobs_directory.begin()?;
            let path = self.directory.join(&place).join(&name);
            let mut hasher = Hasher::new(&new.file);
            upload.pieces(descriptor.size, &mut |piece| {
                fs::context("write", &path, hasher.write_all(piece))?;
                written(piece.len() as u64)
            })?;
            let (_, found, found_size) = hasher.finish();
            if found != descriptor.digest.0 {
                let (expected, expected_size) = (descriptor.digest.0, descriptor.size);
                let what = descriptor.title().unwrap_or_default().to_owned();
                return Err(OciError::Wrong { what, expected, expected_size, found, found_size });
            }
            new.finish(OsStr::new(&name), self.mode)?;
        }
        Ok(())
    }

    /// Whether a blob is open to whoever should read it: one that was pushed for fewer people is written anew. Its mode is not changed,
    /// since whoever writes the layout may have linked another file there.
    fn may_be_read(&self, name: &str) -> bool {
        let entry = self.blobs().ok().and_then(|dir| dir.look(name).ok().flatten());
        entry.is_some_and(|entry| entry.stat().st_mode & self.mode == self.mode)
    }

    /// Refuses a directory that is none, and never could be one.
    pub fn check(&self) -> Result<(), OciError> {
        self.open().map(drop)
    }

    /// The tags of its artifacts.
    pub fn tags(&self) -> Result<Vec<String>, OciError> {
        let manifests = self.index()?.manifests;
        Ok(manifests.into_iter().filter_map(|mut one| one.annotations.remove(REF_NAME)).collect())
    }

    /// Makes a layout without artifacts where there is none yet.
    pub fn prepare(&self, stop: &dyn Fn() -> bool) -> Result<(), OciError> {
        let (root, _) = self.open()?;
        let locked = Dir::open_named(&self.directory)?;
        if !locked.lock(stop) {
            return Err(OciError::Interrupted);
        }
        match locked.kind(LAYOUT_MARKER) {
            Ok(_) => Ok(()),
            Err(_) => {
                let (_, index) = self.open()?;
                self.write_index(&root, &index)
            }
        }
    }

    /// The marker comes last: without it, a push was not finished.
    fn write_index(&self, root: &OutputDirectory, index: &ImageIndex) -> Result<(), OciError> {
        let text = index.write();
        if text.len() as u64 > MANIFEST_LIMIT {
            return Err(
                self.invalid(INDEX, format!("it would be larger than {MANIFEST_LIMIT} bytes; use another layout"))
            );
        }
        root.write(OsStr::new(INDEX), &text, MODE)?;
        Ok(root.write(OsStr::new(LAYOUT_MARKER), LAYOUT_VERSION.as_bytes(), MODE)?)
    }

    /// Lists a manifest, whose blobs are there: under a tag, which it takes from another, or as a statement about another.
    pub fn list(
        &self,
        (manifest, text): (&Descriptor, &[u8]),
        tag: Option<&str>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), OciError> {
        self.put(&mut [(manifest, &Upload::Bytes(text.to_vec()))].into_iter(), &|_| Ok(()))?;
        // Who lists something at the same time reads the index that this one writes.
        let locked = Dir::open_named(&self.directory)?;
        if !locked.lock(stop) {
            return Err(OciError::Interrupted);
        }
        let (root, mut index) = self.open()?;
        let mut listed = manifest.clone();
        match tag {
            Some(tag) => {
                listed.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
                index.manifests.retain(|one| one.annotations.get(REF_NAME).is_none_or(|known| known != tag));
            }
            None => index.manifests.retain(|one| one.digest != manifest.digest),
        }
        index.manifests.push(listed);
        self.write_index(&root, &index)
    }
}
