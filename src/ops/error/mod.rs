//! Why an operation did not succeed, with the errors of the layers below as sources.

mod lock;
mod mismatch;
mod step;
mod usage;

pub use lock::LockError;
pub use mismatch::{MismatchError, OutputMismatch, leaks};
pub use step::StepReport;
pub use usage::UsageError;

use crate::base::{Diagnostic, SourceMap};
use crate::exec::{ExecError, Fault};
use crate::guest::GuestError;
use crate::lock::resolve::ResolveError;
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
    /// The second build of a comparison failed.
    #[error("the second build failed with exit code {0}; see above")]
    SecondBuild(i32),
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

impl OpsError {
    /// Mistakes in a recipe whose texts are these.
    pub(super) fn mistakes(sources: &SourceMap, diagnostics: Vec<Diagnostic>) -> OpsError {
        OpsError::Mistakes(Box::new(Mistakes { sources: sources.clone(), diagnostics }))
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
            OpsError::Resolve(error) => of_resolve(error),
            OpsError::Exec(error) => of_exec(error),
            OpsError::Step(report) => of_fault(report.failed.failure.fault),
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
        ResolveError::Unsolvable(_)
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
        ExecError::Step(failed) => of_fault(failed.failure.fault),
        ExecError::Irreproducible { .. } => ErrorClass::Mismatch,
        _ => ErrorClass::Host,
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

boxed!(Resolve: ResolveError, Exec: ExecError, Guest: GuestError, Store: StoreError);
