//! Steps that run: when their turn has come, alone among all kilns of the store, and with what they leave kept and compared.

use std::path::PathBuf;

use super::inputs::Inputs;
use super::{Realizer, Resolved, Reuse};
use crate::base::Digest;
use crate::exec::earlier;
use crate::exec::event::StepEvent;
use crate::exec::fetch::interrupted;
use crate::exec::gate::Urgency;
use crate::exec::incremental::{self, KeptDirectory};
use crate::exec::outcome::{Names, Objects, Outputs};
use crate::exec::outputs::{Collected, Destination};
use crate::exec::resolve::result;
use crate::exec::step::{self, Began, Ran, Ready};
use crate::exec::{ExecError, Incremental};

impl Realizer<'_> {
    /// Runs a step whose inputs are known, unless another kiln just did.
    pub(super) fn run(&self, at: usize, resolved: &Resolved<'_>, reuse: Reuse) -> Result<Objects, ExecError> {
        let action = resolved.messages.action;
        let _alone = self.store().lock(&action, &|| self.stopped()).map_err(interrupted)?;
        if let Some(objects) = self.cached(at, resolved, reuse)? {
            return Ok(objects);
        }
        let directories = reuse != Reuse::Nothing && self.options.incremental == Incremental::Directories;
        let incremental = resolved.incremental.filter(|_| directories);
        // A build that is to find out whether bits come out again takes none from the one before.
        let takes_earlier = reuse != Reuse::Nothing && !self.options.variation;
        let Ran { began, collected } = self.carry_out(at, action, (incremental, takes_earlier))?;
        let Collected::Objects(outputs) = collected else { unreachable!("only transient steps leave anything else") };
        for bytes in resolved.messages.blobs.values() {
            self.store().put(bytes)?;
        }
        let incremental = incremental.filter(|_| began == Began::FromKept).map(|kept| kept.names);
        self.store().put_result(&incremental.map_or(action, |names| names.result), &outputs)?;
        earlier::remember(self.store(), &self.plan.steps[at], &outputs);
        if let (None, Some(kept)) = (incremental, &resolved.incremental) {
            self.judge(at, &kept.names, &outputs)?;
        }
        Ok(Objects { outputs, incremental, taken: None })
    }

    /// Has the executor run a step, when its turn has come; again, if what it read below changed meanwhile.
    pub(super) fn carry_out(
        &self,
        at: usize,
        action: Digest,
        (incremental, takes_earlier): (Option<KeptDirectory<'_>>, bool),
    ) -> Result<Ran, ExecError> {
        // Nobody else goes on from a kept directory before it is known whether that is to be dropped.
        let alone = incremental.map(|kept| kept.alone(self.store(), &|| self.stopped()));
        let _alone = alone.transpose().map_err(interrupted)?;
        loop {
            let inputs = self.inputs(at)?;
            let read: Vec<PathBuf> = inputs.files.values().chain(&inputs.tools).map(|one| one.path.clone()).collect();
            let ran = self.carry_out_with(at, action, (incremental, takes_earlier, inputs));
            if !self.store().was_disturbed(read.iter().map(PathBuf::as_path)) {
                return ran;
            }
            if let Some(kept) = incremental {
                // It has what came of the files that changed.
                self.store().drop_incremental(&kept.names.directory, &|| self.stopped()).map_err(interrupted)?;
            }
            if self.stopped() {
                // There is no time for another run, and what this one left is no result.
                return ran.and(Err(ExecError::Interrupted));
            }
        }
    }

    fn carry_out_with(
        &self,
        at: usize,
        action: Digest,
        (incremental, takes_earlier, inputs): (Option<KeptDirectory<'_>>, bool, Inputs),
    ) -> Result<Ran, ExecError> {
        let Inputs { files: inputs, tools, local, transient: _until_it_ended } = inputs;
        let _pass = self.jobs.enter(Urgency { rank: self.ranks[at], ..Urgency::default() });
        if self.stopped() {
            return Err(ExecError::Interrupted);
        }
        let (step, options, services) = (&self.plan.steps[at], self.options, self.services);
        let transient = self.plan.transient.contains(&at);
        let destination = if transient { Destination::Readers } else { Destination::Store };
        let stop = || self.stopped();
        // Looked for now: it may be set aside at any time, and the step waited for its turn.
        let earlier = if takes_earlier { earlier::find(self.store(), step) } else { None };
        self.timed(&Ready {
            step,
            action,
            inputs,
            local,
            tools,
            incremental,
            earlier,
            destination,
            options,
            services,
            sandboxes: &self.sandboxes,
            stop: &stop,
        })
    }

    #[allow(clippy::disallowed_methods, reason = "how long a step took is told in an event")]
    fn timed(&self, ready: &Ready<'_>) -> Result<Ran, ExecError> {
        let name = ready.step.name();
        self.listener().on(StepEvent::StepStarted { step: name.clone(), id: ready.action });
        let began = std::time::Instant::now();
        let done = step::run(ready)?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.listener().on(StepEvent::StepFinished { step: name, millis });
        Ok(done)
    }

    /// Compares what an incremental run had left with what the run from nothing left now.
    fn judge(&self, at: usize, names: &Names, outputs: &Outputs) -> Result<(), ExecError> {
        if let Some(incremental) = result(self.plan, self.store(), at, &names.result)
            && !incremental::judge(self.store(), names, &incremental, outputs).map_err(interrupted)?
        {
            let step = &self.plan.steps[at].kind;
            let message = format!("step {step} had produced different output when built incrementally");
            self.listener().on(StepEvent::Warning { message });
        }
        Ok(())
    }
}
