//! Bits that are not what a lock, a manifest or the absence of traces promises.

use std::path::PathBuf;

use crate::base::Foreign;
use crate::deliver::check::Difference;
use crate::inspect::leak::Hit;
use crate::lock::LockedFile;

/// Traces of this machine that an error names; the others are counted.
const NAMED_HITS: usize = 10;

/// Bits are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum MismatchError {
    /// Artifacts have traces of this machine in them.
    #[error("{}\n  help: use --allow-leaks to deliver it anyway", leaks(.0))]
    Leaks(Vec<Hit>),
    /// A build gave other bits than the lock says.
    #[error(
        "not the bits of the lock{}\n  help: the files are delivered as they came out; `kiln verify --rebuild` says \
         where they differ", .0.iter().map(|one| format!("\n  {one}")).collect::<String>()
    )]
    Outputs(Vec<OutputMismatch>),
    /// A QEMU calls itself something else than its package.
    #[error("the QEMU of `{set}` reports version {said}, but the lock pins {locked}")]
    QemuVersion {
        /// Its package set.
        set: String,
        /// What the lock says.
        locked: String,
        /// What it says.
        said: String,
    },
    /// A result directory is not as it was built.
    #[error("{} does not match its manifest; nothing was started{}", directory.display(),
        differences.iter().map(|one| format!("\n  {one}")).collect::<String>())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// How it differs.
        differences: Vec<Difference>,
    },
    /// The same, where nothing was going to be started.
    #[error("{} does not match its manifest{}", directory.display(),
        differences.iter().map(|one| format!("\n  {one}")).collect::<String>())]
    Changed {
        /// The directory.
        directory: PathBuf,
        /// How it differs.
        differences: Vec<Difference>,
    },
    /// What a manifest calls a QEMU is none.
    #[error("the QEMU that the manifest names for machine {machine} has no {program}")]
    NoProgram {
        /// The machine.
        machine: String,
        /// The program.
        program: String,
    },
    /// A machine whose files have no disk among them.
    #[error("machine {0} has no disk")]
    NoDisk(String),
    /// A file that is no kernel configuration.
    #[error("{}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// An output whose bits are not the lock's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {} ({} bytes), expected {} ({} bytes)", built.sha256, built.size, locked.sha256, locked.size)]
pub struct OutputMismatch {
    /// `MACHINE/FILE`.
    pub name: String,
    /// What was built.
    pub built: LockedFile,
    /// What the lock says.
    pub locked: LockedFile,
}

/// Traces of this machine, as a sentence and a line each.
pub fn leaks(hits: &[Hit]) -> String {
    let more =
        if hits.len() > NAMED_HITS { format!("\n  and {} more", hits.len() - NAMED_HITS) } else { String::new() };
    let lines: String = hits.iter().take(NAMED_HITS).map(|hit| format!("\n  {}", Foreign(hit))).collect();
    format!("the artifacts contain traces of this host{lines}{more}")
}
