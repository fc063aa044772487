//! Which disk of a result directory is exported, and its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::deliver::manifest::Manifest;
use crate::format::disk::DiskReader;
use crate::ops::error::{ExportError, OpsError};
use crate::recipe::image::DiskFormat;
use crate::world::dir::Dir;
use crate::world::fs;
use crate::world::plain::Odd;

/// No build delivers such an image.
const ODD: &str = "it is neither a disk nor an archive of kiln";

/// By image: the machines that have it on their disks. A directory alone does not say.
pub(super) type ImageNames = BTreeMap<String, Vec<String>>;

/// A disk of a result directory.
pub(in crate::ops) struct DiskFile {
    directory: PathBuf,
    /// Its file there.
    pub(in crate::ops) name: String,
    /// What an export calls it: the name of the image or the machine.
    pub(in crate::ops) label: String,
    form: DiskForm,
}

/// What the file of a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiskForm {
    Disk(DiskFormat),
    /// The archive of a root file system, of an image that no machine uses.
    Archive,
}

/// A disk, or the archive that an image is instead of one.
pub(super) enum OpenDisk {
    Disk(DiskReader),
    Archive(File),
}

impl DiskFile {
    /// The disk of this name, or the only one. Names are those of machines and of images that no machine uses, and of images
    /// whose machines all have the same disk.
    pub(super) fn choose(
        directory: &Path,
        manifest: &Manifest,
        (wanted, images): (Option<&str>, &ImageNames),
    ) -> Result<DiskFile, OpsError> {
        let disks = disks(manifest);
        let digest = |file: &String| manifest.artifacts.get(file).map(|found| found.sha256);
        let file = match wanted {
            Some(wanted) => {
                let machines = images.get(wanted).map_or(&[][..], Vec::as_slice);
                let found = std::iter::once(wanted).chain(machines.iter().map(String::as_str));
                let files: Vec<&String> = found.filter_map(|name| disks.get(name)).collect();
                let differ = files.iter().map(|file| digest(file)).collect::<BTreeSet<_>>().len() > 1;
                match files.first() {
                    Some(_) if differ && !disks.contains_key(wanted) => {
                        return Err(
                            ExportError::Several { image: wanted.to_owned(), machines: machines.to_vec() }.into()
                        );
                    }
                    found => found.copied(),
                }
            }
            None if disks.len() == 1 => disks.values().next(),
            None => None,
        };
        let names: Vec<String> =
            disks.keys().chain(images.keys()).collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let (Some(name), false) = (file, names.is_empty()) else {
            let (directory, wanted) = (directory.to_owned(), wanted.map(str::to_owned));
            return Err(ExportError::Choose { directory, wanted, names }.into());
        };
        let label = disks.iter().find(|(_, file)| *file == name).map_or_else(String::new, |(label, _)| label.clone());
        DiskFile::named(directory, name, label)
    }

    /// All disks and archives of a result directory.
    pub(in crate::ops) fn all(directory: &Path, manifest: &Manifest) -> Result<Vec<DiskFile>, OpsError> {
        disks(manifest).into_iter().map(|(label, name)| DiskFile::named(directory, &name, label)).collect()
    }

    /// A file of a directory, which its name's ending says the form of.
    pub(in crate::ops) fn named(directory: &Path, name: &str, label: String) -> Result<DiskFile, OpsError> {
        let form = match name.rsplit_once('.') {
            Some((_, "raw")) => DiskForm::Disk(DiskFormat::Raw),
            Some((_, "qcow2")) => DiskForm::Disk(DiskFormat::Qcow2),
            Some((_, "tar")) => DiskForm::Archive,
            _ => return Err(ExportError::Disk { disk: directory.join(name), problem: ODD.to_owned() }.into()),
        };
        Ok(DiskFile { directory: directory.to_owned(), name: name.to_owned(), label, form })
    }

    /// Opens it, unless it is an archive.
    pub(super) fn open_disk(&self) -> Result<DiskReader, OpsError> {
        match self.open()? {
            OpenDisk::Disk(disk) => Ok(disk),
            OpenDisk::Archive(_) => Err(ExportError::Archive(self.path()).into()),
        }
    }

    /// Opens it, unless it has more content than its file can hold.
    pub(super) fn open_bounded(&self) -> Result<DiskReader, OpsError> {
        let mut disk = self.open_disk()?;
        fs::context("read", &self.path(), disk.check_content(&super::ask_to_stop))?;
        Ok(disk)
    }

    /// Opens its file.
    pub(super) fn open_file(&self) -> Result<File, OpsError> {
        let plain = Dir::open_named(&self.directory)?.plain_below(&self.name);
        Ok(plain.map_err(|odd: Odd| ExportError::File { path: self.path(), odd })?.file)
    }

    /// Opens it: a plain file, through no link.
    pub(super) fn open(&self) -> Result<OpenDisk, OpsError> {
        let (path, file) = (self.path(), self.open_file()?);
        let disk = match self.form {
            DiskForm::Disk(DiskFormat::Raw) => DiskReader::raw(file),
            DiskForm::Disk(DiskFormat::Qcow2) => DiskReader::qcow2(file),
            DiskForm::Archive => return Ok(OpenDisk::Archive(file)),
        };
        Ok(OpenDisk::Disk(fs::context("read", &path, disk)?))
    }

    /// Where it is, for errors.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// The disks of a directory by the names that users know them by.
fn disks(manifest: &Manifest) -> BTreeMap<String, String> {
    let mut disks = manifest.images.clone();
    for machine in manifest.qemu.keys() {
        for format in [DiskFormat::Qcow2, DiskFormat::Raw].map(DiskFormat::file_name) {
            let names = [format.to_owned(), format!("{machine}/{format}")];
            let own = if manifest.qemu.len() == 1 { &names[..] } else { &names[1..] };
            let file = own.iter().find(|name| manifest.artifacts.contains_key(*name));
            disks.extend(file.map(|file| (machine.clone(), file.clone())));
        }
    }
    disks
}
