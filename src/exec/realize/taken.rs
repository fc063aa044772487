//! Results of others: asked for when this store has none, before a step runs, and fetched only where they are needed.

use super::{Realizer, Reuse};
use crate::base::Digest;
use crate::exec::cache::{StepCache, TakenResult, WantedResult};
use crate::exec::event::StepEvent;
use crate::exec::fetch::interrupted;
use crate::exec::outcome::Objects;
use crate::exec::{ExecError, resolve};
use crate::plan::StepKind;
use crate::plan::root::{USERS, WARNINGS};
use crate::store::Visibility;

impl Realizer<'_> {
    /// The result of somebody else, if it may be taken; its outputs are there where that is asked for.
    pub(super) fn taken(&self, at: usize, action: Digest, reuse: Reuse) -> Result<Option<Objects>, ExecError> {
        let Some((caches, visibility)) = self.caches(at).filter(|_| reuse != Reuse::Nothing) else { return Ok(None) };
        let stop = || self.stopped();
        let outputs = &self.plan.steps[at].outputs;
        let wanted = WantedResult { action, outputs, visibility, places: self.sharing[at].places(), stop: &stop };
        let Some(taken) = caches.result(&wanted) else { return Ok(None) };
        if !resolve::fits(self.plan, at, &taken.outputs) {
            return Ok(None);
        }
        let needed = self.needed(at, reuse, &taken);
        if !self.present(at, &needed.outputs)? && !self.had(at, (caches, &wanted), &needed)? {
            return Ok(None);
        }
        let TakenResult { outputs, origin } = taken;
        let step = self.plan.steps[at].name();
        self.listener().on(StepEvent::StepTaken { step, id: action, origin: origin.clone() });
        Ok(Some(Objects { outputs, incremental: None, taken: Some(Box::new(origin)) }))
    }

    /// Has outputs that the store lacks be there, if somebody else has these very ones.
    pub(super) fn fetched(&self, at: usize, action: Digest, before: &Objects) -> Result<bool, ExecError> {
        let Some((caches, visibility)) = self.caches(at).filter(|_| before.incremental.is_none()) else {
            return Ok(false);
        };
        let stop = || self.stopped();
        let outputs = &self.plan.steps[at].outputs;
        let wanted = WantedResult { action, outputs, visibility, places: self.sharing[at].places(), stop: &stop };
        match caches.result(&wanted).filter(|taken| taken.outputs == before.outputs) {
            Some(taken) => self.had(at, (caches, &wanted), &taken),
            None => Ok(false),
        }
    }

    /// What of a result must be there now; the rest is fetched when a step reads it.
    fn needed(&self, at: usize, reuse: Reuse, taken: &TakenResult) -> TakenResult {
        let is_needed = |name: &str| match (reuse, &self.plan.steps[at].kind) {
            (Reuse::Outputs, _) => true,
            // Every build reads these of an image.
            (_, StepKind::Root(_)) => matches!(name, USERS | WARNINGS),
            _ => false,
        };
        let needed = taken.outputs.iter().filter(|(name, _)| is_needed(name));
        let outputs = needed.map(|(name, output)| (name.clone(), output.clone())).collect();
        TakenResult { outputs, origin: taken.origin.clone() }
    }

    /// Fetches outputs, unless another kiln just did.
    fn had(
        &self,
        at: usize,
        (caches, wanted): (&dyn StepCache, &WantedResult<'_>),
        taken: &TakenResult,
    ) -> Result<bool, ExecError> {
        let _alone = self.store().lock(&wanted.action, &|| self.stopped()).map_err(interrupted)?;
        if self.present(at, &taken.outputs)? {
            return Ok(true);
        }
        caches.fetch(wanted, taken).map_err(interrupted)
    }

    /// Whom to ask for a step's result, and who may read it here.
    fn caches(&self, at: usize) -> Option<(&dyn StepCache, Visibility)> {
        let caches = self.services.caches.filter(|_| !self.options.no_cache)?;
        Some((caches, self.sharing[at].visibility()?))
    }
}
