//! Finds traces of the building machine in what was built.
//!
//! Input: what is known of the machine, a stream, and the inputs of the build. Output: where a trace is, and the rule
//! that would have removed it. It must not report what the inputs say themselves: a changelog that happens to mention
//! today's date is not a leak, and a false alarm on somebody's machine is worse than none. Three things keep it quiet:
//! needles are long and particular ([`needles`]), they must stand alone ([`needle`]), and a hit counts only when its
//! surroundings occur in no input ([`excuse`]).

mod excuse;
mod matcher;
mod needle;
mod needles;
mod walk;

use std::io::{self, Read};

pub use excuse::Excuses;
pub use needle::{Kind, Needle};
pub use needles::{Machine, needles};

use matcher::{Matcher, Scan};
use walk::Visitor;

/// Hits that are kept of one artifact; whoever leaks so much does not need them all.
const HITS: usize = 4096;

/// A needle that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file inside the artifact.
    pub place: String,
    /// Its offset in that file, decompressed.
    pub offset: u64,
    /// What it is a trace of.
    pub kind: Kind,
    /// The needle.
    pub text: String,
    /// The needle with its surroundings.
    window: Vec<u8>,
}

impl std::fmt::Display for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hit { place, offset, kind, text, .. } = self;
        write!(f, "{place}, offset {offset}: {} `{text}`; {}", kind.what(), kind.rule())
    }
}

/// Looks for machines' traces.
pub struct Scanner {
    matcher: Matcher,
}

impl Scanner {
    /// `None` when there is nothing to look for.
    pub fn new(needles: Vec<Needle>) -> Option<Scanner> {
        Matcher::new(needles).map(|matcher| Scanner { matcher })
    }

    /// Every hit in a stream, and in what is packed inside it.
    pub fn scan(&self, name: &str, stream: impl Read) -> io::Result<Vec<Hit>> {
        let mut finder = Finder { scan: Scan::new(&self.matcher), place: String::new(), hits: Vec::new() };
        walk::walk(name, Box::new(stream), &mut finder)?;
        Ok(finder.hits)
    }
}

struct Finder<'a> {
    scan: Scan<'a>,
    place: String,
    hits: Vec<Hit>,
}

impl Finder<'_> {
    fn look(&mut self, bytes: &[u8], last: bool) {
        let (place, hits) = (&self.place, &mut self.hits);
        self.scan.feed(bytes, last, &mut |needle, offset, window| {
            if hits.len() < HITS {
                let text = String::from_utf8_lossy(&needle.text).into_owned();
                hits.push(Hit { place: place.clone(), offset, kind: needle.kind, text, window: window.to_vec() });
            }
        });
    }
}

impl Visitor for Finder<'_> {
    fn begin(&mut self, place: &str) {
        place.clone_into(&mut self.place);
        self.scan.restart();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.look(bytes, false);
    }

    fn end(&mut self) {
        self.look(&[], true);
    }
}

#[cfg(test)]
mod tests;
