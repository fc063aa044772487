//! `kiln export`: the disk of an image in the formats that other programs take.
//!
//! Input: a result directory, whole and unchanged, or a recipe, which is built. Output: one file, whose bytes follow from the
//! disk's alone: the same wherever, whenever and by whomever it is written. It appears whole or not at all.

mod convert;
mod course;
mod disk;
mod elf;
mod facts;
mod files;
mod image;
mod layout;
mod raw;
mod target;
mod tree;

pub(super) use disk::DiskFile;
pub(super) use facts::FileFacts;
pub(super) use files::files;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use self::course::Course;
use self::layout::LayoutTarget;
use self::target::NewExport;
use super::error::{ExportError, OpsError};
use super::event::OpsEvent;
use super::options::{BuildOptions, RecipeOptions};
use super::session::Session;
use super::target::{ExistingFile, FileTarget};
use super::{build, load, local, project, sign};
use crate::base::Digest;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::oci::Reference;

/// The tag of a container image.
const TAG: &str = "latest";
/// What the name of an image layout begins with.
const LAYOUT: &str = "oci:";

/// What a disk is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Its bytes, with holes.
    Raw,
    /// The files of its root file system.
    Tar,
    /// Those files as a container image.
    Oci,
    /// The disk in a container image, as KubeVirt takes it.
    Containerdisk,
    /// The format of Hyper-V and of Azure's tools.
    Vhd,
    /// The format of VMware.
    Vmdk,
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExportFormat::Raw => "raw disk",
            ExportFormat::Tar => "root file system",
            ExportFormat::Oci => "container image",
            ExportFormat::Containerdisk => "KubeVirt containerDisk",
            ExportFormat::Vhd => "VHD",
            ExportFormat::Vmdk => "VMDK",
        })
    }
}

/// What is to be written.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// A recipe, or a result directory.
    pub recipe: RecipeOptions,
    /// How a recipe is built.
    pub build: BuildOptions,
    /// As what.
    pub format: ExportFormat,
    /// Which image, or whose disk.
    pub image: Option<String>,
    /// Where to: a file, or for container images `oci:DIR` or `oci:DIR:TAG`.
    pub output: PathBuf,
    /// What happens if something is there.
    pub existing: ExistingFile,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// As what.
    pub format: ExportFormat,
    /// The file of the result directory that it was made from.
    pub disk: String,
    /// The size of the file, or of all blobs of an image in a layout.
    pub bytes: u64,
    /// The digest of the file, or of the manifest of an image in a layout.
    pub sha256: Digest,
    /// The digest by which registries name a container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Files of the root file system that are not in it.
    pub left_out: Vec<LeftOut>,
}

/// A file that an export does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The file, from the root.
    pub path: String,
    /// Why not.
    pub reason: &'static str,
}

/// Writes it.
pub fn export(session: &Session<'_>, request: &ExportRequest) -> Result<Exported, OpsError> {
    // Nobody builds for hours to be told of this.
    let target = Destination::open(request)?;
    let (directory, names) = result(session, request)?;
    let (manifest, _) = sign::unchanged(session, &directory)?;
    let disk = DiskFile::choose(&directory, &manifest, (request.image.as_deref(), &names))?;
    // From here on an interrupt ends the writing, and what was written is removed.
    let _running = Interruptible::start(RunningWork::Files);
    let format = request.format;
    session.on(OpsEvent::Writing { name: &disk.name, form: &format });
    let course = Course::new(session);
    let (bytes, sha256, Written { left_out, manifest }) = match &target {
        Destination::File(target) => {
            let new = NewExport::begin(target)?;
            let written = write(&disk, (format, target, &course), &new).map_err(interruption)?;
            let (sha256, bytes) = new.finish()?;
            (bytes, sha256, written)
        }
        Destination::Layout(target) => {
            let image = target.write(&disk, format).map_err(interruption)?;
            let (bytes, sha256) = (image.size(), image.digest());
            (bytes, sha256, Written { left_out: image.left_out, manifest: Some(sha256) })
        }
    };
    Ok(Exported { format, disk: disk.name, bytes, sha256, manifest, left_out })
}

/// Where an export goes.
enum Destination {
    File(FileTarget),
    Layout(Box<LayoutTarget>),
}

impl Destination {
    fn open(request: &ExportRequest) -> Result<Destination, OpsError> {
        let text = request.output.to_str().filter(|text| text.starts_with(LAYOUT));
        match (text.map(Reference::parse).transpose()?, request.format) {
            (Some(Reference::Layout(reference)), ExportFormat::Oci | ExportFormat::Containerdisk) => {
                Ok(Destination::Layout(Box::new(LayoutTarget::open(&reference, request.existing)?)))
            }
            (Some(_), format) => Err(ExportError::NoImage(format.to_string()).into()),
            (None, format) => {
                let what = format!("a {format}");
                Ok(Destination::File(FileTarget::open(&request.output, request.existing, &what)?))
            }
        }
    }
}

#[derive(Default)]
struct Written {
    left_out: Vec<LeftOut>,
    manifest: Option<Digest>,
}

fn write(
    disk: &DiskFile,
    (format, target, course): (ExportFormat, &FileTarget, &Course<'_>),
    new: &NewExport<'_>,
) -> Result<Written, OpsError> {
    match format {
        ExportFormat::Raw => raw::write(disk, course, new)?,
        ExportFormat::Tar => return Ok(Written { left_out: tree::write(disk, new)?, manifest: None }),
        ExportFormat::Vhd | ExportFormat::Vmdk => convert::write(disk, (format, course), new)?,
        ExportFormat::Oci | ExportFormat::Containerdisk => {
            let layer = NewExport::begin(target)?;
            let image = match format {
                ExportFormat::Oci => image::of_root(disk, &layer)?,
                _ => image::of_disk(disk, target.home(), &layer)?,
            };
            image.archive(layer.file(), TAG, new.file()).map_err(|error| new.failed(error))?;
            return Ok(Written { manifest: Some(image.digest()), left_out: image.left_out });
        }
    }
    Ok(Written::default())
}

/// The directory, and by image the machines of the recipe that have it on their disks.
fn result(session: &Session<'_>, request: &ExportRequest) -> Result<(PathBuf, disk::ImageNames), OpsError> {
    let path = &request.recipe.path;
    if path.is_dir() {
        request.build.without_build(path)?;
        return Ok((request.recipe.directory()?.to_owned(), disk::ImageNames::new()));
    }
    let ready = load::ready(session, &request.recipe)?;
    let recipe = &ready.loaded.recipe;
    local::verifiable(recipe)?;
    let directory = project::result_path(path);
    let mut names = disk::ImageNames::new();
    for machine in recipe.machines.values() {
        names.entry(machine.image.clone()).or_default().push(machine.name.clone());
    }
    build::build(&ready, &request.build, &directory)?;
    Ok((directory, names))
}

/// What failed since the user had asked for an end.
fn interruption(error: OpsError) -> OpsError {
    if interrupt::stopped() { OpsError::Interrupted } else { error }
}

/// An error once the user has asked for an end.
fn ask_to_stop() -> io::Result<()> {
    if interrupt::stopped() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}
