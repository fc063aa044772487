//! Whether a sandbox works: processor time of all its processes against the clock.
//!
//! Input: [`Task`]s, look by look. Output: for how long nothing worth the name was done. What is printed is kiln's to
//! see, which takes both together.

use std::time::{Duration, Instant};

use super::measure::Task;

/// Whoever works uses more of one processor than one part in this many; a loop that looks once a second whether
/// something has come uses less.
const BUSY_CPU_DIVISOR: u128 = 100;
/// Hundredths of a second that are worth nothing, however short the time.
const NOISE_TICKS: u64 = 5;

/// What was seen so far.
pub(super) struct Idle {
    /// When work was last seen, and the processor time by then.
    since: Instant,
    cpu: u64,
    notice: Option<Duration>,
    told: Instant,
}

impl Idle {
    /// Nothing was seen; `notice` of idleness is worth a word, and again whenever half of it has passed.
    pub(super) fn new(now: Instant, notice: Option<Duration>) -> Idle {
        Idle { since: now, cpu: 0, notice, told: now }
    }

    /// Takes a look in; the seconds of idleness, when they are worth a word.
    pub(super) fn look(&mut self, now: Instant, tasks: &[Task]) -> Option<u64> {
        let notice = self.notice?;
        // Pid 1 is this very process, which works whenever it looks; of others' work it has that of orphans.
        let cpu = tasks.iter().map(|task| if task.pid == 1 { task.cpu_of_children } else { task.cpu }).sum();
        let passed = now.duration_since(self.since);
        let spent = u64::saturating_sub(cpu, self.cpu);
        // Processes that vanish without being waited for take their time with them.
        let works =
            cpu < self.cpu || (spent > NOISE_TICKS && u128::from(spent) * 10 * BUSY_CPU_DIVISOR > passed.as_millis());
        // One that waits for a disk can neither work nor be ended.
        if works || tasks.iter().any(|task| task.state == 'D') {
            (self.since, self.cpu) = (now, cpu);
            return None;
        }
        let due = passed >= notice && now.duration_since(self.told) >= notice / 2;
        due.then(|| {
            self.told = now;
            passed.as_secs()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: u32, cpu: u64, state: char) -> Task {
        let name = "x".to_owned();
        Task { pid, parent: 1, name, state, cpu, cpu_of_children: 0, threads: 1, start: 0, resident: 0 }
    }

    /// Seconds told over a minute of looks at what `tasks` says of each second.
    fn minute(tasks: impl Fn(u64) -> Vec<Task>) -> Vec<u64> {
        let start = Instant::now();
        let mut idle = Idle::new(start, Some(Duration::from_secs(10)));
        (1..=60).filter_map(|second| idle.look(start + Duration::from_secs(second), &tasks(second))).collect()
    }

    #[test]
    fn nothing_done_is_told_again_and_again() {
        assert_eq!(minute(|_| vec![task(1, 0, 'S'), task(2, 3, 'S')]), [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60]);
        assert_eq!(minute(|second| vec![task(1, second * 50, 'R'), task(2, 3, 'S')]).len(), 11, "pid 1 is no work");
    }

    #[test]
    fn looking_once_a_second_is_no_work_and_anything_more_is() {
        assert_eq!(minute(|second| vec![task(2, second / 3, 'S')]).len(), 11);
        assert_eq!(minute(|second| vec![task(2, second * 5, 'S')]), [0_u64; 0]);
        assert_eq!(minute(|_| vec![task(2, 0, 'D')]), [0_u64; 0]);
    }

    #[test]
    fn idleness_begins_anew_after_work() {
        assert_eq!(
            minute(|second| vec![task(2, if second < 30 { second * 100 } else { 3000 }, 'S')]),
            [10, 15, 20, 25, 30]
        );
    }
}
