//! `kiln export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::{RealizeArgs, RecipeArgs};
use crate::ops::export::ExportFormat;

/// `kiln export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Path to a recipe, which is built first if needed, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the build of a recipe goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// What to write
    #[arg(long, value_enum)]
    pub format: ExportKind,
    /// The image, or the machine whose disk it is; needed where there are several
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// File to write it to; for `oci` and `containerdisk` also an OCI image layout, oci:DIR or oci:DIR:TAG
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The formats of `kiln export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportKind {
    /// The disk itself, with holes where it has only zeros
    Raw,
    /// A tar archive of the root file system
    Tar,
    /// An OCI container image of the root file system, as an archive
    Oci,
    /// A KubeVirt containerDisk: an OCI container image with the disk, as an archive
    Containerdisk,
    /// A dynamic VHD, for Hyper-V
    Vhd,
    /// A sparse VMDK, for VMware
    Vmdk,
}

impl ExportKind {
    /// The format as operations take it.
    pub fn format(self) -> ExportFormat {
        match self {
            ExportKind::Raw => ExportFormat::Raw,
            ExportKind::Tar => ExportFormat::Tar,
            ExportKind::Oci => ExportFormat::Oci,
            ExportKind::Containerdisk => ExportFormat::Containerdisk,
            ExportKind::Vhd => ExportFormat::Vhd,
            ExportKind::Vmdk => ExportFormat::Vmdk,
        }
    }
}
