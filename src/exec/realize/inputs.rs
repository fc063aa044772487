//! What a step reads, on disk and checked: fetched, made again where the store lost it, made where it is transient.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Cell, Realizer, Reuse, lock};
use crate::base::Digest;
use crate::exec::ExecError;
use crate::exec::executor::Provided;
use crate::exec::fetch;
use crate::exec::outcome::Left;
use crate::exec::outputs::Collected;
use crate::exec::resolve;
use crate::exec::source::LocalInputs;
use crate::exec::transient::Files;
use crate::plan::id::{self, InputValue};
use crate::plan::{Fetch, Input};
use crate::store::StoreError;

/// Everything that a step reads.
pub(super) struct Inputs {
    /// By path relative to its input root.
    pub(super) files: BTreeMap<String, Provided>,
    /// Those of them that are archived when the step runs.
    pub(super) local: LocalInputs,
    /// The root of its sandbox.
    pub(super) tools: Option<Provided>,
    /// What is not in the store lies there as long as this lives.
    pub(super) transient: Transient,
}

/// By step that made it.
type Transient = BTreeMap<usize, Arc<Files>>;

impl Realizer<'_> {
    /// Has everything that a step reads be there. What went from a store below between two looks is fetched or made again.
    pub(super) fn inputs(&self, at: usize) -> Result<Inputs, ExecError> {
        let mut below = self.store().below().count();
        loop {
            let inputs = self.inputs_now(at);
            if inputs.is_ok() || below == 0 || self.stopped() || !self.store().was_disturbed_anywhere() {
                return inputs;
            }
            below -= 1;
        }
    }

    fn inputs_now(&self, at: usize) -> Result<Inputs, ExecError> {
        let step = &self.plan.steps[at];
        let fetches: Vec<Digest> = step
            .inputs
            .values()
            .filter_map(|input| if let Input::Fetched(digest) = input { Some(*digest) } else { None })
            .collect();
        self.fetch(self.ranks[at], &fetches)?;
        let mut transient = Transient::new();
        for read in step.dependencies() {
            transient.extend(self.again(read)?.map(|files| (read, files)));
        }
        let mut files = BTreeMap::new();
        let mut local = LocalInputs::new();
        for (path, input) in &step.inputs {
            if let Input::Local(name) = input {
                local.insert(path.clone(), self.sources[name].clone());
            }
            files.insert(path.clone(), self.provided(input, &transient)?);
        }
        let tools = step.tools().map(|tools| self.output(tools, id::TREE, &transient)).transpose()?;
        Ok(Inputs { files, local, tools, transient })
    }

    fn provided(&self, input: &Input, transient: &Transient) -> Result<Provided, ExecError> {
        let (value, path) = match input {
            Input::Fetched(digest) => (id::fetched(self.plan, digest), self.store().path(digest)?),
            Input::Inline(bytes) => (id::inline(bytes), self.store().path(&self.put(bytes)?)?),
            Input::Output { step, name } => return self.output(*step, name, transient),
            // Whoever runs the step makes the archive, and says where it is.
            Input::Local(name) => {
                (resolve::local(self.sources, name).expect("all local sources were read"), PathBuf::new())
            }
        };
        Ok(Provided { value, path })
    }

    /// An output of a step that is there.
    fn output(&self, step: usize, name: &str, transient: &Transient) -> Result<Provided, ExecError> {
        let value = self.known(step).ok_or(ExecError::Interrupted)?.value(name);
        let value = value.expect("a plan reads declared outputs only");
        let path = match &value {
            InputValue::File { digest, .. } => self.store().path(digest)?,
            InputValue::Tree { root, .. } => self.store().tree(root)?,
            InputValue::Transient { output, .. } => transient[&step][output].path().to_owned(),
        };
        Ok(Provided { value, path })
    }

    /// Keeps what the plan holds.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let private = self.plan.private.contains(&Digest::of(bytes));
        if private { self.store().put_private(bytes) } else { self.store().put(bytes) }
    }

    /// Has what a step leaves behind be there: what the store lost is made again, what is transient is made and given.
    fn again(&self, at: usize) -> Result<Option<Arc<Files>>, ExecError> {
        let cell = lock(&self.cells[at]);
        let Cell::Known(known) = &*cell else { return Err(ExecError::Interrupted) };
        let Left::Objects(before) = &known.left else {
            return match self.transients.of(at) {
                Some(files) => Ok(Some(files)),
                None => self.transient(at, known.action).map(Some),
            };
        };
        if self.present(at, &before.outputs)? {
            return Ok(None);
        }
        if self.fetched(at, known.action, before)? {
            return Ok(None);
        }
        let resolved = self.resolved(at).ok_or(ExecError::Interrupted)?;
        let now = self.run(at, &resolved, Reuse::Outputs)?;
        match now.outputs.iter().find(|(name, output)| before.outputs.get(*name) != Some(*output)) {
            None => Ok(None),
            Some((name, _)) => {
                let step = self.plan.steps[at].name();
                Err(match before.taken.clone() {
                    Some(origin) => ExecError::Disproved { step, origin },
                    None => ExecError::Irreproducible { step, output: name.clone() },
                })
            }
        }
    }

    /// Runs a step for those that read it.
    fn transient(&self, at: usize, action: Digest) -> Result<Arc<Files>, ExecError> {
        match self.carry_out(at, action, (None, false))?.collected {
            Collected::Transient(files) => Ok(self.transients.hold(at, files)),
            Collected::Objects(_) => unreachable!("the outputs of a transient step are transient"),
        }
    }

    /// Has files be there for a step of this rank.
    pub(super) fn fetch(&self, rank: u64, digests: &[Digest]) -> Result<(), ExecError> {
        let named = digests.iter().filter_map(|digest| self.plan.fetches.get(digest));
        let missing: Vec<&Fetch> = fetch::missing(self.store(), named);
        let downloads: Vec<&&Fetch> = missing.iter().filter(|fetch| !fetch.place.is_local()).collect();
        match downloads.first() {
            Some(first) if self.options.offline => {
                Err(ExecError::Offline { files: downloads.len(), label: first.label.clone() })
            }
            _ if missing.is_empty() => Ok(()),
            _ => self.fetcher.fetch_for(rank, &missing),
        }
    }
}
