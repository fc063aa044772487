//! What came out of a plan.

use std::collections::BTreeMap;

use super::realize::Outputs;
use crate::base::Digest;
use crate::lock::LockedFile;
use crate::plan::{Input, Plan, id};
use crate::store::Output;

/// Every step's ids and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realized {
    /// Static ids by step name.
    pub ids: BTreeMap<String, Digest>,
    /// Resolved ids by step name.
    pub actions: BTreeMap<String, Digest>,
    outputs: Vec<Outputs>,
    /// Sizes of files that the lock names.
    fetches: BTreeMap<Digest, u64>,
}

impl Realized {
    pub(super) fn new(plan: &Plan, actions: Vec<Digest>, outputs: Vec<Outputs>) -> Realized {
        let names = || plan.steps.iter().map(|step| step.name.clone());
        Realized {
            ids: id::by_name(plan),
            actions: names().zip(actions).collect(),
            outputs,
            fetches: plan.fetches.iter().map(|(digest, fetch)| (*digest, fetch.size)).collect(),
        }
    }

    /// What a step left under a declared name.
    pub fn output(&self, step: usize, name: &str) -> &Output {
        self.outputs[step].get(name).expect("only outputs that the step declares are asked for")
    }

    /// The digest under which [`crate::store::Store::tree`] finds a step's tree.
    pub fn tree(&self, step: usize) -> Digest {
        match self.output(step, id::TREE) {
            Output::Tree { root, .. } => *root,
            Output::File { digest, .. } => *digest,
        }
    }

    /// Size and digest of a file that the plan delivers. Of a directory: those of its listing.
    pub fn file(&self, from: &Input) -> LockedFile {
        match from {
            Input::Fetched(digest) => {
                let size = self.fetches.get(digest).expect("a plan fetches every file that it delivers");
                LockedFile { size: *size, sha256: *digest }
            }
            Input::Inline(bytes) => LockedFile { size: bytes.len() as u64, sha256: Digest::of(bytes) },
            Input::Output { step, name } => match self.output(*step, name) {
                Output::File { digest, size, .. } => LockedFile { size: *size, sha256: *digest },
                Output::Tree { messages, messages_size, .. } => LockedFile { size: *messages_size, sha256: *messages },
            },
        }
    }
}
