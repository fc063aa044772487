//! Why an operation did not succeed, with the errors of the layers below as sources.

use std::path::PathBuf;

use crate::base::{Diagnostic, Foreign, SourceMap};
use crate::debian::mirror::MirrorError;
use crate::deliver::check::Difference;
use crate::exec::ExecError;
use crate::exec::sandbox::LimitError;
use crate::guest::GuestError;
use crate::inspect::leak::Hit;
use crate::lock::resolve::ResolveError;
use crate::lock::{LockedFile, Mismatch, ReadError};
use crate::recipe::Mistakes;
use crate::store::StoreError;
use crate::world::WorldError;

/// Traces of this machine that an error names; the others are counted.
const NAMED_HITS: usize = 10;

/// Whose failure it is: what scripts are told with an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The recipe, or the lock that belongs to it, is wrong.
    Recipe,
    /// The operation was asked for something that it cannot do.
    Usage,
    /// Bits are not what they should be, or a test of the recipe failed.
    Mismatch,
    /// A file, a network or the host did not do what it was asked.
    Host,
    /// The user ended it.
    Interrupted,
}

/// An operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The recipe is wrong, at these places of it.
    #[error("{}", .0.diagnostics.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Mistakes(Box<Mistakes>),
    /// A lock is missing, wrong, or another recipe's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The operation was asked for something that it cannot do.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// Bits are not what they should be.
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
    /// A lock was not made.
    #[error(transparent)]
    Resolve(Box<ResolveError>),
    /// A plan was not carried out.
    #[error(transparent)]
    Exec(Box<ExecError>),
    /// A machine did not run, or its guest failed.
    #[error(transparent)]
    Guest(Box<GuestError>),
    /// The store failed.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A file or the network failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A file that kiln wrote itself does not parse.
    #[error("{what}: {source}")]
    Parse {
        /// The file.
        what: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The QEMU of a machine was never unpacked into this store.
    #[error("the QEMU of machine {0} is not in this store: run `kiln build`, or start launch.sh with your own QEMU")]
    NoQemu(String),
    /// The second build of a comparison failed.
    #[error("the second build failed with exit code {0}; see above")]
    SecondBuild(i32),
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

/// A lock is missing, wrong, or another recipe's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("no lock found at {}\n  help: run `kiln lock` to make it", .0.display())]
    Missing(PathBuf),
    /// It is not UTF-8.
    #[error("{}: not UTF-8", .0.display())]
    Encoding(PathBuf),
    /// It does not parse.
    #[error("{}: {source}", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// It is another recipe's, or this recipe has changed.
    #[error(
        "{} is not up to date with the recipe\n{}\n  help: run `kiln lock` to update it", path.display(), listed(mismatches)
    )]
    OtherRecipe {
        /// Where it is.
        path: PathBuf,
        /// What differs.
        mismatches: Vec<Mismatch>,
    },
    /// What the archives offer does not satisfy the recipe.
    #[error("the packages of the archives cannot build this recipe\n{}", listed(.0))]
    Unbuildable(Vec<Mismatch>),
    /// A line of it does not follow from its others and the recipe.
    #[error(
        "the lock's {what} `{name}` is not what its other lines and the recipe come to\n  help: the lock was changed by \
         hand, or written by another version of kiln; `kiln lock` writes it anew"
    )]
    Inconsistent {
        /// `step` or `machine`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The package set of a machine's QEMU has no QEMU.
    #[error("package set `{set}`, the QEMU of machine `{machine}`, has no `{package}`")]
    NoQemuPackage {
        /// The set.
        set: String,
        /// The machine.
        machine: String,
        /// The package.
        package: String,
    },
    /// The version of a QEMU package means nothing.
    #[error("`{0}` is not a version of QEMU")]
    QemuVersion(String),
}

