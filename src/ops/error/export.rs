//! Why a disk was not exported.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::Foreign;
use crate::format::ext4::Ext4Error;
use crate::world::plain::Odd;

/// An export was not made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A layout has an image of this tag.
    #[error(
        "oci:{} has an image with tag `{}` already\n  help: name another tag (oci:DIR:TAG), or pass --force to replace it",
        Foreign(.0.display()), Foreign(.1)
    )]
    Tagged(PathBuf, String),
    /// An image layout takes container images.
    #[error(
        "`oci:` names an image layout, which takes container images (--format oci, containerdisk), not a {0}; for a file of that name write ./oci:..."
    )]
    NoImage(String),
    /// There is no such disk, or more than one.
    #[error("{}", choose(directory, wanted.as_deref(), names))]
    Choose {
        /// The result directory.
        directory: PathBuf,
        /// The name that was given.
        wanted: Option<String>,
        /// Names that could be.
        names: Vec<String>,
    },
    /// Machines have the image on disks that differ.
    #[error(
        "image `{}` is on several disks that differ; name one of the machines with --image: {}",
        Foreign(image), Foreign(machines.join(", "))
    )]
    Several {
        /// The image.
        image: String,
        /// Its machines.
        machines: Vec<String>,
    },
    /// There is no disk to convert.
    #[error("{} is an archive, not a disk: --format tar and oci take it", Foreign(.0.display()))]
    Archive(PathBuf),
    /// A disk that the format cannot hold.
    #[error(
        "{} has {size} bytes, which the format {format} cannot hold: whole sectors of 512 bytes, at most {largest} bytes",
        Foreign(disk.display())
    )]
    Unfit {
        /// The disk.
        disk: PathBuf,
        /// The format.
        format: String,
        /// Bytes of the disk.
        size: u64,
        /// The most that the format holds.
        largest: u64,
    },
    /// The file of a disk was changed since it was compared.
    #[error("cannot read {}: {odd}", Foreign(path.display()))]
    File {
        /// The file.
        path: PathBuf,
        /// What it is.
        odd: Odd,
    },
    /// A disk that is not as kiln makes them.
    #[error("{}: {}", Foreign(disk.display()), Foreign(problem))]
    Disk {
        /// The disk.
        disk: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file system that cannot be read.
    #[error("{}: {source}", Foreign(disk.display()))]
    FileSystem {
        /// The disk.
        disk: PathBuf,
        /// Why not.
        source: Ext4Error,
    },
}

fn choose(directory: &std::path::Path, wanted: Option<&str>, names: &[String]) -> String {
    let directory = Foreign(directory.display());
    let list = Foreign(names.join(", "));
    match (wanted, names.len()) {
        (_, 0) => format!("{directory} has no disk: its recipe has no image"),
        (Some(wanted), _) => format!("{directory} has no disk of `{}`; --image takes one of: {list}", Foreign(wanted)),
        (None, _) => format!("{directory} has several disks; name one with --image: {list}"),
    }
}

impl ExportError {
    /// Whose failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            ExportError::Tagged(..)
            | ExportError::NoImage(_)
            | ExportError::Archive(_)
            | ExportError::Unfit { .. }
            | ExportError::Choose { .. }
            | ExportError::Several { .. } => ErrorClass::Usage,
            ExportError::File { .. } => ErrorClass::Mismatch,
            ExportError::Disk { .. } | ExportError::FileSystem { .. } => ErrorClass::Input,
        }
    }
}
