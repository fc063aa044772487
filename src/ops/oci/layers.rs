//! The layers of an artifact: written from a result directory, and read from somebody else's artifact.

use std::collections::{BTreeMap, BTreeSet};

use super::chunks::{self, ChunkedDisk};
use super::content::Content;
use super::emulators;
use super::place::Place;
use super::{ARTIFACT, CHUNKS, LOCK, MANIFEST, PACKAGE, RESULT};
use crate::base::Digest;
use crate::deliver::manifest::{self, Manifest};
use crate::deliver::plain::is_plain;
use crate::lock::{self, Lock};
use crate::oci::{ArtifactManifest, Descriptor, OciDigest, OciError, Upload};
use crate::ops::error::OpsError;
use crate::plan::Plan;
use crate::world::fs;

/// Locks in artifacts are held in memory.
const LOCK_LIMIT: u64 = 16 << 20;
/// What follows the name of a disk in the name of its index.
pub(super) const CHUNKS_SUFFIX: &str = ".chunks";
/// Annotations of kiln's own.
const RECIPE: &str = "dev.kiln.recipe";
const INPUTS: &str = "dev.kiln.lock";
const OUTPUT_VERSION: &str = "dev.kiln.output-version";
const SUBJECT_MANIFEST: &str = "dev.kiln.manifest";

/// The layers of a result directory, with where their bytes are.
pub(super) fn of(content: &Content) -> Result<Vec<(Descriptor, Upload)>, OpsError> {
    let Content { directory, manifest, lock, emulators, store } = content;
    let held = |kind: &str, title: &str, text: String| {
        let descriptor = Descriptor::of(kind, text.as_bytes()).titled(title);
        (descriptor, Upload::Bytes(text.into_bytes()))
    };
    let mut layers = vec![held(MANIFEST, manifest::FILE, manifest.write())];
    let lock_layer = lock.iter().map(|(lock, text)| held(LOCK, &format!("{}.lock", lock.recipe.name), text.clone()));
    layers.extend(lock_layer);
    for (name, file) in &manifest.artifacts {
        let (descriptor, path) = (Descriptor::new(ARTIFACT, file.sha256, file.size).titled(name), directory.join(name));
        let index = chunks::index(store, &file.sha256, &fs::open(&path)?);
        layers.push((descriptor, Upload::File(path)));
        layers.extend(index.map(|index| {
            let descriptor = chunks::layer(CHUNKS, (&format!("{name}{CHUNKS_SUFFIX}"), &index));
            (descriptor, Upload::Bytes(index))
        }));
    }
    let names = names(lock.as_ref().map(|(lock, _)| lock));
    let mut packages = BTreeMap::new();
    for (digest, fetch) in &emulators.fetches {
        let name = names.get(digest).map_or_else(|| digest.hex(), |name| (*name).to_owned());
        let descriptor = Descriptor::new(PACKAGE, *digest, fetch.size).titled(&format!("qemu/{name}"));
        packages.insert((name, *digest), (descriptor, Upload::File(store.path(digest)?)));
    }
    layers.extend(packages.into_values());
    Ok(layers)
}

/// File names of packages.
fn names(lock: Option<&Lock>) -> BTreeMap<Digest, &str> {
    let packages = lock.into_iter().flat_map(|lock| lock.sets.values().flatten());
    packages.map(|one| (one.file.sha256, one.path.rsplit('/').next().unwrap_or_default())).collect()
}

/// The artifact of these layers: the same for the same directory, whoever pushes it and when.
pub(super) fn artifact(manifest: &Manifest, layers: Vec<Descriptor>) -> ArtifactManifest {
    let annotations = [
        (RECIPE, manifest.recipe.clone()),
        (INPUTS, OciDigest(manifest.lock).to_string()),
        (OUTPUT_VERSION, manifest.output_version.to_string()),
        (SUBJECT_MANIFEST, OciDigest(Digest::of(manifest.write().as_bytes())).to_string()),
    ];
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value)).into();
    ArtifactManifest::new(RESULT, layers, annotations)
}

/// The recipe that an artifact is a build of, if it is one.
pub(super) fn recipe_of(text: &[u8]) -> Option<String> {
    ArtifactManifest::read("", RESULT, text).ok()?.annotations.remove(RECIPE)
}