/// The operation was asked for something that it cannot do.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A directory where a recipe belongs.
    #[error("{} is a directory; expected a .kiln file", .0.display())]
    Directory(PathBuf),
    /// A pipe where a recipe belongs: `kiln check <(...)`.
    #[error(
        "{} is a pipe or a device; a recipe is a file\n  help: its imports, its lock and its results are found by its \
         place and name: write it to a file", Foreign(.0.display())
    )]
    NotAFile(PathBuf),
    /// The user's mirrors cannot be read.
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    /// The environment sets a limit that there is not.
    #[error("KILN_LIMITS: {0}")]
    Limits(#[from] LimitError),
    /// A recipe without kernels that have Kconfig files.
    #[error("the recipe compiles no kernel; `kiln kconfig diff` reads stock ones")]
    NoCompiledKernel,
    /// A recipe whose kernel is asked for and that has several.
    #[error("{} has several kernels ({names}); name a `kernel.config` below its result directory instead", recipe.display())]
    SeveralKernels {
        /// The recipe.
        recipe: PathBuf,
        /// Their names.
        names: String,
    },
    /// A recipe whose machine is asked for and that has none.
    #[error("{} has no machine", .0.display())]
    NoMachine(PathBuf),
    /// A recipe without machines, when one is needed.
    #[error("the recipe has no machine")]
    NoMachines,
    /// A machine that there is not.
    #[error("unknown machine `{name}`; the recipe has: {machines}")]
    NoSuchMachine {
        /// Its name.
        name: String,
        /// The names that there are.
        machines: String,
    },
    /// Tests are in recipes, not in what was built from them.
    #[error(
        "{}: `kiln test` takes recipes; use `kiln run` for a result directory", .0.display()
    )]
    TestsOfDirectory(PathBuf),
}

impl UsageError {
    /// A machine that is not among these.
    pub fn no_such_machine<'a>(name: &str, machines: impl Iterator<Item = &'a String>) -> UsageError {
        let machines: Vec<&str> = machines.map(String::as_str).collect();
        UsageError::NoSuchMachine { name: name.to_owned(), machines: machines.join(", ") }
    }
}

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

impl OpsError {
    /// Mistakes in a recipe whose texts are these.
    pub(super) fn mistakes(sources: &SourceMap, diagnostics: Vec<Diagnostic>) -> OpsError {
        OpsError::Mistakes(Box::new(Mistakes { sources: sources.clone(), diagnostics }))
    }

    /// A file of kiln's own that does not parse.
    pub(super) fn parse(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> OpsError {
        OpsError::Parse { what: what.into(), source: source.into() }
    }

    /// Whose failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            OpsError::Mistakes(_) | OpsError::Lock(_) => ErrorClass::Recipe,
            OpsError::Usage(_) => ErrorClass::Usage,
            OpsError::Mismatch(_) => ErrorClass::Mismatch,
            OpsError::Resolve(error) => of_resolve(error),
            OpsError::Exec(error) => of_exec(error),
            OpsError::Guest(error) => match **error {
                GuestError::Interrupted => ErrorClass::Interrupted,
                GuestError::Guest { .. } => ErrorClass::Mismatch,
                _ => ErrorClass::Host,
            },
            OpsError::Interrupted => ErrorClass::Interrupted,
            OpsError::Store(_)
            | OpsError::World(_)
            | OpsError::Parse { .. }
            | OpsError::NoQemu(_)
            | OpsError::SecondBuild(_) => ErrorClass::Host,
        }
    }
}

/// What only another recipe, or another `--update`, can mend is the user's mistake; the rest is the host's.
fn of_resolve(error: &ResolveError) -> ErrorClass {
    match error {
        ResolveError::Unsolvable { .. }
        | ResolveError::SetTwice(_)
        | ResolveError::NoIndex { .. }
        | ResolveError::Keys { .. } => ErrorClass::Recipe,
        ResolveError::NotLocked(_) => ErrorClass::Usage,
        _ => ErrorClass::Host,
    }
}

fn of_exec(error: &ExecError) -> ErrorClass {
    match error {
        ExecError::Interrupted => ErrorClass::Interrupted,
        _ => ErrorClass::Host,
    }
}

macro_rules! boxed {
    ($($variant:ident: $error:ty),*) => {
        $(impl From<$error> for OpsError {
            fn from(error: $error) -> OpsError {
                OpsError::$variant(Box::new(error))
            }
        })*
    };
}

boxed!(Resolve: ResolveError, Exec: ExecError, Guest: GuestError, Store: StoreError);

fn listed(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(|mismatch| format!("  {mismatch}")).collect::<Vec<_>>().join("\n")
}

/// Traces of this machine, as a sentence and a line each.
pub fn leaks(hits: &[Hit]) -> String {
    let more =
        if hits.len() > NAMED_HITS { format!("\n  and {} more", hits.len() - NAMED_HITS) } else { String::new() };
    let lines: String = hits.iter().take(NAMED_HITS).map(|hit| format!("\n  {}", Foreign(hit))).collect();
    format!("the artifacts contain traces of this host{lines}{more}")
}
