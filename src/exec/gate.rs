//! Bounds how many threads do something at a time, and lets those in first that others wait for longest.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How urgent something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Urgency {
    /// How much waits for it: what more waits for goes first.
    pub(super) rank: u64,
    /// How large it is: what is smaller goes first.
    pub(super) size: Reverse<u64>,
}

/// A door that lets so many in at a time.
pub(super) struct Gate {
    state: Mutex<GateState>,
    left: Condvar,
}

struct GateState {
    free: usize,
    /// How many ever came, which tells those apart that are equally urgent: whoever came first goes first.
    came: u64,
    waiting: BTreeSet<(Reverse<Urgency>, u64)>,
}

/// Somebody inside; the drop lets the next one in.
pub(super) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(super) fn new(places: usize) -> Gate {
        let state = GateState { free: places.max(1), came: 0, waiting: BTreeSet::new() };
        Gate { state: Mutex::new(state), left: Condvar::new() }
    }

    /// Waits for a place.
    pub(super) fn enter(&self, urgency: Urgency) -> Pass<'_> {
        let mut state = self.state();
        let own = (Reverse(urgency), state.came);
        state.came += 1;
        state.waiting.insert(own);
        let next = |state: &mut GateState| state.free == 0 || state.waiting.first() != Some(&own);
        let mut state = self.left.wait_while(state, next).unwrap_or_else(PoisonError::into_inner);
        state.waiting.remove(&own);
        state.free -= 1;
        if state.free > 0 {
            // Whoever is first now may have looked while somebody else was.
            self.left.notify_all();
        }
        Pass(self)
    }

    /// Numbers and a set, which no panic leaves half changed.
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state().free += 1;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_waits_for_goes_first_then_what_is_smallest_then_whoever_came_first() {
        let (gate, order) = (Gate::new(1), Mutex::new(Vec::new()));
        let urgencies = [(1, 5), (7, 9), (1, 2), (7, 3), (7, 3)];
        std::thread::scope(|scope| {
            let inside = gate.enter(Urgency::default());
            for (at, (rank, size)) in urgencies.into_iter().enumerate() {
                let (gate, order) = (&gate, &order);
                scope.spawn(move || {
                    let _pass = gate.enter(Urgency { rank, size: Reverse(size) });
                    order.lock().unwrap().push(at);
                });
                // The next one comes when this one waits.
                while gate.state().waiting.len() <= at {
                    std::thread::yield_now();
                }
            }
            drop(inside);
        });
        assert_eq!(*order.lock().unwrap(), [3, 4, 1, 2, 0]);
        assert!(gate.state().waiting.is_empty());
    }

    #[test]
    fn as_many_are_inside_as_there_are_places() {
        let gate = Gate::new(2);
        let (_one, _two) = (gate.enter(Urgency::default()), gate.enter(Urgency::default()));
        assert_eq!(gate.state().free, 0);
    }
}
