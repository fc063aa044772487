//! The bounds of a sandbox by name: how a user writes one, and what is said when it was hit.
//!
//! Input: `NAME=VALUE`, as `--limit` and `KILN_LIMITS` have it. Output: a [`Limit`]; for errors [`Exceeded`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::ByteSize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// Memory, file systems in memory included.
    Memory,
    /// Processes and threads.
    Processes,
    /// What is written to disk.
    Disk,
    /// Time without work and without a word.
    Silence,
    Log,
}

const ALL: [Bound; 5] = [Bound::Memory, Bound::Processes, Bound::Disk, Bound::Silence, Bound::Log];

/// Seconds of the units in which silence is written.
const TIMES: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// One bound with the value that a user gave it; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub bound: Bound,
    /// Bytes, processes or seconds.
    pub value: Option<u64>,
}

/// Why the text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no such bound.
    #[error("unknown limit `{0}`; expected memory, processes, disk, silence or log, as in memory=16GiB")]
    Name(String),
    /// The value does not read.
    #[error("invalid {name} limit `{value}`: expected {expected}, or none", name = bound.name(), expected = bound.expected())]
    Value { bound: Bound, value: String },
}

impl Bound {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Memory => "memory",
            Bound::Processes => "processes",
            Bound::Disk => "disk",
            Bound::Silence => "silence",
            Bound::Log => "log",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Bound::Memory | Bound::Disk | Bound::Log => "a size such as 16GiB",
            Bound::Processes => "a number such as 8192",
            Bound::Silence => "a time such as 90s, 30m or 2h",
        }
    }

    fn read(self, value: &str) -> Option<u64> {
        let read = match self {
            Bound::Memory | Bound::Disk | Bound::Log => ByteSize::parse(value).map(|size| size.0),
            Bound::Processes => value.parse().ok(),
            Bound::Silence => {
                let unit = value.find(|c: char| !c.is_ascii_digit())?;
                let (number, unit) = value.split_at(unit);
                let (_, seconds) = TIMES.iter().find(|(name, _)| *name == unit)?;
                number.parse::<u64>().ok()?.checked_mul(*seconds)
            }
        };
        // No step does its work with nothing.
        read.filter(|value| *value > 0)
    }

    /// The same bound, written so that it reads back.
    fn written(self, value: u64) -> String {
        match self {
            Bound::Memory | Bound::Disk | Bound::Log => ByteSize(value).to_string(),
            Bound::Processes => value.to_string(),
            Bound::Silence => TIMES
                .iter()
                .rev()
                .find(|(_, unit)| value.is_multiple_of(*unit))
                .map_or_else(|| format!("{value}s"), |(name, unit)| format!("{}{name}", value / unit)),
        }
    }

    /// Twice as much, in a round number.
    fn more(self, value: u64) -> u64 {
        let unit = match self {
            Bound::Memory | Bound::Disk | Bound::Log if value >= 1 << 30 => 1 << 30,
            Bound::Memory | Bound::Disk | Bound::Log => 1 << 20,
            Bound::Processes | Bound::Silence => 1,
        };
        value.saturating_mul(2).checked_next_multiple_of(unit).unwrap_or(u64::MAX)
    }
}

impl std::str::FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Limit, LimitError> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let bound =
            ALL.into_iter().find(|bound| bound.name() == name).ok_or_else(|| LimitError::Name(name.to_owned()))?;
        if value == "none" {
            return Ok(Limit { bound, value: None });
        }
        match bound.read(value) {
            Some(value) => Ok(Limit { bound, value: Some(value) }),
            None => Err(LimitError::Value { bound, value: value.to_owned() }),
        }
    }
}

/// A bound that a sandbox hit, which is why it was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exceeded {
    pub bound: Bound,
    pub limit: u64,
    /// What else is known, a sentence's end or nothing.
    pub detail: String,
}

impl Exceeded {
    /// That a file system was full which has room again: one in memory, as `/tmp`, `/dev/shm` and the tree of an image are,
    /// which have a share each, or that of the store, if others have removed files meanwhile.
    pub fn files_in(memory: u64, free_on_disk: u64) -> String {
        let more = Bound::Memory.written(Bound::Memory.more(memory));
        format!(
            "no space was left: its files in memory (/tmp, /dev/shm, the tree of an image) have parts of its {}, and the \
             file system of the store has {} now\n  \
             help: allow more with `--limit memory={more}` (or none); if something else filled the disk meanwhile, run \
             the command again",
            shown(memory),
            shown(free_on_disk)
        )
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exceeded { bound, limit, detail } = self;
        match bound {
            Bound::Memory => write!(f, "it exceeded its memory limit of {}{detail}", shown(*limit))?,
            Bound::Processes => write!(f, "it exceeded its limit of {limit} processes and threads{detail}")?,
            Bound::Disk => write!(f, "it exceeded its disk limit of {}{detail}", shown(*limit))?,
            Bound::Silence => {
                write!(f, "it neither used the CPU nor printed anything for {}{detail}", bound.written(*limit))?;
            }
            Bound::Log => write!(f, "it exceeded its log limit of {}{detail}", shown(*limit))?,
        }
        let more = bound.written(bound.more(*limit));
        write!(f, "\n  help: raise the limit with `--limit {}={more}`, or remove it with `none`", bound.name())
    }
}

/// How a bound on bytes is written in an error.
fn shown(bytes: u64) -> String {
    ByteSize(bytes).rounded()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<u64> {
        text.parse::<Limit>().unwrap_or_else(|error| panic!("{text}: {error}")).value
    }

    #[test]
    fn limits_are_read_in_the_units_of_their_kind() {
        assert_eq!(value("memory=16GiB"), Some(16 << 30));
        assert_eq!(value("processes=100"), Some(100));
        assert_eq!(value("silence=90s"), Some(90));
        assert_eq!(value("silence=2h"), Some(7200));
        assert_eq!(value("disk=none"), None);
        assert_eq!(value("log=1MiB"), Some(1 << 20));
    }

    #[test]
    fn what_is_no_limit_is_told_what_one_looks_like() {
        for (text, words) in [
            ("ram=1GiB", "unknown limit `ram`; expected memory, processes"),
            ("memory", "expected a size such as 16GiB"),
            ("memory=16", "invalid memory limit `16`"),
            ("memory=0B", "invalid memory limit `0B`"),
            ("processes=-1", "a number such as 8192"),
            ("silence=10", "a time such as 90s"),
            ("silence=99999999999999999999s", "a time such as"),
            ("", "unknown limit ``"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_bound_and_a_limit_that_reads_back() {
        for (bound, limit, words) in [
            (Bound::Memory, 8 << 30, "memory limit of 8.0 GiB\n  help: raise the limit with `--limit memory=16GiB`"),
            (
                Bound::Processes,
                4096,
                "limit of 4096 processes and threads\n  help: raise the limit with `--limit processes=8192`",
            ),
            (Bound::Disk, 100 << 20, "disk limit of 100.0 MiB\n  help: raise the limit with `--limit disk=200MiB`"),
            (Bound::Silence, 600, "anything for 10m\n  help: raise the limit with `--limit silence=20m`"),
            (Bound::Log, 1, "log limit of 1 B\n  help: raise the limit with `--limit log=1MiB`"),
        ] {
            let text = Exceeded { bound, limit, detail: String::new() }.to_string();
            assert!(text.contains(words), "{text}");
            let help = text.split('`').nth(1).unwrap().strip_prefix("--limit ").unwrap();
            assert!(help.parse::<Limit>().unwrap().value > Some(limit), "{help}");
        }
    }
}
