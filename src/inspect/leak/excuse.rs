//! Hits that the inputs of the build explain: the same bytes with the same surroundings are in a package.

use std::collections::BTreeSet;
use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use super::Hit;
use super::walk::{self, Visitor};

/// Looks for the surroundings of hits in inputs.
pub struct Excuses {
    automaton: AhoCorasick,
    windows: Vec<Vec<u8>>,
    longest: usize,
    found: BTreeSet<usize>,
    carry: Vec<u8>,
}

impl Excuses {
    /// For these hits.
    pub fn new(hits: &[Hit]) -> Option<Excuses> {
        let windows: Vec<Vec<u8>> =
            hits.iter().map(|hit| hit.window.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        let longest = windows.iter().map(Vec::len).max()?;
        let automaton = AhoCorasick::new(&windows).ok()?;
        Some(Excuses { automaton, windows, longest, found: BTreeSet::new(), carry: Vec::new() })
    }

    /// Whether every hit is explained.
    pub fn complete(&self) -> bool {
        self.found.len() == self.windows.len()
    }

    /// Reads an input. One that cannot be unpacked explains nothing.
    pub fn read(&mut self, stream: impl Read) -> io::Result<()> {
        walk::walk("", Box::new(stream), self)
    }

    /// The hits that no input explained.
    pub fn left(&self, hits: Vec<Hit>) -> Vec<Hit> {
        let explained = |hit: &Hit| self.windows.binary_search(&hit.window).is_ok_and(|at| self.found.contains(&at));
        hits.into_iter().filter(|hit| !explained(hit)).collect()
    }
}

impl Visitor for Excuses {
    fn begin(&mut self, _: &str, _: Option<i64>) {
        self.carry.clear();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.carry.extend_from_slice(bytes);
        for hit in self.automaton.find_overlapping_iter(&self.carry) {
            self.found.insert(hit.pattern().as_usize());
        }
        let kept = self.carry.len().saturating_sub(self.longest);
        self.carry.drain(..kept);
    }

    fn end(&mut self) {}
}
