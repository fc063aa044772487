//! `kiln gc` and `kiln store`.

use clap::{Args, Subcommand};

use super::shared::size;
use crate::base::ByteSize;

/// `kiln gc`
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Keep what was used within this many days
    #[arg(long, visible_alias = "older-than", value_name = "DAYS", default_value_t = 30)]
    pub keep_days: u32,
    /// Also remove what was used longest ago, until the store takes no more than this: 20GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<ByteSize>,
    /// List what would be removed without removing it
    #[arg(long)]
    pub dry_run: bool,
    /// First read every file of the store again, and set damaged ones aside; the exit code is 3 in the end if there are any
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln store`
#[derive(Debug, Args)]
#[command(after_help = "\
The store is the directory in KILN_STORE, else ~/.cache/kiln. What it lacks is read from stores below it, which are never written: \
absolute paths in KILN_STORE_BELOW, separated by spaces, and in kiln/stores-below of the user's configuration, one on a line. \
`trusted=` before a path has the results of its owner count who is neither root nor you.")]
pub struct StoreArgs {
    /// What
    #[command(subcommand)]
    pub question: StoreQuestion,
}

/// A query of the store.
#[derive(Debug, Subcommand)]
pub enum StoreQuestion {
    /// Print where the store is, and below it the stores that it reads from, one on a line
    Path,
    /// List what takes how many bytes
    Stat {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read every file again, list damaged ones and set them aside, and exit with code 3 if there are any. Stores below are read, too, and nothing is
    /// set aside there
    Verify,
    /// Let other users read the store, so that it can be below theirs; what was made from private files stays closed to them
    Share,
    /// Take the right to read results of the store back from other users
    Unshare,
}
