//! What happens during an operation, as data: whoever calls it draws it, or does not.

use crate::base::{Diagnostic, SourceMap};
use crate::exec::cache::ResultOrigin;
use crate::exec::event::{StepEvent, StepListener};
use crate::exec::source::SourceTrees;
use crate::guest::event::{TestEvent, TestListener};
use crate::inspect::leak::Hit;
use crate::lock::resolve::Progress;
use crate::lock::{EditedLine, Lost, OddPath, ReadError, Settled};
use crate::plan::root::Finding;
use crate::recipe::local::LocalReader;
use crate::world::download::ServerAnswer;

/// One thing that happened.
pub enum OpsEvent<'a> {
    /// A plan begins to be carried out; events of its steps follow.
    PlanStarted,
    /// Something happened to a step or a download.
    Step(StepEvent),
    /// The plan was carried out, or failed: nothing of it runs any more.
    PlanEnded,
    /// An archive was asked, or a package set solved.
    Resolve(Progress),
    /// A machine booted, a test ended.
    Guest {
        /// Whose machine it is, where those of other recipes run at the same time.
        recipe: Option<&'a str>,
        /// What happened.
        event: TestEvent<'a>,
    },
    /// Rules found what works, slowly or only with care.
    Warnings {
        /// The texts that the places are in.
        sources: &'a SourceMap,
        /// At least one.
        warnings: &'a [Diagnostic],
    },
    /// A large file of a result directory is read next.
    Reading {
        /// Its name there.
        name: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// So much of an artifact has arrived in a registry.
    Pushing {
        /// Bytes that are there.
        done: u64,
        /// All of them.
        total: u64,
    },
    /// A disk is written in another format next.
    Writing {
        /// Its name in the result directory.
        name: &'a str,
        /// The format, in words.
        form: &'a dyn std::fmt::Display,
    },
    /// So much of it has been looked at.
    Exporting {
        /// Bytes of its content.
        done: u64,
        /// All of them.
        total: u64,
    },
    /// So many packages have been read for what they say of themselves.
    PackagesRead {
        /// How many.
        done: usize,
        /// Of how many.
        total: usize,
    },
    /// Something else worth telling, that stops nothing.
    Notice(Notice<'a>),
}

/// What is worth telling although it stops nothing.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// An artifact could not be searched for traces of this machine: an earlier build made it, and it was swept since.
    NotSearched {
        /// Its name.
        artifact: &'a str,
    },
    /// Artifacts have traces of this machine in them, and are delivered all the same.
    Leaks(&'a [Hit]),
    /// Something about an image may not be what its author expects.
    Doubtful {
        /// Its name.
        image: &'a str,
        /// What it is.
        finding: &'a Finding,
    },
    /// A step went on from an earlier run, so that the lock does not record its bits.
    NotRecorded,
    /// The result of a step is from a store below, so that the lock does not record what came out.
    BelowNotRecorded,
    /// Such a step, in a result directory.
    Incremental {
        /// Its name.
        step: &'a str,
    },
    /// Kernels were compiled, and sources of builds read, from directories, so that the lock does not record what came out.
    Local {
        /// What was in them.
        sources: &'a SourceTrees,
    },
    /// The same, in a result directory.
    LocalResult {
        /// What was made from one.
        reader: &'a LocalReader,
    },
    /// Such a step was compared with a run from nothing.
    Compared {
        /// Its name.
        step: &'a str,
    },
    /// Attestations that refer to an artifact do not come with it.
    AttestationsLeft {
        /// How many.
        count: usize,
    },
    /// The second build has the same host name as the first.
    SameHostName,
    /// Servers are asked whether they have the files of a lock.
    Asking {
        /// How many the store lacks.
        files: usize,
    },
    /// No server has a file of the lock.
    Gone {
        /// The file.
        label: &'a str,
        /// What each server said.
        asked: &'a [ServerAnswer],
    },
    /// A build uses a lock of its own, since files of the recipe's lock are gone.
    Relocked {
        /// The recipe's lock, which is left alone.
        committed: &'a std::path::Path,
        /// The lock of the build.
        used: &'a std::path::Path,
        /// How the two differ, a line each.
        changes: &'a [String],
    },
    /// A lock cannot be read and is made again from nothing.
    LockIgnored {
        /// Where it is.
        path: &'a std::path::Path,
        /// Why.
        error: &'a ReadError,
    },
    /// Parts of a lock cannot be read, and it is made again from the others.
    LockSalvaged {
        /// Where it is.
        path: &'a std::path::Path,
        /// Why it cannot be read as it is.
        error: &'a ReadError,
        /// What is not kept.
        lost: &'a [Lost],
    },
    /// A lock was merged, and is made again from what its sides pin.
    LockSettled {
        /// Where it is.
        path: &'a std::path::Path,
        /// Why it cannot be read as it is.
        error: &'a ReadError,
        /// What is kept, and what is not.
        settled: &'a Settled,
    },
    /// A file that looks like an SSH key of the user's is not taken.
    KeySkipped {
        /// The file.
        path: &'a std::path::Path,
        /// Why.
        reason: &'a str,
    },
    /// A running machine does not answer over SSH yet.
    SshAwaited {
        /// Its name.
        machine: &'a str,
    },
    /// A result that was taken from a cache is part of a build that the lock contradicts.
    TakenContradicts {
        /// The step.
        step: &'a str,
        /// Whose result it is.
        origin: &'a ResultOrigin,
    },
    /// A lock was changed by something other than kiln; what it pins is kept.
    LockChanged {
        /// Where it is.
        path: &'a std::path::Path,
        /// Packages that are not kept.
        odd: &'a [OddPath],
    },
    /// The same, where it is known what kiln wrote.
    LockEdited {
        /// Where it is.
        path: &'a std::path::Path,
        /// What was changed, and whether it is in the new lock.
        lines: &'a [(EditedLine, bool)],
    },
}

/// Who listens.
pub trait OpsListener: Sync {
    /// Called from any thread.
    fn on(&self, event: OpsEvent<'_>);
}

/// Nobody.
pub struct IgnoreEvents;

impl OpsListener for IgnoreEvents {
    fn on(&self, _: OpsEvent<'_>) {}
}

/// The time in which a plan is carried out: hands the events of its steps on.
pub(super) struct Steps<'a> {
    listener: &'a dyn OpsListener,
}

impl<'a> Steps<'a> {
    pub(super) fn start(listener: &'a dyn OpsListener) -> Steps<'a> {
        listener.on(OpsEvent::PlanStarted);
        Steps { listener }
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        self.listener.on(OpsEvent::PlanEnded);
    }
}

impl StepListener for Steps<'_> {
    fn on(&self, event: StepEvent) {
        self.listener.on(OpsEvent::Step(event));
    }
}

/// Hands the events of machines on.
pub(super) struct Guests<'a> {
    pub(super) listener: &'a dyn OpsListener,
    /// Whose machines they are, where those of other recipes run at the same time.
    pub(super) recipe: Option<&'a str>,
}

impl<'a> Guests<'a> {
    /// The events of the only machines that run.
    pub(super) fn of(listener: &'a dyn OpsListener) -> Guests<'a> {
        Guests { listener, recipe: None }
    }
}

impl TestListener for Guests<'_> {
    fn on(&self, event: TestEvent<'_>) {
        self.listener.on(OpsEvent::Guest { recipe: self.recipe, event });
    }
}
