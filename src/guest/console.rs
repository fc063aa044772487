//! Reads a machine's console log while QEMU writes it, and recognises a guest that has failed.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::GuestError;
use crate::world::fs;

/// Lines kept for reports.
const KEPT: usize = 60;
/// A console longer than this is a guest that prints in a circle.
const FLOOD: u64 = 256 << 20;
/// A line longer than this is cut.
const LINE: usize = 1024;

/// What a kernel or an initramfs prints when a guest is lost, and what it means. Sources: `kernel/panic.c`,
/// `lib/bug.c` and `arch/x86/mm/fault.c`; systemd's `emergency.service`; initramfs-tools' `scripts/functions`.
const FATAL: [(&str, &str); 8] = [
    ("Kernel panic - not syncing", "the kernel panicked"),
    ("BUG: unable to handle", "the kernel reported a bug"),
    ("kernel BUG at ", "the kernel reported a bug"),
    ("Oops: ", "the kernel reported a bug"),
    ("You are in emergency mode", "the guest entered emergency mode"),
    ("You are in rescue mode", "the guest entered rescue mode"),
    // kiln's own initramfs, right before it powers the machine off.
    ("kiln initrd: failed: ", "the initramfs could not mount the root file system"),
    ("Gave up waiting for root", "the initramfs did not find the root file system"),
];
/// The prompt of the shell that initramfs-tools leaves one alone with.
const PROMPT: &str = "(initramfs)";

/// What a line says about the guest's health, if anything.
pub fn fatal(line: &str) -> Option<&'static str> {
    if line.starts_with(PROMPT) {
        return Some("the initramfs failed and started a shell");
    }
    FATAL.iter().find(|(words, _)| line.contains(words)).map(|(_, meaning)| *meaning)
}

/// Removes escape sequences (ECMA-48: CSI, OSC and two-character ones) and control characters.
pub fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            if !c.is_control() || c == '\t' {
                text.push(c);
            }
            continue;
        }
        match chars.next() {
            Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\\') {},
            _ => {}
        }
    }
    text
}

/// The console log of one machine.
#[derive(Debug)]
pub struct ConsoleLog {
    path: PathBuf,
    read: u64,
    partial: Vec<u8>,
    last: VecDeque<String>,
    verdict: Option<&'static str>,
}

impl ConsoleLog {
    /// Follows a log that QEMU creates.
    pub fn follow(path: &Path) -> ConsoleLog {
        ConsoleLog { path: path.to_owned(), read: 0, partial: Vec::new(), last: VecDeque::new(), verdict: None }
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines so far.
    pub fn last_lines(&self) -> Vec<String> {
        let partial = plain(&String::from_utf8_lossy(&self.partial));
        self.last.iter().cloned().chain((!partial.trim().is_empty()).then_some(partial)).collect()
    }

    /// Reads what is new. Answers what is wrong with the guest, once something is.
    pub fn poll(&mut self) -> Result<Option<&'static str>, GuestError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let mut file = fs::open(&self.path)?;
        fs::context("read", &self.path, file.seek(SeekFrom::Start(self.read)))?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = fs::context("read", &self.path, file.read(&mut buffer))?;
            if count == 0 {
                return Ok(self.verdict);
            }
            self.read += count as u64;
            self.take(&buffer[..count]);
            if self.read > FLOOD {
                self.verdict.get_or_insert("the console printed more than 256 MiB");
                return Ok(self.verdict);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.line(&plain(&String::from_utf8_lossy(&line)));
            }
        }
        // A prompt has no line end: `(initramfs) `.
        let partial = String::from_utf8_lossy(&self.partial).into_owned();
        if partial.starts_with(PROMPT) {
            self.verdict = self.verdict.or(fatal(&partial));
        }
    }

    fn line(&mut self, line: &str) {
        self.verdict = self.verdict.or(fatal(line));
        if !line.trim().is_empty() {
            self.last.push_back(line.trim_end().to_owned());
        }
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[&[u8]]) -> ConsoleLog {
        let mut console = ConsoleLog::follow(Path::new("nowhere"));
        text.iter().for_each(|bytes| console.take(bytes));
        console
    }

    #[test]
    fn the_ways_a_guest_is_lost_are_recognised() {
        for line in [
            "[    1.52] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
            "[   10.1] BUG: unable to handle page fault for address: ffffc900",
            "You are in emergency mode. After logging in, type \"journalctl -xb\"",
            "Gave up waiting for root file system device.  Common problems:",
            "(initramfs) ",
        ] {
            assert!(fatal(line).is_some(), "{line}");
        }
        for line in ["[    0.1] Command line: panic=-1", "kernel: debug: no panic", "Starting emergency-sockets"] {
            assert_eq!(fatal(line), None, "{line}");
        }
    }

    #[test]
    fn a_panic_is_found_when_reads_cut_the_line() {
        let console = read(&[b"[ 1.0] Kernel pa", b"nic - not syncing: no init\r\n", b"[ 1.1] ---[ end"]);
        assert_eq!(console.verdict, Some("the kernel panicked"));
        assert_eq!(console.last_lines(), ["[ 1.0] Kernel panic - not syncing: no init", "[ 1.1] ---[ end"]);
        assert!(read(&[b"(initramfs) "]).verdict.is_some());
    }

    #[test]
    fn colours_and_controls_disappear_and_lines_are_bounded() {
        assert_eq!(plain("[\u{1b}[0;32m  OK  \u{1b}[0m] Reached\u{1b}]0;title\u{7}!\r"), "[  OK  ] Reached!");
        let console = read(&[&vec![b'x'; 100_000], b"\n"]);
        assert_eq!(console.last_lines()[0].len(), LINE);
        let many: Vec<u8> = (0..500).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        assert_eq!(read(&[&many]).last_lines().len(), KEPT);
    }
}
