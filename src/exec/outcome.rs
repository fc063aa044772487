//! What comes of one step.

use std::collections::BTreeMap;

use super::cache::ResultOrigin;
use crate::base::Digest;
use crate::plan::id::InputValue;
use crate::store::Output;

/// What a step left behind, by declared path.
pub(super) type Outputs = BTreeMap<String, Output>;

/// A step of which it is known what it leaves behind.
#[derive(Clone)]
pub(super) struct Known {
    /// Its resolved id.
    pub(super) action: Digest,
    pub(super) left: Left,
}

/// What a step leaves behind.
#[derive(Clone)]
pub(super) enum Left {
    /// Objects of the store.
    Objects(Objects),
    /// Files that the steps which read them have for a while: it runs only when one of those does.
    Transient,
}

/// Outputs that were taken into the store, and may be lost since.
#[derive(Clone)]
pub(super) struct Objects {
    pub(super) outputs: Outputs,
    /// The names of the incremental run that they came from, if they did not come from nothing.
    pub(super) incremental: Option<Names>,
    /// Whose result it is, if it is not this store's own.
    pub(super) taken: Option<Box<ResultOrigin>>,
}

/// Under which names a step's incremental runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// The build directory: one for all runs that differ in the changing input alone.
    pub(super) directory: Digest,
    /// The result of this run.
    pub(super) result: Digest,
    /// The result of a run from nothing.
    pub(super) action: Digest,
}

impl Known {
    /// One of its outputs as an input; `None` when there is none of that name.
    pub(super) fn value(&self, name: &str) -> Option<InputValue> {
        match &self.left {
            Left::Objects(objects) => objects.outputs.get(name).map(value),
            Left::Transient => Some(InputValue::Transient { action: self.action, output: name.to_owned() }),
        }
    }
}

/// An output of the store as an input.
pub(super) fn value(output: &Output) -> InputValue {
    match output {
        Output::File { digest, size, executable } => {
            InputValue::File { digest: *digest, size: *size, executable: *executable }
        }
        Output::Tree { root, root_size, .. } => InputValue::Tree { root: *root, size: *root_size },
    }
}
