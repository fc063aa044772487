//! Container images: a root file system, or a disk for KubeVirt, as the one layer of an OCI image.
//!
//! The layer is not compressed: its digest is then that of its content, which no version of a compressor changes, and
//! registries are pushed to by programs that compress. The image is an archive (`docker load`, `podman load`, skopeo's
//! `oci-archive:`) or is listed in an OCI image layout.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use serde::Serialize;

use super::disk::DiskFile;
use super::target::{NewExport, hash};
use super::{LeftOut, ask_to_stop, elf, tree};
use crate::base::{Arch, Digest, Timestamp};
use crate::exec::interrupt;
use crate::format::disk::DiskReader;
use crate::format::qcow2;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader, TarWriter};
use crate::oci::{
    Descriptor, ImageIndex, ImageManifest, LAYOUT_MARKER, LAYOUT_VERSION, MANIFEST_TYPE, OciDigest, REF_NAME, Upload,
};
use crate::ops::error::{ExportError, OpsError};
use crate::world::{OutputDirectory, sparse};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The time of entries of kiln's own, as in bundles.
const TIME: i64 = 315_532_800;
/// Who reads disks in KubeVirt's pods (`qemu`), and how: its user guide, "containerDisk".
const QEMU: u32 = 107;
const DISK_MODE: u32 = 0o440;
const SHELLS: [&str; 4] = ["bin/bash", "usr/bin/bash", "bin/sh", "usr/bin/sh"];

/// `application/vnd.oci.image.config.v1+json`
#[derive(Serialize)]
struct ImageConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    architecture: &'a str,
    os: &'a str,
    config: RunConfig<'a>,
    rootfs: RootFs,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: [OciDigest; 1],
}

/// An image whose layer is written.
pub(super) struct Image {
    /// Configuration and manifest, with what names them.
    config: (Descriptor, Vec<u8>),
    manifest: (Descriptor, Vec<u8>),
    layer: Descriptor,
    pub(super) left_out: Vec<LeftOut>,
}

/// The image of a root file system; its layer is written to `layer`.
pub(super) fn of_root(disk: &DiskFile, layer: &NewExport<'_>) -> Result<Image, OpsError> {
    let left_out = tree::write(disk, layer)?;
    let found = LayerFacts::read(layer.file()).map_err(|error| layer.failed(error))?;
    let unknown = "none of its programs says for which architecture it is";
    let wrong = || ExportError::Disk { disk: disk.path(), problem: unknown.to_owned() };
    let architecture = found.architecture.ok_or_else(wrong)?;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let cmd = found.shell.map(|shell| format!("/{shell}")).into_iter().collect();
    let run = RunConfig { env: vec![path], cmd };
    Image::new((architecture, Some(found.latest), run), layer, left_out)
}

/// The image of a disk, as KubeVirt takes it.
pub(super) fn of_disk(disk: &DiskFile, home: &OutputDirectory, layer: &NewExport<'_>) -> Result<Image, OpsError> {
    let architecture = tree::architecture(disk)?;
    let converted = home.begin()?;
    let failed = |error| layer.failed(error);
    match disk.open_disk()? {
        DiskReader::Raw(file, _) => {
            let target = converted.file.try_clone().map_err(failed)?;
            let options = qcow2::Qcow2Options::default();
            let written = qcow2::write_qcow2_until(&file, target, options, (&mut |_, _| {}, &interrupt::stopped));
            written.map_err(|error| layer.failed(io::Error::other(error)))?;
        }
        DiskReader::Qcow2(_) => {
            sparse::copy_while(&disk.open_file()?, &converted.file, &ask_to_stop).map_err(failed)?
        }
    }
    disk_layer(&disk.label, &converted.file, layer.file()).map_err(failed)?;
    Image::new((architecture, None, RunConfig::default()), layer, Vec::new())
}

fn disk_layer(name: &str, disk: &File, out: &File) -> io::Result<()> {
    let path = |path: &str| TarPath::new(path).map_err(io::Error::other);
    let size = disk.metadata()?.len();
    let mut file = TarEntry::file(path(&format!("disk/{name}.qcow2"))?, DISK_MODE, TIME, size);
    (file.uid, file.gid) = (QEMU, QEMU);
    let mut directory = TarEntry::directory(path("disk")?, 0o555, TIME);
    (directory.uid, directory.gid) = (QEMU, QEMU);
    let mut archive = TarWriter::new(BufWriter::with_capacity(1 << 20, out));
    archive.append_empty(&directory).map_err(io::Error::other)?;
    rustix::fs::seek(disk, rustix::fs::SeekFrom::Start(0))?;
    archive.append(&file, Watched(disk)).map_err(io::Error::other)?;
    archive.finish().map_err(io::Error::other)?.flush()
}

