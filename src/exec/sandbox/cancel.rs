//! Ending many sandboxes at once: all of them, from whatever thread hears of Ctrl-C first, or those of one build that failed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SandboxError;

struct Sandboxes {
    cancelled: bool,
    next: u64,
    controls: BTreeMap<u64, Control>,
}

struct Control {
    socket: UnixStream,
    group: Option<Group>,
}

/// Whether the sandboxes of a group are to end.
type Group = Arc<AtomicBool>;

static SANDBOXES: Mutex<Sandboxes> = Mutex::new(Sandboxes { cancelled: false, next: 0, controls: BTreeMap::new() });

thread_local! {
    /// The group of what this thread starts.
    static GROUP: RefCell<Option<Group>> = const { RefCell::new(None) };
}

/// Sandboxes that end together. A sandbox belongs to the group that its thread works for when it starts.
#[derive(Debug, Clone, Default)]
pub struct SandboxGroup(Group);

impl SandboxGroup {
    /// Does something for this group, on this thread.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let outer = Outer(GROUP.replace(Some(self.0.clone())));
        let done = work();
        drop(outer);
        done
    }

    /// Ends every sandbox of the group, and lets none start any more. They report [`SandboxError::Cancelled`].
    pub fn cancel(&self) {
        let all = lock();
        self.0.store(true, Ordering::SeqCst);
        let own = |control: &&Control| control.group.as_ref().is_some_and(|group| Arc::ptr_eq(group, &self.0));
        all.controls.values().filter(own).for_each(hang_up);
    }
}

/// The group that a thread worked for before; the drop lets it go on with that, after a panic, too.
struct Outer(Option<Group>);

impl Drop for Outer {
    fn drop(&mut self) {
        GROUP.set(self.0.take());
    }
}

/// A sandbox that can be ended from elsewhere; dropping it forgets the sandbox.
pub(super) struct Ticket {
    number: u64,
    group: Option<Group>,
}

/// Ends every sandbox of this process, and lets none start any more. They report [`SandboxError::Cancelled`].
pub fn cancel_all() {
    let mut all = lock();
    all.cancelled = true;
    all.controls.values().for_each(hang_up);
}

fn hang_up(control: &Control) {
    // One that cannot be hung up on has hung up itself.
    let _ = control.socket.shutdown(std::net::Shutdown::Write);
}

/// Lets sandboxes start again, after everything that [`cancel_all`] was to end has ended.
pub fn permit_all() {
    lock().cancelled = false;
}

/// Whether [`cancel_all`] was called.
pub fn cancelled() -> bool {
    lock().cancelled
}

fn is_over(group: Option<&Group>) -> bool {
    group.is_some_and(|group| group.load(Ordering::SeqCst))
}

/// Remembers a sandbox that is about to start.
pub(super) fn register(control: &UnixStream) -> Result<Ticket, SandboxError> {
    let socket = control.try_clone().map_err(|error| SandboxError::setup("share a socket", error))?;
    let group = GROUP.with_borrow(Option::clone);
    let mut all = lock();
    if all.cancelled || is_over(group.as_ref()) {
        return Err(SandboxError::Cancelled);
    }
    let number = all.next;
    all.next += 1;
    all.controls.insert(number, Control { socket, group: group.clone() });
    Ok(Ticket { number, group })
}

impl Ticket {
    /// Whether silence of the sandbox is what was asked for.
    pub(super) fn cancelled(&self) -> bool {
        cancelled() || is_over(self.group.as_ref())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock().controls.remove(&self.number);
    }
}

/// The state is a flag and a table, which no panic leaves half changed.
fn lock() -> MutexGuard<'static, Sandboxes> {
    SANDBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}
