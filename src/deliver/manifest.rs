//! `manifest.json`: what a build delivered, so that anybody can check it with `sha256sum` alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plain::is_plain;
use crate::base::{Digest, Foreign};

/// Version of the file format.
pub const FORMAT: u32 = 1;

/// The file's name in a result directory.
pub const FILE: &str = "manifest.json";

/// What has its place while files are delivered: it lists also those of earlier builds, so that the next delivery
/// removes them should this one not end.
pub const PARTIAL_FILE: &str = "manifest.partial.json";

/// Beside it in a directory that was pulled: the lock that it was built from.
pub const LOCK_FILE: &str = "kiln.lock";

/// A manifest is refused when it is larger than this; real ones have a few kilobytes.
pub const LIMIT: u64 = 4 << 20;

/// Machines of a recipe: each has a directory, which is held open while it is compared.
const MACHINES: usize = 256;
/// Files of all machines; each has a handful.
const ARTIFACTS: usize = 4096;
/// Bytes of the largest file: no step may have a larger output, and a hole of terabytes, which costs its maker nothing,
/// would be read for hours.
const LARGEST: u64 = 256 << 30;

/// What a build delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    pub recipe: String,
    /// Output version of the kiln that built it.
    pub output_version: u32,
    /// Digest of the lock's inputs: its canonical text without what only a build can know.
    pub lock: Digest,
    /// Every file, by path relative to the manifest.
    pub artifacts: BTreeMap<String, DeliveredFile>,
    /// Every step's id, by name.
    pub steps: BTreeMap<String, Digest>,
    /// Steps that went on from an earlier run (`--incremental`): nobody has shown yet that a run from nothing has their bits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub incremental: BTreeSet<String>,
    /// Kernels that were compiled from a directory of whoever built, with the digest of its listing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub local: BTreeMap<String, Digest>,
    /// By machine: the step whose tree has its QEMU.
    pub qemu: BTreeMap<String, String>,
    /// By machine whose QEMU a build made: the id under which a store knows that tree. That of packages is among the steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_qemu: BTreeMap<String, Digest>,
    /// By image that no machine uses: its file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// By kernel that no machine uses: its files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<String, BTreeSet<String>>,
    /// By image: what is doubtful about its files and packages, a sentence each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warnings: BTreeMap<String, Vec<String>>,
}

/// One delivered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredFile {
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// A manifest that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of a manifest.
    #[error("invalid manifest: {}", Foreign(.0))]
    Syntax(String),
    /// Written by a newer kiln.
    #[error("manifest has format {0}, but this version of kiln reads format {FORMAT}")]
    Format(u32),
    /// A name that points out of the result directory.
    #[error("`{}` is not a valid name of a file or a machine", Foreign(.0))]
    Name(String),
    /// More of something than a build delivers.
    #[error("it lists {found} {what} (limit {most})")]
    Many {
        /// What there is too much of.
        what: &'static str,
        /// How many are listed.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// A file that would be read for hours.
    #[error("it gives {} a size of {size} bytes (limit {LARGEST})", Foreign(file))]
    Large { file: String, size: u64 },
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn read(text: &[u8]) -> Result<Manifest, ManifestError> {
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        let files = manifest.artifacts.keys().filter(|name| !is_file_name(name));
        let owners = manifest.qemu.keys().chain(manifest.images.keys()).chain(manifest.kernels.keys());
        let odd = owners.chain(manifest.alone()).filter(|name| !is_plain(name));
        let odd = files.chain(odd).next().cloned();
        odd.map_or_else(|| manifest.bounded(), |name| Err(ManifestError::Name(name)))
    }

    /// The files of images and kernels that no machine uses.
    pub fn alone(&self) -> impl Iterator<Item = &String> {
        self.images.values().chain(self.kernels.values().flatten())
    }

    /// Itself, where comparing a directory with it ends in reasonable time and memory.
    fn bounded(self) -> Result<Manifest, ManifestError> {
        let counts = [
            ("machines", self.qemu.len(), MACHINES),
            ("images", self.images.len(), ARTIFACTS),
            ("kernels", self.kernels.len(), ARTIFACTS),
            ("files of kernels", self.kernels.values().map(BTreeSet::len).sum(), ARTIFACTS),
            ("files", self.artifacts.len(), ARTIFACTS),
        ];
        if let Some((what, found, most)) = counts.into_iter().find(|(_, found, most)| found > most) {
            return Err(ManifestError::Many { what, found, most });
        }
        match self.artifacts.iter().find(|(_, artifact)| artifact.size > LARGEST) {
            Some((file, artifact)) => Err(ManifestError::Large { file: file.clone(), size: artifact.size }),
            None => Ok(self),
        }
    }

    /// Where the files of each machine are: beside the manifest when there is one, else in a directory of its own.
    pub fn machines(&self) -> impl Iterator<Item = (&str, &str)> {
        let one = self.qemu.len() == 1;
        self.qemu.keys().map(move |machine| (machine.as_str(), if one { "" } else { machine.as_str() }))
    }

    /// The one spelling of this manifest.
    pub fn write(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has only strings and numbers");
        text.push('\n');
        text
    }
}

