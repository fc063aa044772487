//! `kiln attest`: the verb that says with a key what was built here.

use std::path::PathBuf;

use clap::Args;

use super::shared::{RealizeArgs, RecipeArgs};

/// `kiln attest`
#[derive(Debug, Args)]
// What others built is not attested, so that these are refused with words.
#[command(mut_arg("caches", |option| option.hide(true)))]
#[command(mut_arg("without_caches", |option| option.hide(true)))]
#[command(mut_arg("trusted_keys", |option| option.hide(true)))]
#[command(mut_arg("incremental", |option| option.hide(true)))]
pub struct AttestArgs {
    /// Path to a recipe, all steps of which are built here if they were not, or to a result directory that was built here
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// How the build of a recipe goes; results of others do not count
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// A minisign private key, an SSH private key without a passphrase, or the .pub file of an SSH key that the SSH agent has
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The passphrase of a minisign key is the first line of this file, or of standard input for `-` [default: it is asked for at
    /// the terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Let the attestation expire after this many days, 1 to 36500 [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub expires: Option<u32>,
    /// Write the attestation to this file, `-` for standard output [default: attestations.intoto.jsonl in the result directory, beside those of others]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace what is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
