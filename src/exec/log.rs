//! The log of a step: all that its programs printed on disk, the end of it in memory, both within bounds.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::{StepEvent, StepListener};
use super::sandbox::Limits;
use crate::base::ByteSize;
use crate::world::{WorldError, fs};

/// Lines of a failed step that its error shows, and characters of each.
const MAX_TAIL_LINES: usize = 20;
const MAX_LINE_CHARS: usize = 1000;

/// Hears what a step says, keeps it, and passes it on.
pub(super) struct Log<'a> {
    listener: &'a dyn StepListener,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Bytes that are kept on disk.
    limit: u64,
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
    pub path: PathBuf,
    /// How many bytes of it were kept, when not all.
    pub cut: Option<u64>,
}

impl<'a> Log<'a> {
    /// Begins one at a path of kiln's own.
    pub(super) fn begin(path: PathBuf, limits: &Limits, listener: &'a dyn StepListener) -> Result<Log<'a>, WorldError> {
        let file = Some(fs::create_new(&path)?);
        let (limit, tail) = (limits.log.unwrap_or(u64::MAX), VecDeque::new());
        Ok(Log { listener, kept: Mutex::new(Kept { limit, path, file, written: 0, cut: false, tail }) })
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
        Ok(Some(Record { path: place.to_owned(), cut: kept.cut.then_some(kept.limit) }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StepListener for Log<'_> {
    fn on(&self, event: StepEvent) {
        match &event {
            StepEvent::StepLog { line, .. } => self.kept().add(line),
            // What kiln says about the step.
            StepEvent::Warning { message } => self.kept().add(&format!("kiln: {message}")),
            _ => {}
        }
        self.listener.on(event);
    }
}

impl Kept {
    fn add(&mut self, line: &str) {
        if self.tail.len() == MAX_TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(line));
        let bytes = line.len() as u64 + 1;
        if self.cut {
            return;
        }
        if self.written + bytes > self.limit {
            self.cut = true;
            let limit = ByteSize(self.limit).rounded();
            self.write(&format!(
                "the rest of the log was omitted: it exceeds {limit} (change it with `--limit log=SIZE`)\n"
            ));
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
        let which = match self.cut {
            None => "its whole log".to_owned(),
            Some(limit) => {
                format!("the first {} of its log (use `--limit log=SIZE` to keep more)", ByteSize(limit).rounded())
            }
        };
        write!(f, "\n{which}: {}", self.path.display())
    }
}

/// A line as an error shows it.
pub(in crate::exec) fn shortened(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::IgnoreSteps;
    use super::*;

    #[test]
    fn what_a_builtin_step_tells_is_in_its_log_too() {
        let directory = std::env::temp_dir().join(format!("kiln-log-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, place) = (directory.join("log"), directory.join("kept"));
        let log = Log::begin(path.clone(), &Limits::default(), &IgnoreSteps).unwrap();
        assert_eq!(log.keep(&place).unwrap(), None, "an empty log is none");
        // As a builtin step does, which knows only whom to tell.
        let listener: &dyn StepListener = &log;
        for number in 0..30 {
            listener.on(StepEvent::StepLog { step: "base".to_owned(), line: format!("Setting up {number}") });
        }
        listener.on(StepEvent::StepLog { step: "base".to_owned(), line: "x".repeat(3000) });
        let record = log.keep(&place).unwrap().unwrap();
        assert_eq!(record.to_string(), format!("\nits whole log: {}", place.display()));
        let text = String::from_utf8(fs::read(&place, 1 << 20).unwrap()).unwrap();
        assert!(text.starts_with("Setting up 0\nSetting up 1\n") && text.len() > 3000, "{text}");
        let tail = log.tail();
        assert_eq!(
            (tail.len(), tail[0].as_str(), tail[19].len()),
            (MAX_TAIL_LINES, "Setting up 11", MAX_LINE_CHARS + 3)
        );
        assert!(Log::begin(place, &Limits::default(), &IgnoreSteps).is_err(), "what is there is not overwritten");
        fs::remove_tree(&directory).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_is_not_named() {
        let path = std::env::temp_dir().join(format!("kiln-log-full-{}", std::process::id()));
        let log = Log::begin(path.clone(), &Limits::default(), &IgnoreSteps).unwrap();
        // A descriptor that refuses every write, as a full disk does.
        log.kept().file = Some(fs::open(&path).unwrap());
        log.on(StepEvent::StepLog { step: "step".to_owned(), line: "lost".to_owned() });
        assert_eq!(log.keep(&path.with_extension("kept")).unwrap(), None);
        assert_eq!(log.tail(), ["lost"]);
        fs::remove_file(&path).unwrap();
    }
}
