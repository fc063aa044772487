//! How long a server that is asked too much is left alone.
//!
//! Input: what it said. Output: times to wait. A server that says how long is believed, within bounds; one that does not is
//! asked again after minutes rather than seconds, since asking sooner only makes it angrier.

use std::time::Duration;

/// Waits in a row without a byte in between, after which a server is given up.
pub const MAX_WAITS: u32 = 8;
/// Longer than this nobody waits for one answer.
pub const MAX_WAIT: Duration = Duration::from_secs(600);
/// So many times a server's own word is enough; who then still refuses is left alone for longer than it says.
const TRUSTED_WAITS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The time before the next try, after so many waits; `None` when the server asks for more than anybody waits.
pub fn wait(waits: u32, asked: Option<Duration>) -> Option<Duration> {
    let doubled = |times: u32| LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(times.min(10)));
    match asked {
        Some(asked) if asked > MAX_WAIT => None,
        Some(asked) if waits < TRUSTED_WAITS => Some(asked),
        Some(asked) => Some(asked.max(doubled(waits - TRUSTED_WAITS))),
        None => Some(doubled(waits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(asked: Option<u64>) -> Vec<u64> {
        let asked = asked.map(Duration::from_secs);
        (0..MAX_WAITS).filter_map(|waits| Some(wait(waits, asked)?.as_secs())).collect()
    }

    #[test]
    fn waits_are_minutes_and_a_servers_word_counts() {
        assert_eq!(seconds(None), [15, 30, 60, 120, 240, 300, 300, 300]);
        assert_eq!(seconds(Some(0)), [0, 0, 0, 15, 30, 60, 120, 240]);
        assert_eq!(seconds(Some(90)), [90, 90, 90, 90, 90, 90, 120, 240]);
        assert_eq!(seconds(Some(601)), [0_u64; 0]);
    }
}
