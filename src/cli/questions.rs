//! `kiln diff`, `kiln why` and `kiln size`: questions about locks.

use std::path::PathBuf;

use clap::Args;

/// `kiln diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A lock, or a recipe with a lock
    pub a: PathBuf,
    /// Another one
    pub b: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The package
    pub package: String,
    /// A recipe with a lock, or a lock
    pub recipe: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln size`
#[derive(Debug, Args)]
pub struct SizeArgs {
    /// A recipe with a lock, or a lock
    pub recipe: PathBuf,
    /// Number of packages and files listed for each package set and source
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
