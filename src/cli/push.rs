//! `kiln push` and `kiln challenge`: the verbs of caches.

use std::path::PathBuf;

use clap::Args;

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Path to the recipe, which is built first if needed
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How it is built. Results of its steps are pushed to each `--cache`, which must be a directory; `--cache private=DIR` is
    /// for results that are made from private files as well
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// Sign the results with this SSH or minisign private key without a passphrase, or the .pub file of an SSH key that the SSH
    /// agent has
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln challenge`
#[derive(Debug, Args)]
pub struct ChallengeArgs {
    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Caches to compare with each other and with this store [default: the configured ones]
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// Also name the keys in this file by their owners, besides those in kiln/trusted-keys of the user's configuration
    #[arg(long, value_name = "FILE")]
    pub trusted_keys: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