/// A name, or a machine's directory and a name.
fn is_file_name(name: &str) -> bool {
    let (directory, file) = name.split_once('/').unwrap_or(("m", name));
    is_plain(directory) && is_plain(file) && ![FILE, PARTIAL_FILE].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        let artifact = DeliveredFile { size: 3, sha256: Digest::of(b"abc") };
        Manifest {
            format: FORMAT,
            recipe: "example".to_owned(),
            output_version: 1,
            lock: Digest::of(b"lock"),
            artifacts: BTreeMap::from([("disk.qcow2".to_owned(), artifact)]),
            steps: BTreeMap::from([("disk".to_owned(), Digest::of(b"step"))]),
            incremental: BTreeSet::new(),
            built_qemu: BTreeMap::new(),
            local: BTreeMap::new(),
            qemu: BTreeMap::from([("m".to_owned(), "tools qemu".to_owned())]),
            images: BTreeMap::new(),
            kernels: BTreeMap::new(),
            warnings: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Manifest::read(example().write().as_bytes()).unwrap(), example());
        assert!(!example().write().contains("incremental"), "builds from nothing do not mention it");
        let incremental = Manifest { incremental: ["kernel-build small".to_owned()].into(), ..example() };
        assert_eq!(Manifest::read(incremental.write().as_bytes()).unwrap(), incremental);
        let local = Manifest { local: [("mine".to_owned(), Digest::of(b"tree"))].into(), ..example() };
        assert_eq!(Manifest::read(local.write().as_bytes()).unwrap(), local);
        let warned = Manifest { warnings: [("i".to_owned(), vec!["package p: odd".to_owned()])].into(), ..example() };
        assert_eq!(Manifest::read(warned.write().as_bytes()).unwrap(), warned);
        assert!(!example().write().contains("warnings"), "images without doubts do not mention any");
    }

    #[test]
    fn names_that_climb_out_are_refused() {
        for name in [
            "../disk",
            "/etc/passwd",
            "a/../../b",
            "",
            "a/b/c",
            "a//b",
            "x\n6 files: all good",
            "manifest.json",
            "manifest.partial.json",
        ] {
            let mut manifest = example();
            manifest.artifacts.insert(name.to_owned(), DeliveredFile { size: 0, sha256: Digest::of(b"") });
            let error = Manifest::read(manifest.write().as_bytes()).unwrap_err();
            assert!(matches!(error, ManifestError::Name(_)), "{name}: {error}");
        }
    }

    #[test]
    fn what_would_take_hours_is_refused() {
        let error = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = example();
            change(&mut manifest);
            Manifest::read(manifest.write().as_bytes()).map_err(|error| error.to_string())
        };
        let of = |size| DeliveredFile { size, sha256: Digest::of(b"abc") };
        let files = |count: usize| (0..count).map(|number| (format!("f{number}"), of(3))).collect::<BTreeMap<_, _>>();
        let machines = |count: usize| (0..count).map(|number| (format!("m{number}"), String::new())).collect();
        assert!(error(&|manifest| manifest.artifacts = files(ARTIFACTS)).is_ok());
        assert_eq!(
            error(&|manifest| manifest.artifacts = files(ARTIFACTS + 1)).unwrap_err(),
            "it lists 4097 files (limit 4096)"
        );
        assert!(error(&|manifest| manifest.qemu = machines(MACHINES)).is_ok());
        assert_eq!(
            error(&|manifest| manifest.qemu = machines(MACHINES + 1)).unwrap_err(),
            "it lists 257 machines (limit 256)"
        );
        let large =
            |size| error(&|manifest| manifest.artifacts = BTreeMap::from([("disk.qcow2".to_owned(), of(size))]));
        assert!(large(LARGEST).is_ok());
        assert!(large(LARGEST + 1).unwrap_err().starts_with("it gives disk.qcow2 a size of 274877906945 bytes"));
    }

    #[test]
    fn other_formats_and_fields_are_refused() {
        let text = example().write();
        assert!(Manifest::read(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).is_err());
        assert!(Manifest::read(text.replace("\"recipe\"", "\"recipy\"").as_bytes()).is_err());
        assert!(Manifest::read(b"").is_err());
    }
}
