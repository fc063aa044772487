//! `kiln sign`, `kiln sbom`, `kiln bundle` and `kiln unbundle`: the verbs that hand over what was locked or built.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln bundle`
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Path to a recipe or its lock
    #[command(flatten)]
    pub recipe: RecipeArgs,
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// File to write the bundle to
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
    /// Bundle what a run needs, the artifacts (built first if needed) and the locked QEMU, instead of what a rebuild needs
    #[arg(long)]
    pub outputs: bool,
    /// Leave out packages, sources and artifacts that this other lock or bundle has, or the lock of this other recipe
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln unbundle`
#[derive(Debug, Args)]
pub struct UnbundleArgs {
    /// The bundle
    pub file: PathBuf,
    /// New directory for the recipes, the lock and the artifacts [default: the recipe's name]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln sign`
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The result directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// A minisign private key, an SSH private key without a passphrase, or the .pub file of an SSH key that the SSH agent has
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The passphrase of a minisign key is the first line of this file, or of standard input for `-` [default: it is asked for at
    /// the terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Let the signature expire after this many days, 1 to 36500 [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub expires: Option<u32>,
}

/// `kiln sbom`
#[derive(Debug, Args)]
pub struct SbomArgs {
    /// Path to a recipe with a lock, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The format of the document
    #[arg(long, value_enum)]
    pub format: SbomFormatArg,
    /// Write the document to FILE instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace what is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Do not fetch packages that the store lacks; of these, the document has no licence and no source package
    #[arg(long)]
    pub offline: bool,
}

/// The format of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SbomFormatArg {
    /// SPDX 2.3, as JSON
    Spdx,
    /// CycloneDX 1.6, as JSON
    #[value(name = "cyclonedx")]
    CycloneDx,
}
