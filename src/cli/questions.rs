//! `kiln diff`, `kiln why`, `kiln size`, `kiln outdated` and `kiln report`: questions about locks.

use std::path::PathBuf;

use clap::Args;

use super::shared::RecipeArgs;

/// `kiln diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A recipe with a lock, a lock, a result directory, or the disk of an image (.qcow2, .raw, .tar)
    pub a: PathBuf,
    /// Another one of the same kind
    pub b: PathBuf,
    /// Exit with 3 if there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The package
    pub package: String,
    /// A recipe with a lock, a lock, or a result directory
    pub recipe: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln size`
#[derive(Debug, Args)]
pub struct SizeArgs {
    /// A recipe with a lock, a lock, or a result directory
    pub recipe: PathBuf,
    /// Number of packages and files listed for each package set and source
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln outdated`
#[derive(Debug, Args)]
pub struct OutdatedArgs {
    /// Path to a recipe with a lock
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// List only security updates, and exit with code 3 only if there are any
    #[arg(long)]
    pub security: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Path to a recipe with a lock, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// File to write the page to, `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
    /// Also check the signature of this result directory, and list who signed it
    #[arg(long, value_name = "DIR")]
    pub result: Option<PathBuf>,
    /// Also list who attests builds of the lock: a directory, an address or an OCI reference that has attestations
    #[arg(long, value_name = "PLACE")]
    pub from: Vec<String>,
    /// Trust the keys in this file as well as those in kiln/trusted-keys of the user's configuration
    #[arg(long, value_name = "FILE")]
    pub trusted_keys: Vec<PathBuf>,
}
