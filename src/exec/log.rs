//! The log of a step: all that its programs printed on disk, the end of it in memory, both within bounds.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{Event, Listener};
use crate::world::{WorldError, fs};

/// Bytes of a log that are kept on disk: no step that says something worth reading has said more.
const LOG_LIMIT: u64 = 64 << 20;
/// Lines of a failed step that its error shows, and characters of each.
const TAIL: usize = 20;
const SHOWN: usize = 1000;

/// Hears what a step says, keeps it, and passes it on.
pub(super) struct Log<'a> {
    listener: &'a dyn Listener,
    kept: Mutex<Kept>,
}

struct Kept {
    path: PathBuf,
    /// None after it could not be written.
    file: Option<std::fs::File>,
    written: u64,
    cut: bool,
    tail: VecDeque<String>,
}

/// A log that outlives its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub path: PathBuf,
    /// Whether everything is in it.
    pub whole: bool,
}

impl<'a> Log<'a> {
    /// Begins one at a path of kiln's own.
    pub(super) fn begin(path: PathBuf, listener: &'a dyn Listener) -> Result<Log<'a>, WorldError> {
        let file = Some(fs::create_new(&path)?);
        Ok(Log { listener, kept: Mutex::new(Kept { path, file, written: 0, cut: false, tail: VecDeque::new() }) })
    }

    /// Takes a line down and tells it.
    pub(super) fn line(&self, step: &str, line: &str) {
        self.on(Event::StepLog { step: step.to_owned(), line: line.to_owned() });
    }

    /// The last lines.
    pub(super) fn tail(&self) -> Vec<String> {
        self.kept().tail.iter().cloned().collect()
    }

    /// Keeps the log of a step that failed, if there is one to keep.
    pub(super) fn keep(&self, place: &Path) -> Result<Option<Record>, WorldError> {
        let kept = self.kept();
        // One that says nothing, or only half of it for want of space, would only mislead.
        if kept.file.is_none() || kept.written == 0 {
            return Ok(None);
        }
        fs::rename(&kept.path, place)?;
        Ok(Some(Record { path: place.to_owned(), whole: !kept.cut }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Log<'_> {
    fn on(&self, event: Event) {
        if let Event::StepLog { line, .. } = &event {
            self.kept().add(line);
        }
        self.listener.on(event);
    }
}

impl Kept {
    fn add(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(line));
        let bytes = line.len() as u64 + 1;
        if self.cut {
            return;
        }
        if self.written + bytes > LOG_LIMIT {
            self.cut = true;
            self.write(&format!("the rest of the log was left out: it is longer than {} MiB\n", LOG_LIMIT >> 20));
        } else {
            self.written += bytes;
            self.write(&format!("{line}\n"));
        }
    }

    fn write(&mut self, text: &str) {
        // A log that cannot be written is no reason to fail a step that can do its work.
        if let Some(file) = &mut self.file
            && file.write_all(text.as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let which =
            if self.whole { "its whole log".to_owned() } else { format!("its first {} MiB of log", LOG_LIMIT >> 20) };
        write!(f, "\n{which}: {}", self.path.display())
    }
}

/// A line as an error shows it.
pub(in crate::exec) fn shortened(line: &str) -> String {
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
