//! Several requests at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::NotRebuilt;

/// Requests at a time.
const PARALLEL: usize = 4;

/// Does it for each, several at a time; the first failure ends it.
pub(super) fn at_once<T: Sync>(
    all: &[T],
    each: &(dyn Fn(&T) -> Result<(), NotRebuilt> + Sync),
) -> Result<(), NotRebuilt> {
    let (next, error) = (AtomicUsize::new(0), Mutex::new(None));
    let failed = || error.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !failed()) {
                    if let Err(why) = each(one) {
                        error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                    }
                }
            });
        }
    });
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