/// What an artifact is, before any file of it is fetched.
pub(super) struct Head {
    pub(super) manifest: Manifest,
    pub(super) lock: Option<(Lock, String)>,
    pub(super) emulators: Plan,
    /// The layers that are files of the directory or packages of QEMU.
    pub(super) files: Vec<Descriptor>,
    /// Disks that may be rebuilt from earlier ones.
    pub(super) disks: Vec<ChunkedDisk>,
    /// How many layers there are, but for indexes of chunks.
    pub(super) layers: usize,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Head {
    /// Reads manifest and lock, and compares the layers with them.
    pub(super) fn read(what: &str, place: &Place<'_>, text: &[u8]) -> Result<Head, OciError> {
        let wrong = |problem: String| OciError::Invalid { what: what.to_owned(), problem };
        let artifact = ArtifactManifest::read(what, RESULT, text)?;
        let of = |kind: &str| artifact.layers.iter().filter(|layer| layer.media_type == kind).collect::<Vec<_>>();
        let [only] = of(MANIFEST)[..] else {
            return Err(wrong("it does not have exactly one manifest.json".to_owned()));
        };
        let manifest_text = place.small(only, manifest::LIMIT)?;
        let manifest = Manifest::read(&manifest_text).map_err(|error| wrong(format!("manifest.json: {error}")))?;
        if manifest.write().as_bytes() != manifest_text || !is_plain(&manifest.recipe) {
            return Err(wrong("its manifest.json is not as kiln writes it".to_owned()));
        }
        let lock = match of(LOCK)[..] {
            [] => None,
            [layer] => Some(
                read_lock(place.small(layer, LOCK_LIMIT)?).map_err(|problem| wrong(format!("its lock: {problem}")))?,
            ),
            _ => return Err(wrong("it has more than one lock".to_owned())),
        };
        let emulators = match &lock {
            Some((lock, _)) => emulators::plan(lock, &manifest).map_err(|problem| wrong(problem.to_string()))?,
            None => Plan::default(),
        };
        let files = files(&artifact, &manifest, &emulators).map_err(wrong)?;
        let disks = disks(&files, &of(CHUNKS)).map_err(wrong)?;
        let counted = || artifact.layers.iter().filter(|layer| layer.media_type != CHUNKS);
        let (layers, bytes) = (counted().count(), counted().map(|layer| layer.size).sum());
        Ok(Head { manifest, lock, emulators, files, disks, layers, bytes })
    }
}

/// The disks that the layers with indexes are of: at most one for each file.
fn disks(files: &[Descriptor], indexes: &[&Descriptor]) -> Result<Vec<ChunkedDisk>, String> {
    let mut disks: Vec<ChunkedDisk> = Vec::new();
    for index in indexes {
        let title = index.title().unwrap_or_default();
        let name = title.strip_suffix(CHUNKS_SUFFIX);
        let image = files.iter().find(|file| file.media_type == ARTIFACT && file.title() == name);
        let image = image.filter(|_| name.is_some());
        let image = image.ok_or_else(|| format!("it has an index of chunks `{title}` of no file of its own"))?;
        if disks.iter().any(|known| known.image.title() == name) {
            return Err(format!("it has layer `{title}` twice"));
        }
        disks.push(ChunkedDisk { image: image.clone(), index: (*index).clone() });
    }
    Ok(disks)
}

fn read_lock(text: Vec<u8>) -> Result<(Lock, String), String> {
    let text = String::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let lock = lock::read(&text).map_err(|error| error.to_string())?;
    if lock::write(&lock) == text { Ok((lock, text)) } else { Err("not in canonical form".to_owned()) }
}

/// The layers with files, each of which the manifest or the lock names, and all that they name.
fn files(artifact: &ArtifactManifest, manifest: &Manifest, emulators: &Plan) -> Result<Vec<Descriptor>, String> {
    let (mut files, mut titles, mut packages) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for layer in &artifact.layers {
        let (title, digest) = (layer.title().unwrap_or_default(), layer.digest.0);
        let expected = match layer.media_type.as_str() {
            MANIFEST | LOCK | CHUNKS => continue,
            ARTIFACT => {
                let listed = manifest.artifacts.get(title).map(|file| (file.sha256, file.size));
                let listed =
                    listed.ok_or_else(|| format!("it has a layer `{title}` that its manifest.json does not list"))?;
                if !titles.insert(title) {
                    return Err(format!("it has layer `{title}` twice"));
                }
                listed
            }
            PACKAGE => {
                let fetch = emulators.fetches.get(&digest);
                let fetch =
                    fetch.ok_or_else(|| format!("it has a package `{title}` that its QEMU does not consist of"))?;
                if !packages.insert(digest) {
                    return Err(format!("it has package `{title}` twice"));
                }
                (fetch.digest, fetch.size)
            }
            other => return Err(format!("it has a layer of type `{other}`, which no artifact of kiln has")),
        };
        if expected != (digest, layer.size) {
            return Err(format!("layer `{title}` is not the file that its manifest.json lists"));
        }
        files.push(layer.clone());
    }
    if let Some(name) = manifest.artifacts.keys().find(|name| !titles.contains(name.as_str())) {
        return Err(format!("it has no layer `{name}`, which its manifest.json lists"));
    }
    match emulators.fetches.values().find(|fetch| !packages.contains(&fetch.digest)) {
        Some(fetch) => Err(format!("it lacks a package of its QEMU: {}", fetch.label)),
        None => Ok(files),
    }
}
