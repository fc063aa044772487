//! What happens during a build, as data. Renderers (terminal, lines, JSON) live with the commands.

use super::cache::ResultOrigin;
use super::outlook::Outlook;
use crate::base::Digest;
use crate::world::download::ServerWait;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEvent {
    /// Before anything else: what will be fetched and unpacked, if anything is fetched.
    Planned(Outlook),
    /// Fetching starts: files and bytes still to come.
    FetchPlanned {
        files: u64,
        /// Bytes.
        bytes: u64,
    },
    /// More bytes of some file arrived.
    FetchProgress {
        /// Bytes since the last such event of this file.
        bytes: u64,
    },
    /// A file is complete and checked.
    Fetched { label: String },
    /// A server that was asked too much is left alone for a while.
    Waiting(ServerWait),
    /// A step's result was in the store.
    StepCached { step: String, id: Digest },
    /// A step's result is somebody else's.
    StepTaken { step: String, id: Digest, origin: ResultOrigin },
    /// A step starts.
    StepStarted { step: String, id: Digest },
    /// It goes on from where an earlier run of it ended.
    StepIncremental { step: String },
    /// A step said something worth showing in a log.
    StepLog {
        step: String,
        /// One line.
        line: String,
    },
    /// A step got this far.
    StepProgress {
        step: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// A step ended well.
    StepFinished {
        step: String,
        /// Milliseconds it took.
        millis: u64,
    },
    /// Something worth telling that stops nothing.
    Warning {
        /// One sentence.
        message: String,
    },
}

impl StepEvent {
    /// That a step seems to hang.
    pub fn silent(step: &str, notice: &str) -> StepEvent {
        StepEvent::Warning { message: format!("step {step} is silent: {notice}") }
    }
}

pub trait StepListener: Sync {
    /// Called from any thread.
    fn on(&self, event: StepEvent);
}

/// Nobody.
pub struct IgnoreSteps;

impl StepListener for IgnoreSteps {
    fn on(&self, _: StepEvent) {}
}
