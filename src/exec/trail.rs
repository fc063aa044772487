//! The actions of a plan, step by step, along results that somebody gives: what they would be asked for next.

use std::collections::BTreeMap;

use super::outcome::{Known, Left, Objects};
use super::resolve::{Findings, fits, resolve};
use super::source::SourceTrees;
use crate::base::Digest;
use crate::plan::Plan;
use crate::store::Output;

/// A plan and the results of its first steps.
pub struct ActionTrail<'a> {
    plan: &'a Plan,
    sources: SourceTrees,
    steps: Vec<Option<Known>>,
}

impl<'a> ActionTrail<'a> {
    /// Before the first step. Steps that read a directory of whoever builds have no action here.
    pub fn new(plan: &'a Plan) -> ActionTrail<'a> {
        ActionTrail { plan, sources: SourceTrees::new(), steps: Vec::new() }
    }

    /// The resolved id of the next step, if the results of all that it reads are known.
    pub fn action(&self) -> Option<Digest> {
        let outputs = &|step: usize, name: &str| self.steps[step].as_ref()?.value(name);
        let known = Findings { outputs, sources: &self.sources };
        resolve(self.plan, self.steps.len(), &known).map(|messages| messages.action)
    }

    /// Adds the result of the next step, if there is one.
    pub fn add(&mut self, outputs: Option<BTreeMap<String, Output>>) {
        let at = self.steps.len();
        let left = match outputs.filter(|outputs| fits(self.plan, at, outputs)) {
            _ if self.plan.transient.contains(&at) => Some(Left::Transient),
            outputs => outputs.map(|outputs| Left::Objects(Objects { outputs, incremental: None, taken: None })),
        };
        let known = self.action().zip(left).map(|(action, left)| Known { action, left });
        self.steps.push(known);
    }
}
