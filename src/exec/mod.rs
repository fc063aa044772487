//! Carries a plan out: fetches, builtin steps, sandboxes, in parallel, reporting events.
//!
//! Input: a [`crate::plan::Plan`], a store, a world. Output: digests of the artifacts. It must not decide what to do.

pub mod availability;
pub mod builtin;
pub mod cache;
pub mod debian;
pub mod doctor;
mod earlier;
mod error;
pub mod event;
pub mod executor;
mod failure;
pub mod fetch;
mod gate;
mod incremental;
pub mod interrupt;
mod local;
mod log;
mod outcome;
mod outlook;
mod outputs;
mod planned;
mod rank;
mod realize;
mod realized;
mod resolve;
pub mod sandbox;
mod services;
pub mod sharing;
pub mod source;
mod status;
mod step;
mod trail;
mod transient;
mod tree;
mod variation;

use std::path::PathBuf;

pub use error::{ExecError, FailedStep};
pub use failure::{Fault, StepFailure};
pub use log::Record;
pub use outlook::Outlook;
pub use planned::outlook;
pub use realize::{RefusedOutputs, StepJudge, realize, realize_from, realize_judged};
pub use realized::Realized;
pub use resolve::resolved_id;
pub use services::Services;
pub use status::{Status, StepState, status};
pub use trail::ActionTrail;
pub use tree::{RootError, TreeError};

use event::{StepEvent, StepListener};
use sandbox::Limits;
use sandbox::inside::EntryPoint;
use sandbox::{Call, Mount};

use crate::world::fs;

/// What kiln runs inside its own sandboxes, by name.
pub const ENTRIES: &[(&str, EntryPoint)] = &[(builtin::inside::ENTRY, builtin::inside::inside)];

/// How a plan is carried out; nothing here changes a bit of what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecOptions {
    /// Steps at a time, and processors that each may use; all when not given.
    pub jobs: Option<u32>,
    /// Never ask a network.
    pub offline: bool,
    /// Run every step, whatever is known.
    pub no_cache: bool,
    /// Show programs another clock and directories in another order, to prove that it changes nothing.
    pub variation: bool,
    /// Run every program of the packages itself, and nothing quicker in its place.
    pub without_stand_ins: bool,
    /// What of earlier runs of a step counts.
    pub incremental: Incremental,
    /// What one step may use.
    pub limits: Limits,
}

/// What a build takes from earlier runs of steps that can go on from where such a run ended. Results of such incremental runs
/// are kept apart from all others until a run from nothing has given the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Incremental {
    /// Nothing.
    #[default]
    None,
    /// Results of incremental runs, to judge them; no such run starts.
    Results,
    /// Results, and build directories to start from; those of this build are kept in turn.
    Directories,
}

impl ExecOptions {
    #[allow(clippy::disallowed_methods, reason = "this is the scheduling that may know")]
    fn parallel(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or(all, |jobs| jobs as usize)
    }
}

/// Removes directories that hold files of subordinate ids.
fn remove_inside(paths: &[PathBuf], listener: &dyn StepListener) {
    let places: Vec<PathBuf> = (0..paths.len()).map(|number| format!("/{number}").into()).collect();
    let mount = |(source, target): (&PathBuf, &PathBuf)| Mount {
        source: source.clone(),
        target: target.clone(),
        readonly: false,
    };
    let mounts = paths.iter().zip(&places).map(mount).collect();
    let emptied = match serde_json::to_string(&places) {
        Ok(argument) => {
            let call = Call {
                ids: sandbox::SandboxIds::Range,
                entry: sandbox::inside::EMPTY,
                argument,
                mounts,
                limits: sandbox::Limits::default(),
            };
            sandbox::call(call, &mut |_| ()).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    // The directories themselves belong to the caller.
    let removed = || paths.iter().try_for_each(|path| fs::remove_tree(path).map_err(|error| error.to_string()));
    if let Err(reason) = emptied.and_then(|()| removed()) {
        listener.on(StepEvent::Warning { message: format!("temporary files were not removed: {reason}") });
    }
}
