//! `kiln push` and `kiln pull`: the verbs that hand builds over through registries.

use std::path::PathBuf;

use clap::Args;

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Path to a recipe, which is built first if needed, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Where to push to: registry.example/NAME:TAG, or oci:DIR:TAG for an OCI image layout. Without it, results of the recipe's
    /// steps are pushed to each `--cache`: a directory, an image layout (oci:DIR), or a repository of a registry (registry.example/NAME); `--cache
    /// private=PLACE` is for results that are made from private files as well, `--cache plain-http=PLACE` for a registry without TLS
    #[arg(required_unless_present = "caches")]
    pub reference: Option<String>,
    /// How the build of a recipe goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// Sign the results for `--cache` with this minisign private key, SSH private key without a passphrase, or the .pub file of an SSH
    /// key that the SSH agent has
    #[arg(long, value_name = "FILE", requires = "caches", conflicts_with = "reference")]
    pub key: Option<PathBuf>,
    /// The passphrase of a minisign key is the first line of this file, or of standard input for `-` [default: it is asked for at
    /// the terminal]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub passphrase_file: Option<PathBuf>,
    /// Speak HTTP without TLS to the registry; one on this machine (localhost, 127.0.0.1) is always spoken to so
    #[arg(long)]
    pub plain_http: bool,
    /// Let the registry take files that this other repository of it already has from there: team/other
    #[arg(long, value_name = "NAME")]
    pub mount_from: Option<String>,
    /// Push this file with the build, as an artifact that refers to it: an SBOM (the JSON of SPDX 2 or CycloneDX) or an attestation
    /// (a DSSE envelope)
    #[arg(long, value_name = "FILE", requires = "reference")]
    pub attach: Vec<PathBuf>,
    /// Take the tag from whatever has it, also from an image that kiln did not push and from a build of another recipe
    #[arg(long, requires = "reference")]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    /// What to pull: registry.example/NAME:TAG, registry.example/NAME@sha256:DIGEST, or oci:DIR:TAG or oci:DIR@sha256:DIGEST for
    /// an OCI image layout
    pub reference: String,
    /// Directory for the artifacts [default: result/NAME]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Refuse a build that is not signed by a trusted key, or is older than one that was accepted before
    #[arg(long)]
    pub signed: bool,
    /// With --signed: trust the keys in this file as well as those in kiln/trusted-keys of the user's configuration
    #[arg(long, value_name = "FILE", requires = "signed")]
    pub trusted_keys: Vec<PathBuf>,
    /// Speak HTTP without TLS to the registry; one on this machine (localhost, 127.0.0.1) is always spoken to so
    #[arg(long)]
    pub plain_http: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
