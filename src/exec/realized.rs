//! What came out of a plan.

use std::collections::BTreeMap;

use super::cache::ResultOrigin;
use super::incremental;
use super::outcome::{Known, Left, Names, Outputs};
use super::source::SourceTrees;
use crate::base::Digest;
use crate::lock::LockedFile;
use crate::plan::{Input, Plan, Step, id};
use crate::store::{Output, Store, StoreError};

/// Every step's ids and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realized {
    /// Static ids by step name.
    pub ids: BTreeMap<String, Digest>,
    /// Resolved ids by step name.
    pub actions: BTreeMap<String, Digest>,
    /// By position; of a step whose outputs are transient none.
    outputs: Vec<Outputs>,
    /// Sizes of files that the lock names.
    fetches: BTreeMap<Digest, u64>,
    /// Positions of the steps that went on from an earlier run, so that their bits are not proved.
    incremental: BTreeMap<usize, Names>,
    /// By position: whose result it is, of those that are not this store's own.
    taken: BTreeMap<usize, ResultOrigin>,
    /// What was in the directories that steps read.
    sources: SourceTrees,
}

impl Realized {
    pub(super) fn new(plan: &Plan, known: Vec<Known>, sources: &SourceTrees) -> Realized {
        let names = || plan.steps.iter().map(Step::name);
        Realized {
            ids: id::by_name(plan),
            sources: sources.clone(),
            actions: names().zip(known.iter().map(|known| known.action)).collect(),
            incremental: known
                .iter()
                .enumerate()
                .filter_map(|(at, known)| Some((at, incremental_run(known)?)))
                .collect(),
            taken: known.iter().enumerate().filter_map(|(at, known)| Some((at, origin(known)?.clone()))).collect(),
            outputs: known.into_iter().map(|known| outputs(known.left)).collect(),
            fetches: plan.fetches.iter().map(|(digest, fetch)| (*digest, fetch.size)).collect(),
        }
    }

    /// The local sources, as this build read them.
    pub fn sources(&self) -> &SourceTrees {
        &self.sources
    }

    /// Steps whose bits are not those of a run from nothing, as far as anybody has shown.
    pub fn incremental(&self) -> impl Iterator<Item = usize> {
        self.incremental.keys().copied()
    }

    /// Steps whose results are somebody else's, and whose.
    pub fn taken(&self) -> impl Iterator<Item = (usize, &ResultOrigin)> {
        self.taken.iter().map(|(at, origin)| (*at, origin))
    }

    /// Makes results of others that a build from nothing has confirmed this store's own.
    pub fn confirm(&self, (plan, store): (&Plan, &Store), clean: &Realized) -> Result<(), StoreError> {
        for at in self.taken.keys().filter(|at| self.outputs[**at] == clean.outputs[**at]) {
            store.put_result(&self.actions[&plan.steps[*at].name()], &self.outputs[*at])?;
        }
        Ok(())
    }

    /// Judges what the steps left that went on from an earlier run by what a build from nothing made of the same plan:
    /// what is the same counts from now on like any other result, what is not is forgotten.
    pub fn judge(&self, store: &Store, clean: &Realized) -> Result<(), StoreError> {
        for (at, names) in self.incremental.iter().filter(|(at, _)| !clean.incremental.contains_key(at)) {
            incremental::judge(store, names, &self.outputs[*at], &clean.outputs[*at])?;
        }
        Ok(())
    }

    /// What a step left under a declared name; `None` when that is transient.
    pub fn output(&self, step: usize, name: &str) -> Option<&Output> {
        self.outputs[step].get(name)
    }

    /// The same of an output that the plan delivers, or that is there for its own sake: those are never transient.
    fn object(&self, step: usize, name: &str) -> &Output {
        self.output(step, name).expect("only objects that the step declares are asked for")
    }

    /// Size and digest of a file that the plan delivers. Of a directory: those of its listing.
    pub fn file(&self, from: &Input) -> LockedFile {
        match from {
            Input::Fetched(digest) => {
                let size = self.fetches.get(digest).expect("a plan fetches every file that it delivers");
                LockedFile { size: *size, sha256: *digest }
            }
            Input::Local(name) => {
                let tree = &self.sources[name];
                LockedFile { size: tree.size, sha256: tree.digest }
            }
            Input::Inline(bytes) => LockedFile { size: bytes.len() as u64, sha256: Digest::of(bytes) },
            Input::Output { step, name } => match self.object(*step, name) {
                Output::File { digest, size, .. } => LockedFile { size: *size, sha256: *digest },
                Output::Tree { messages, messages_size, .. } => LockedFile { size: *messages_size, sha256: *messages },
            },
        }
    }
}

fn outputs(left: Left) -> Outputs {
    match left {
        Left::Objects(objects) => objects.outputs,
        Left::Transient => Outputs::new(),
    }
}

fn origin(known: &Known) -> Option<&ResultOrigin> {
    match &known.left {
        Left::Objects(objects) => objects.taken.as_deref(),
        Left::Transient => None,
    }
}

fn incremental_run(known: &Known) -> Option<Names> {
    match &known.left {
        Left::Objects(objects) => objects.incremental,
        Left::Transient => None,
    }
}
