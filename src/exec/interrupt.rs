//! The end of what runs, asked for from outside: by Ctrl-C, or by a caller that no longer wants a result.
//!
//! Input: [`stop`], from any thread. Output: a flag that steps, downloads and machines look at, and the end of the
//! sandboxes of steps. It must not listen to signals: a program that is to end on one calls [`stop`] then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sandbox;

/// What runs, and so how it is ended and how long that may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunningWork {
    /// Steps of a plan: their sandboxes are ended at once.
    Steps,
    /// A step with a build directory that is kept: its sandbox ends in good order, and the directory is looked through.
    KeptDirectory,
    /// Files that are read or written from one end to the other: each looks now and then whether it is to go on.
    Files,
    /// Machines: each is asked to close its files first.
    Machines,
    /// The second build of a comparison: another process, which is told to end, and whose store is then removed.
    SecondBuild,
}

impl RunningWork {
    /// How long cleaning up may take.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            RunningWork::KeptDirectory => 20,
            // A busy disk takes its time with what was written, and nobody sweeps what files are exported to.
            RunningWork::Files => 60,
            RunningWork::Steps | RunningWork::Machines | RunningWork::SecondBuild => 8,
        })
    }
}

struct Counts {
    steps: usize,
    kept_directories: usize,
    files: usize,
    machines: usize,
    second_builds: usize,
}

static RUNNING: Mutex<Counts> =
    Mutex::new(Counts { steps: 0, kept_directories: 0, files: 0, machines: 0, second_builds: 0 });
static STOPPED: AtomicBool = AtomicBool::new(false);

/// While it lives, something runs that [`stop`] ends. With the last one, the wish to stop has been granted.
#[must_use]
pub struct Interruptible(RunningWork);

impl Interruptible {
    /// From now on.
    pub fn start(work: RunningWork) -> Interruptible {
        *counts().of(work) += 1;
        Interruptible(work)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        let mut counts = counts();
        *counts.of(self.0) -= 1;
        if counts.is_idle() && STOPPED.swap(false, Ordering::SeqCst) {
            sandbox::permit_all();
        }
    }
}

impl Counts {
    fn of(&mut self, work: RunningWork) -> &mut usize {
        match work {
            RunningWork::Steps => &mut self.steps,
            RunningWork::KeptDirectory => &mut self.kept_directories,
            RunningWork::Files => &mut self.files,
            RunningWork::Machines => &mut self.machines,
            RunningWork::SecondBuild => &mut self.second_builds,
        }
    }

    fn is_idle(&self) -> bool {
        self.steps + self.kept_directories + self.files + self.machines + self.second_builds == 0
    }

    /// The work that takes longest to end.
    fn slowest(&self) -> RunningWork {
        match self {
            Counts { kept_directories: 1.., .. } => RunningWork::KeptDirectory,
            Counts { machines: 1.., .. } => RunningWork::Machines,
            Counts { second_builds: 1.., .. } => RunningWork::SecondBuild,
            Counts { files: 1.., .. } => RunningWork::Files,
            _ => RunningWork::Steps,
        }
    }
}

/// What [`stop`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// Nothing runs.
    Idle,
    /// What runs ends now, which may take this long.
    Begun(Duration),
    /// What runs was told before.
    Again,
}

/// Ends everything that runs in this process.
pub fn stop() -> Stopping {
    let counts = counts();
    if counts.is_idle() {
        return Stopping::Idle;
    }
    if STOPPED.swap(true, Ordering::SeqCst) {
        return Stopping::Again;
    }
    if counts.steps > 0 {
        sandbox::cancel_all();
    }
    Stopping::Begun(counts.slowest().patience())
}

/// Whether what runs is to end, for whoever looks at it again and again.
pub fn flag() -> &'static AtomicBool {
    &STOPPED
}

/// Whether what runs is to end.
pub fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Two numbers, which no panic leaves half changed.
fn counts() -> MutexGuard<'static, Counts> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
