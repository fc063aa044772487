//! Why an operation did not succeed, with the errors of the layers below as sources.

mod attest;
mod bundle;
mod cache;
mod export;
mod lock;
mod mismatch;
mod output;
mod remote;
mod sbom;
pub mod share;
mod signed;
mod step;
mod usage;

pub use attest::AttestError;
pub use bundle::{BundleError, EntryProblem};
pub use cache::CacheError;
pub use export::ExportError;
pub use lock::{LockEdit, LockError};
pub use mismatch::{MismatchError, OutputMismatch, leaks};
pub use output::OutputError;
pub use remote::{EmulatorProblem, RemoteError, TagHolder};
pub use sbom::SbomError;
pub use share::{MAX_NAME_BYTES, ShareError};
pub use signed::{SignedError, SignerProblem};
pub use step::StepReport;
pub use usage::UsageError;

use std::process::ExitStatus;

use crate::base::{Diagnostic, SourceMap};
use crate::exec::{ExecError, Fault};
use crate::guest::GuestError;
use crate::lock::resolve::ResolveError;
use crate::oci::OciError;
use crate::recipe::{Mistakes, Recipe};
use crate::store::StoreError;
use crate::world::WorldError;

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
    /// A package or a source is damaged or hostile, or a program of one failed.
    Input,
    /// Kiln contradicts itself.
    Bug,
    /// The user ended it.
    Interrupted,
}

impl ErrorClass {
    const ALL: [ErrorClass; 7] = [
        ErrorClass::Recipe,
        ErrorClass::Usage,
        ErrorClass::Mismatch,
        ErrorClass::Host,
        ErrorClass::Input,
        ErrorClass::Bug,
        ErrorClass::Interrupted,
    ];

    /// What a program ends with that fails so: see `docs/errors.md`. A bug has the exit code of a panic, an interrupt
    /// that of a program that SIGINT ends in a shell.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorClass::Recipe => 1,
            ErrorClass::Usage => 2,
            ErrorClass::Mismatch => 3,
            ErrorClass::Host => 4,
            ErrorClass::Input => 5,
            ErrorClass::Bug => 101,
            ErrorClass::Interrupted => 130,
        }
    }

    /// The class that a program with this exit code failed with, if it is one of kiln's.
    pub fn of_exit_code(code: i32) -> Option<ErrorClass> {
        ErrorClass::ALL.into_iter().find(|class| i32::from(class.exit_code()) == code)
    }
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
    /// A build was not attested.
    #[error(transparent)]
    Attest(Box<AttestError>),
    /// A bundle was not made, or not accepted.
    #[error(transparent)]
    Bundle(Box<BundleError>),
    /// A disk was not exported.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// A cache cannot be used as it was named.
    #[error(transparent)]
    Cache(Box<CacheError>),
    /// A build was not signed, or its signature is not to be relied on.
    #[error(transparent)]
    Signed(Box<SignedError>),
    /// An artifact was not pushed or pulled.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// A bill of materials cannot be made.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// A registry or an image layout failed, or does not have what it should.
    #[error(transparent)]
    Oci(Box<OciError>),
    /// A lock was not made.
    #[error(transparent)]
    Resolve(Box<ResolveError>),
    /// A plan was not carried out.
    #[error(transparent)]
    Exec(Box<ExecError>),
    /// A step failed at what the recipe says.
    #[error("{}", .0.failed)]
    Step(Box<StepReport>),
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
    /// The second build of a comparison failed, and has said why.
    #[error("the second build failed ({0}); see above")]
    SecondBuild(ExitStatus),
    /// A machine ended while its SSH server was awaited.
    #[error("machine {0} has ended")]
    SshEnded(String),
    /// A machine's SSH server does not answer.
    #[error(
        "the SSH server of machine {machine} did not answer within {seconds} s; it needs `openssh-server`, and \
         `ssh.service` enabled"
    )]
    SshSilent {
        /// Its name.
        machine: String,
        /// How long it was awaited.
        seconds: u64,
    },
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

