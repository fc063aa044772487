//! Who carries steps out: the seam between scheduling and sandboxes.
//!
//! Input: a [`Request`], which names everything that a step sees, by digest and by path. Output: files in the request's
//! build directory, which are foreign until the caller has taken them into a store. An executor must not know plans or
//! stores, and nothing that comes out may depend on anything but the request; so one that sends requests to another
//! machine (the Remote Execution API) can stand in for [`LocalExecutor`].

mod local;
mod request;

pub use local::{LocalExecutor, spawn};
pub use request::{Provided, Request, Task};

use super::event::StepListener;
use super::failure::StepFailure;
use super::sandbox::SandboxError;
use crate::world::WorldError;

/// Carries steps out, somewhere.
pub trait Executor: Sync {
    /// Carries one out. When it succeeds, what the step left is in the request's build directory, under the declared
    /// names as far as the step left them; where a named pipe stands under one, the output is written into that. Called from several threads at a time.
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError>;
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The build is to end.
    #[error("interrupted")]
    Interrupted,
    /// The step failed; its log says more.
    #[error(transparent)]
    Failed(StepFailure),
    /// A file that the executor itself needs could not be written.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl From<SandboxError> for ExecutorError {
    fn from(error: SandboxError) -> ExecutorError {
        match error {
            SandboxError::Cancelled => ExecutorError::Interrupted,
            other => ExecutorError::Failed(other.into()),
        }
    }
}
