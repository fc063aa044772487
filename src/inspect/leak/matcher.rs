//! All needles in one pass over a stream that comes in pieces.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::Needle;
use super::needle::YEAR;

/// Bytes around a hit that tell it from others of the same needle.
const CONTEXT_BYTES: usize = 8;

/// All needles as one automaton.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    needles: Vec<Needle>,
    longest: usize,
}

impl Matcher {
    pub(super) fn new(needles: Vec<Needle>) -> Matcher {
        let longest = needles.iter().map(|needle| needle.text.len()).max().unwrap_or(0);
        let texts = needles.iter().map(|needle| &needle.text);
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(texts);
        let automaton = automaton.expect("a dozen short texts fit into an automaton");
        Matcher { automaton, needles, longest }
    }
}

/// Who hears of a hit: the needle, its offset in the stream, the bytes around it.
type Found<'f> = dyn FnMut(&Needle, u64, &[u8]) + 'f;

/// One stream.
pub(super) struct Scan<'a> {
    matcher: &'a Matcher,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte in the stream.
    start: u64,
    /// Matches that begin before this place in the buffer were told.
    done: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(matcher: &'a Matcher) -> Scan<'a> {
        Scan { matcher, buffer: Vec::new(), start: 0, done: 0 }
    }

    pub(super) fn restart(&mut self) {
        self.buffer.clear();
        (self.start, self.done) = (0, 0);
    }

    /// The next piece. A match is told once everything is there that decides whether it counts.
    pub(super) fn feed(&mut self, bytes: &[u8], last: bool, found: &mut Found<'_>) {
        self.buffer.extend_from_slice(bytes);
        let ahead = self.matcher.longest + YEAR.max(CONTEXT_BYTES);
        let limit = if last { self.buffer.len() } else { self.buffer.len().saturating_sub(ahead) };
        if limit <= self.done {
            return;
        }
        for hit in self.matcher.automaton.find_overlapping_iter(&self.buffer[self.done..]) {
            let (from, to) = (self.done + hit.start(), self.done + hit.end());
            let needle = &self.matcher.needles[hit.pattern().as_usize()];
            let (before, after) = (&self.buffer[..from], &self.buffer[to..]);
            if from < limit && needle.counts(before, after) {
                let window = from.saturating_sub(CONTEXT_BYTES)..(to + CONTEXT_BYTES).min(self.buffer.len());
                found(needle, self.start + from as u64, &self.buffer[window]);
            }
        }
        let kept = limit.saturating_sub(CONTEXT_BYTES);
        self.buffer.drain(..kept);
        self.start += kept as u64;
        self.done = limit - kept;
    }
}