impl OpsError {
    /// Mistakes in a recipe whose texts are these.
    pub(super) fn mistakes(sources: &SourceMap, diagnostics: Vec<Diagnostic>) -> OpsError {
        OpsError::Mistakes(Box::new(Mistakes { sources: sources.clone(), diagnostics, machines: Vec::new() }))
    }

    /// A lock of this recipe that was not made.
    pub(super) fn resolve(recipe: &Recipe, error: ResolveError) -> OpsError {
        match error.diagnostics(recipe) {
            mistakes if mistakes.is_empty() => error.into(),
            mistakes => OpsError::mistakes(&recipe.sources, mistakes),
        }
    }

    /// A file of kiln's own that does not parse.
    pub(super) fn parse(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> OpsError {
        OpsError::Parse { what: what.into(), source: source.into() }
    }

    /// What is to be shown with the recipe's text, if it is about that.
    pub fn report(&self) -> Option<&Mistakes> {
        match self {
            OpsError::Mistakes(mistakes) => Some(mistakes),
            OpsError::Step(report) => Some(&report.mistakes),
            _ => None,
        }
    }

    /// Whose failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            OpsError::Mistakes(_) | OpsError::Lock(_) => ErrorClass::Recipe,
            OpsError::Usage(_) => ErrorClass::Usage,
            OpsError::Mismatch(_) => ErrorClass::Mismatch,
            OpsError::Attest(error) => error.class(),
            OpsError::Bundle(error) => error.class(),
            OpsError::Cache(error) => error.class(),
            OpsError::Export(error) => error.class(),
            OpsError::Signed(error) => error.class(),
            OpsError::Remote(error) => error.class(),
            OpsError::Sbom(error) => error.class(),
            OpsError::Oci(error) => of_oci(error),
            OpsError::Resolve(error) => of_resolve(error),
            OpsError::Exec(error) => of_exec(error),
            OpsError::Step(report) => of_fault(report.failed.failure.fault),
            OpsError::Guest(error) => of_guest(error),
            OpsError::Store(error) => of_store(error),
            OpsError::SecondBuild(status) => of_second_build(*status),
            OpsError::Interrupted => ErrorClass::Interrupted,
            // What an operation opens by its name is what its user named, or wrote into their configuration.
            OpsError::World(error) if error.is_wrong_kind() => ErrorClass::Usage,
            OpsError::World(_)
            | OpsError::Parse { .. }
            | OpsError::NoQemu(_)
            | OpsError::SshEnded(_)
            | OpsError::SshSilent { .. } => ErrorClass::Host,
        }
    }
}

/// What only another recipe, or another `--update`, can mend is the user's mistake; the rest is the host's.
fn of_resolve(error: &ResolveError) -> ErrorClass {
    match error {
        ResolveError::Unsolvable(_)
        | ResolveError::SetTwice(_)
        | ResolveError::NoIndex { .. }
        | ResolveError::Keys { .. } => ErrorClass::Recipe,
        ResolveError::NotLocked { .. } => ErrorClass::Usage,
        _ => ErrorClass::Host,
    }
}

fn of_oci(error: &OciError) -> ErrorClass {
    match error {
        OciError::Interrupted => ErrorClass::Interrupted,
        error if error.is_mismatch() => ErrorClass::Mismatch,
        OciError::World(error) if error.is_wrong_kind() => ErrorClass::Usage,
        error if error.is_usage() => ErrorClass::Usage,
        _ => ErrorClass::Host,
    }
}

fn of_exec(error: &ExecError) -> ErrorClass {
    match error {
        ExecError::Interrupted => ErrorClass::Interrupted,
        // Whoever refused has a better error.
        ExecError::Refused => ErrorClass::Bug,
        ExecError::Step(failed) => of_fault(failed.failure.fault),
        ExecError::Irreproducible { .. } | ExecError::Disproved { .. } => ErrorClass::Mismatch,
        ExecError::Store(error) => of_store(error),
        ExecError::Fetch { .. }
        | ExecError::Offline { .. }
        | ExecError::Changed { .. }
        | ExecError::Directory { .. }
        | ExecError::Source(_) => ErrorClass::Host,
    }
}

