//! `kiln challenge`: the verb that compares caches.

use std::path::PathBuf;

use clap::Args;

use super::shared::RecipeArgs;

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