/// What the layer of a root file system says of it.
#[derive(Default)]
struct LayerFacts {
    architecture: Option<Arch>,
    shell: Option<&'static str>,
    /// Of all files.
    latest: i64,
}

impl LayerFacts {
    fn read(mut file: &File) -> io::Result<LayerFacts> {
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, Watched(&mut file)));
        let mut facts = LayerFacts::default();
        let mut shells = Vec::new();
        while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
            facts.latest = facts.latest.max(entry.mtime);
            shells.extend(SHELLS.iter().copied().filter(|shell| entry.path.as_bytes() == shell.as_bytes()));
            if facts.architecture.is_none() && entry.kind == TarEntryKind::File && entry.mode & 0o111 != 0 {
                let mut head = Vec::new();
                Read::take(&mut reader, elf::HEAD_BYTES).read_to_end(&mut head)?;
                facts.architecture = elf::machine(&head);
            }
        }
        facts.shell = SHELLS.into_iter().find(|shell| shells.contains(shell));
        Ok(facts)
    }
}

impl Image {
    fn new(
        (architecture, created, config): (Arch, Option<i64>, RunConfig<'_>),
        layer: &NewExport<'_>,
        left_out: Vec<LeftOut>,
    ) -> Result<Image, OpsError> {
        let (digest, size) = hash(layer.file()).map_err(|error| layer.failed(error))?;
        let config = ImageConfig {
            created: created.map(|seconds| Timestamp(seconds).to_string()),
            architecture: architecture.facts().debian,
            os: "linux",
            config,
            rootfs: RootFs { r#type: "layers", diff_ids: [OciDigest(digest)] },
        };
        let text = serde_json::to_vec(&config).map_err(|error| layer.failed(error.into()))?;
        let (config, layer) = (Descriptor::of(CONFIG_TYPE, &text), Descriptor::new(LAYER_TYPE, digest, size));
        let manifest = ImageManifest::new(config.clone(), vec![layer.clone()]).write();
        let manifest = (Descriptor::of(MANIFEST_TYPE, &manifest), manifest);
        Ok(Image { config: (config, text), manifest, layer, left_out })
    }

    /// What names its manifest, and the manifest.
    pub(super) fn manifest(&self) -> (&Descriptor, &[u8]) {
        (&self.manifest.0, &self.manifest.1)
    }

    /// Its other blobs; the layer is there.
    pub(super) fn blobs(&self, layer: Upload) -> [(&Descriptor, Upload); 2] {
        [(&self.config.0, Upload::Bytes(self.config.1.clone())), (&self.layer, layer)]
    }

    /// Bytes of all its blobs.
    pub(super) fn size(&self) -> u64 {
        [&self.config.0, &self.manifest.0, &self.layer].iter().map(|blob| blob.size).sum()
    }

    /// The digest of its manifest, by which registries name it.
    pub(super) fn digest(&self) -> Digest {
        self.manifest.0.digest.0
    }

    /// Writes the image as an archive of a layout whose one tag is this.
    pub(super) fn archive(&self, layer: &File, tag: &str, out: &File) -> io::Result<()> {
        let mut listed = self.manifest.0.clone();
        listed.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        let index = ImageIndex::new(vec![listed]).write();
        let mut archive = TarWriter::new(BufWriter::with_capacity(1 << 20, out));
        for directory in ["blobs", "blobs/sha256"] {
            let path = TarPath::new(directory).map_err(io::Error::other)?;
            archive.append_empty(&TarEntry::directory(path, 0o755, TIME)).map_err(io::Error::other)?;
        }
        let mut append = |name: &str, size: u64, content: &mut dyn Read| {
            let entry = TarEntry::file(TarPath::new(name).map_err(io::Error::other)?, 0o644, TIME, size);
            archive.append(&entry, Watched(content)).map_err(io::Error::other)
        };
        let mut blobs =
            [(&self.config.0, Some(&self.config.1)), (&self.manifest.0, Some(&self.manifest.1)), (&self.layer, None)];
        blobs.sort_by_key(|(blob, _)| blob.digest);
        for (blob, text) in blobs {
            let name = format!("blobs/sha256/{}", blob.digest.0.hex());
            match text {
                Some(text) => append(&name, blob.size, &mut text.as_slice())?,
                None => {
                    rustix::fs::seek(layer, rustix::fs::SeekFrom::Start(0))?;
                    append(&name, blob.size, &mut &*layer)?;
                }
            }
        }
        append("index.json", index.len() as u64, &mut index.as_slice())?;
        append(LAYOUT_MARKER, LAYOUT_VERSION.len() as u64, &mut LAYOUT_VERSION.as_bytes())?;
        archive.finish().map_err(io::Error::other)?.flush()
    }
}

/// Bytes that end with an error once the user has asked for an end.
struct Watched<R>(R);

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        ask_to_stop().map_err(|_| io::Error::other("interrupted"))?;
        self.0.read(buffer)
    }
}
