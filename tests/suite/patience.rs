//! Waiting for what another process does: as long as a busy machine may take, and never for ever.

use std::process::Child;
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until it holds. A process that ends before, or does not come to it, is a failure that says what was waited for, and leaves nothing
/// running.
pub(crate) fn until(what: &str, child: &mut Child, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        let ended = child.try_wait().unwrap();
        if ended.is_none() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        // What it did last may have been that.
        if ended.is_some() && holds() {
            return;
        }
        let _ = child.kill();
        let _ = child.wait();
        match ended {
            Some(status) => panic!("the process ended ({status}) before this: {what}"),
            None => panic!("not within {} s: {what}", PATIENCE.as_secs()),
        }
    }
}

#[test]
fn a_process_that_ends_too_early_is_a_failure_that_says_so() {
    let start = || std::process::Command::new("true").spawn().unwrap();
    let failed = std::panic::catch_unwind(|| until("the sun rises in the west", &mut start(), || false)).unwrap_err();
    let said = failed.downcast_ref::<String>().unwrap();
    assert!(said.ends_with("before this: the sun rises in the west"), "{said}");
    until("nothing", &mut start(), || true);
}
