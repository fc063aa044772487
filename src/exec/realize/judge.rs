//! Whoever judges what steps leave, while others still run: they may end the build.

use std::collections::BTreeMap;

use super::Realizer;
use crate::exec::ExecError;
use crate::exec::outcome::{Known, Left};
use crate::store::Output;

/// Looks at what steps leave as soon as it is known, from cache or not. Nothing waits for it but the end of the build.
pub trait StepJudge: Sync {
    /// Called before the first step. A plan that is carried out anew, such as without the results of others, forgets what it heard.
    fn begin(&self) {}

    /// Called once for each step that keeps what it leaves, from any thread. Where `stop` says so, nobody waits for it any more.
    fn judge(
        &self,
        step: usize,
        outputs: &BTreeMap<String, Output>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RefusedOutputs>;
}

/// The build is to end; why, the judge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedOutputs;

/// Nothing is refused.
pub(super) struct Anything;

impl StepJudge for Anything {
    fn judge(
        &self,
        _: usize,
        _: &BTreeMap<String, Output>,
        _: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RefusedOutputs> {
        Ok(())
    }
}

impl Realizer<'_> {
    /// Has a step judged. It is the step's own thread that does, so that no other step waits meanwhile.
    pub(super) fn judged(&self, at: usize, known: &Known) {
        if let Left::Objects(objects) = &known.left
            && !self.stopped()
            && let Err(RefusedOutputs) = self.judge.judge(at, &objects.outputs, &|| self.stopped())
        {
            self.fail(ExecError::Refused);
        }
    }
}
