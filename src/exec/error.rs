//! Why a plan was not carried out.

use super::log::Record;
use crate::base::Foreign;
use crate::store::StoreError;

/// The plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The user pressed Ctrl-C, or asked otherwise for an end.
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be had anywhere.
    #[error(
        "cannot fetch {label} ({digest}, {size} bytes):\n{asked}\n  \
         help: run `kiln lock --update` to lock what the archives have now, or set KILN_MIRROR to a mirror that still \
         has the file", label = Foreign(label)
    )]
    Fetch {
        label: String,
        digest: crate::base::Digest,
        size: u64,
        /// Every place asked and its answer, a line each.
        asked: String,
    },
    /// A file is not in the store and may not be fetched.
    #[error(
        "{files} files are not in the store, and --offline forbids fetching them; the first is {label}", label = Foreign(label)
    )]
    Offline {
        files: usize,
        /// One of them.
        label: String,
    },
    /// A step failed.
    #[error("step {step} failed: {reason}{tail}{log}", log = log.as_ref().map(Record::to_string).unwrap_or_default())]
    Step {
        step: String,
        reason: String,
        /// Its last lines, each after a line feed and two spaces.
        tail: String,
        /// Where everything that it printed is, if it printed anything.
        log: Option<Record>,
    },
    /// A step whose results had been lost gave other bits than the first time.
    #[error("step {step} is not reproducible: it produced a different {output} when re-run")]
    Irreproducible {
        step: String,
        /// The output that differs.
        output: String,
    },
}
