//! For tests: what becomes true a moment later on a busy machine. A process that another test has just started has all open files
//! of this one, and so its ports, until it runs its program.

use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(10);
/// A minute.
const LOOKS: usize = 6_000;

/// Waits until it holds, for as long as a test may take.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
    panic!("not within a minute: {what}");
}
