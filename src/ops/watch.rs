//! What a build looks at while it runs: whether QEMU knows what it will be given, and whether files have traces of the host.

use std::collections::BTreeMap;

use super::error::OpsError;
use super::leaks;
use super::load::Ready;
use super::qemu::Answers;
use crate::exec::{ExecError, RefusedOutputs, StepJudge};
use crate::store::Output;

/// Looks at what steps leave as soon as they end.
pub(super) struct BuildJudge<'a> {
    ready: &'a Ready<'a>,
    answers: Answers<'a>,
}

impl<'a> BuildJudge<'a> {
    pub(super) fn new(ready: &'a Ready<'a>) -> BuildJudge<'a> {
        BuildJudge { ready, answers: Answers::new(ready) }
    }

    /// The error of a build, with the reason where this judge ended it.
    pub(super) fn explained(self, error: OpsError) -> OpsError {
        let refused = matches!(&error, OpsError::Exec(error) if matches!(**error, ExecError::Refused));
        self.answers.error().filter(|_| refused).unwrap_or(error)
    }
}

impl StepJudge for BuildJudge<'_> {
    fn begin(&self) {
        self.answers.forget();
    }

    fn judge(
        &self,
        step: usize,
        outputs: &BTreeMap<String, Output>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RefusedOutputs> {
        self.answers.hear(step, outputs)?;
        leaks::ahead(self.ready, step, outputs, stop);
        Ok(())
    }
}
