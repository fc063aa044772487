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
