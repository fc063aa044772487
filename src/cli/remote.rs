//! `kiln ssh` and `kiln cp`: the verbs that reach running machines.

use std::path::PathBuf;

use clap::Args;

/// `kiln ssh`
#[derive(Debug, Args)]
pub struct SshArgs {
    /// Path to the recipe or result directory that `kiln run` was given
    #[arg(value_name = "RECIPE|DIR")]
    pub source: PathBuf,
    /// Machine to log in to [default: the one on the terminal of `kiln run`]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Process id of the `kiln run` that is meant, if several run such a machine
    #[arg(long, value_name = "PID")]
    pub run: Option<u32>,
    /// Command to run instead of a shell; kiln exits with its exit code
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `kiln cp`
#[derive(Debug, Args)]
pub struct CpArgs {
    /// File or directory to copy: a path, or MACHINE:/PATH in a running machine
    pub from: String,
    /// Where to copy it to: a path, or MACHINE:/PATH; one of both is in a machine
    pub to: String,
    /// Nothing: whoever names the recipe first, as for `kiln ssh`, is told where it belongs
    #[arg(hide = true)]
    pub surplus: Option<String>,
    /// The recipe or result directory that `kiln run` was given, if several runs have a machine of that name
    #[arg(long, value_name = "RECIPE|DIR")]
    pub recipe: Option<PathBuf>,
    /// Process id of the `kiln run` that is meant, if several run such a machine
    #[arg(long, value_name = "PID")]
    pub run: Option<u32>,
}
