//! Deadlines and durations: how long a guest may take, and how long it took. Never part of any bit.

use std::time::{Duration, Instant};

/// A moment after which patience ends, and the moment it started.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    pub fn after(limit: Duration) -> Deadline {
        #[allow(clippy::disallowed_methods, reason = "patience with a guest is a duration, not a bit")]
        let start = Instant::now();
        Deadline { start, limit }
    }

    /// The same with more patience.
    pub fn extended(self, by: Duration) -> Deadline {
        Deadline { limit: self.limit.saturating_add(by), ..self }
    }

    /// Time since it was set.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds since it was set.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Time that is left.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    pub fn limit(&self) -> Duration {
        self.limit
    }
}

/// Something that is done again and again, but not more often than this. A serial port hands out a few bytes at a time, and
/// QEMU waits until they are taken: what is done between two reads must not hold them up.
#[derive(Debug, Clone, Copy)]
pub struct Seldom {
    interval: Duration,
    next: Option<Deadline>,
}

impl Seldom {
    /// Due at once, and after every `interval`.
    pub fn every(interval: Duration) -> Seldom {
        Seldom { interval, next: None }
    }

    /// Whether it is due; then the next time is an interval away.
    pub fn is_due(&mut self) -> bool {
        let due = self.next.is_none_or(|next| next.passed());
        if due {
            self.next = Some(Deadline::after(self.interval));
        }
        due
    }
}
