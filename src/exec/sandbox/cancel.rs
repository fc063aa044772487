//! Ending all sandboxes at once, from whatever thread hears of Ctrl-C first.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SandboxError;

struct Sandboxes {
    cancelled: bool,
    next: u64,
    controls: BTreeMap<u64, UnixStream>,
}

static SANDBOXES: Mutex<Sandboxes> = Mutex::new(Sandboxes { cancelled: false, next: 0, controls: BTreeMap::new() });

/// A sandbox that can be ended by [`cancel_all`]; dropping it forgets the sandbox.
pub(super) struct Ticket(u64);

/// Ends every sandbox of this process, and lets none start any more. They report [`SandboxError::Cancelled`].
pub fn cancel_all() {
    let mut all = lock();
    all.cancelled = true;
    for control in all.controls.values() {
        // One that cannot be hung up on has hung up itself.
        let _ = control.shutdown(std::net::Shutdown::Write);
    }
}

/// Lets sandboxes start again, after everything that [`cancel_all`] was to end has ended.
pub fn permit_all() {
    lock().cancelled = false;
}

/// Whether [`cancel_all`] was called.
pub fn cancelled() -> bool {
    lock().cancelled
}

/// Remembers a sandbox that is about to start.
pub(super) fn register(control: &UnixStream) -> Result<Ticket, SandboxError> {
    let control = control.try_clone().map_err(|error| SandboxError::setup("share a socket", error))?;
    let mut all = lock();
    if all.cancelled {
        return Err(SandboxError::Cancelled);
    }
    let number = all.next;
    all.next += 1;
    all.controls.insert(number, control);
    Ok(Ticket(number))
}

impl Ticket {
    /// Whether silence of the sandbox is what was asked for.
    pub(super) fn cancelled(&self) -> bool {
        cancelled()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock().controls.remove(&self.0);
    }
}

/// The state is a flag and a table, which no panic leaves half changed.
fn lock() -> MutexGuard<'static, Sandboxes> {
    SANDBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}
