//! `kiln qmp`: the verb that speaks to a running QEMU.

use std::path::PathBuf;

use clap::Args;

/// `kiln qmp`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kiln qmp recipes/cxl-quick.kiln query-status\n  \
    kiln qmp recipes/cxl-quick.kiln qom-list '{\"path\": \"/machine/peripheral\"}'\n\
    `kiln run` prints the path of the socket, for other clients of QMP")]
pub struct QmpArgs {
    /// Path to the recipe or result directory that `kiln run` was given
    #[arg(value_name = "RECIPE|DIR")]
    pub source: PathBuf,
    /// Name of the QMP command, such as `query-status`
    pub command: String,
    /// Arguments of the command, as a JSON object
    #[arg(value_name = "JSON")]
    pub arguments: Option<String>,
    /// Machine to speak to [default: the one on the terminal]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Process id of the `kiln run` that is meant, if several run such a machine
    #[arg(long, value_name = "PID")]
    pub run: Option<u32>,
}
