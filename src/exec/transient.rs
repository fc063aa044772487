//! Outputs that are read and kept nowhere: the raw disk that a compressed one is made of.
//!
//! Nobody computes the digest of such a file, most of which is holes: its readers' ids name it by the step that makes
//! it. That step runs when one of its readers does, and the file goes when the last step of this build that reads it
//! has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::plan::{Plan, Step};
use crate::store::TransientFile;

/// What one step left, by declared path.
pub(super) type Files = BTreeMap<String, TransientFile>;

/// The transient files of one build.
pub(super) struct Transients {
    /// By step. Whoever reads some holds them as well.
    files: Mutex<BTreeMap<usize, Arc<Files>>>,
    /// By step: steps that read it and have not ended.
    readers: Mutex<BTreeMap<usize, usize>>,
}

impl Transients {
    pub(super) fn new(plan: &Plan) -> Transients {
        let mut readers = BTreeMap::new();
        for read in plan.steps.iter().flat_map(Step::dependencies) {
            *readers.entry(read).or_insert(0) += 1;
        }
        Transients { files: Mutex::default(), readers: Mutex::new(readers) }
    }

    /// What a step left, if that is there.
    pub(super) fn of(&self, step: usize) -> Option<Arc<Files>> {
        lock(&self.files).get(&step).cloned()
    }

    /// Holds what a step left until its readers have ended.
    pub(super) fn hold(&self, step: usize, files: Files) -> Arc<Files> {
        let files = Arc::new(files);
        lock(&self.files).insert(step, files.clone());
        files
    }

    /// A step has ended: what nobody else reads goes. A step whose own output is transient ends with the last that reads
    /// it, for until then it may still run.
    pub(super) fn ended(&self, plan: &Plan, step: usize) {
        for read in plan.steps[step].dependencies() {
            if self.is_read_no_more(read) {
                lock(&self.files).remove(&read);
                if plan.transient.contains(&read) {
                    self.ended(plan, read);
                }
            }
        }
    }

    /// Counts a reader of a step as ended; true when it was the last.
    fn is_read_no_more(&self, step: usize) -> bool {
        let mut readers = lock(&self.readers);
        let left = readers.entry(step).or_insert(1);
        *left = left.saturating_sub(1);
        *left == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