fn of_store(error: &StoreError) -> ErrorClass {
    match error {
        StoreError::Interrupted => ErrorClass::Interrupted,
        StoreError::Below { .. } | StoreError::Absent(_) => ErrorClass::Usage,
        _ => ErrorClass::Host,
    }
}

fn of_guest(error: &GuestError) -> ErrorClass {
    match error {
        GuestError::Interrupted => ErrorClass::Interrupted,
        GuestError::Guest { .. } | GuestError::Changed { .. } | GuestError::Disk { .. } => ErrorClass::Mismatch,
        GuestError::KernelLine { .. } => ErrorClass::Recipe,
        GuestError::Keep { .. } | GuestError::Share { .. } | GuestError::DiskSize { .. } | GuestError::Accel { .. } => {
            ErrorClass::Usage
        }
        GuestError::Resource { .. } => ErrorClass::Host,
        GuestError::NoFile { .. } | GuestError::NotBuilt { .. } => ErrorClass::Bug,
        GuestError::World(_)
        | GuestError::Qemu { .. }
        | GuestError::Refused { .. }
        | GuestError::Qmp { .. }
        | GuestError::PortTaken { .. }
        | GuestError::GdbPortTaken { .. }
        | GuestError::Port { .. }
        | GuestError::Network { .. }
        | GuestError::KvmBroken { .. } => ErrorClass::Host,
    }
}

/// The second build is kiln itself, whose exit code says whose failure it was. Its command line is kiln's own, and what
/// is no exit code of kiln's is that of the programs that start it, or a signal: somebody else's doing.
fn of_second_build(status: ExitStatus) -> ErrorClass {
    match status.code().and_then(ErrorClass::of_exit_code) {
        Some(ErrorClass::Usage) => ErrorClass::Bug,
        Some(class) => class,
        None => ErrorClass::Host,
    }
}

fn of_fault(fault: Fault) -> ErrorClass {
    match fault {
        Fault::Recipe => ErrorClass::Recipe,
        Fault::Input => ErrorClass::Input,
        Fault::Host => ErrorClass::Host,
        Fault::Bug => ErrorClass::Bug,
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

boxed!(Attest: AttestError, Bundle: BundleError, Cache: CacheError, Export: ExportError, Signed: SignedError, Remote: RemoteError, Oci: OciError, Resolve: ResolveError, Exec: ExecError, Guest: GuestError, Store: StoreError);

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_second_build_fails_with_the_class_of_its_own_failure() {
        let class = |wait: i32| OpsError::SecondBuild(ExitStatus::from_raw(wait)).class();
        for (code, expected) in [
            (1, ErrorClass::Recipe),
            (2, ErrorClass::Bug),
            (4, ErrorClass::Host),
            (5, ErrorClass::Input),
            (101, ErrorClass::Bug),
            (127, ErrorClass::Host),
        ] {
            assert_eq!(class(code << 8), expected, "exit code {code}");
        }
        assert_eq!(class(9), ErrorClass::Host, "killed, for example for want of memory");
    }

    #[test]
    fn what_stops_a_machine_is_told_apart() {
        let machine = || "m".to_owned();
        let class = |error: GuestError| OpsError::from(error).class();
        assert_eq!(
            class(GuestError::Changed { machine: machine(), file: "disk.raw".to_owned() }),
            ErrorClass::Mismatch
        );
        assert_eq!(
            class(GuestError::KernelLine { machine: machine(), over: 1, longest: 2, needed: 3 }),
            ErrorClass::Recipe
        );
        assert_eq!(class(GuestError::Keep { path: "k".into(), reason: String::new() }), ErrorClass::Usage);
        assert_eq!(class(GuestError::NoFile { machine: machine(), place: "disk" }), ErrorClass::Bug);
        assert_eq!(OpsError::from(StoreError::Interrupted).class(), ErrorClass::Interrupted);
    }
}
