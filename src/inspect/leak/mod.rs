//! Finds traces of the building machine in what was built.
//!
//! Input: what is known of the machine, a stream, and the inputs of the build. Output: where a trace is, and the rule
//! that would have removed it. It must not report what the inputs say themselves: a changelog that happens to mention
//! today's date is not a leak, and a false alarm on somebody's machine is worse than none. Three things keep it quiet:
//! needles are long and particular ([`needles()`]), they must stand alone ([`needle`]), and a hit counts only when its
//! surroundings occur in no input ([`excuse`]).

mod excuse;
mod identity;
mod matcher;
mod needle;
mod needles;
mod walk;

use std::fs::File;
use std::io::{self, Read};

use rayon::prelude::*;

pub use excuse::Excuses;
pub use identity::Identities;
pub use needle::{Needle, TraceKind};
pub use needles::{BuildHost, needles};

use identity::Uuids;
use matcher::{Matcher, Scan};
use walk::Visitor;

/// Hits that are kept of one artifact; whoever leaks so much does not need them all.
const MAX_HITS: usize = 4096;
/// Files of an archive that are searched in a row.
const RUN: usize = 64;

/// A needle that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file inside the artifact.
    pub place: String,
    /// Its offset in that file, decompressed.
    pub offset: u64,
    /// What it is a trace of.
    pub kind: TraceKind,
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
    identities: Identities,
}

impl Scanner {
    /// Looks for these needles, and for UUIDs that nobody knows.
    pub fn new(needles: Vec<Needle>, identities: Identities) -> Scanner {
        Scanner { matcher: Matcher::new(needles), identities }
    }

    /// Every hit in a file, and in what is packed inside it: an archive is searched on all processors.
    pub fn scan_file(&self, name: &str, file: &File) -> io::Result<Vec<Hit>> {
        let Some(files) = walk::files(file)? else { return self.scan(name, file) };
        let search = |files: &[walk::Located]| {
            let mut finder = self.finder();
            walk::walk_files(name, file, files, &mut finder)?;
            Ok(finder.hits)
        };
        let runs = files.par_chunks(RUN).map(search).collect::<io::Result<Vec<Vec<Hit>>>>()?;
        Ok(runs.into_iter().flatten().take(MAX_HITS).collect())
    }

    /// Every hit in a stream, and in what is packed inside it.
    pub fn scan(&self, name: &str, stream: impl Read) -> io::Result<Vec<Hit>> {
        let mut finder = self.finder();
        walk::walk(name, Box::new(stream), &mut finder)?;
        Ok(finder.hits)
    }

    fn finder(&self) -> Finder<'_> {
        Finder {
            scan: Scan::new(&self.matcher),
            identities: &self.identities,
            uuids: None,
            place: String::new(),
            hits: Vec::new(),
        }
    }
}

struct Finder<'a> {
    scan: Scan<'a>,
    identities: &'a Identities,
    /// In files that the build made.
    uuids: Option<Uuids>,
    place: String,
    hits: Vec<Hit>,
}

impl Finder<'_> {
    fn look(&mut self, bytes: &[u8], last: bool) {
        let (place, hits) = (&self.place, &mut self.hits);
        self.scan.feed(bytes, last, &mut |needle, offset, window| {
            if hits.len() < MAX_HITS {
                let text = String::from_utf8_lossy(&needle.text).into_owned();
                hits.push(Hit { place: place.clone(), offset, kind: needle.kind, text, window: window.to_vec() });
            }
        });
        let Some(uuids) = &mut self.uuids else { return };
        let (place, hits, identities) = (&self.place, &mut self.hits, self.identities);
        let mut hear = |uuid: &[u8; identity::LENGTH], offset| {
            if hits.len() < MAX_HITS && identities.unknown(uuid) {
                let text = String::from_utf8_lossy(uuid).into_owned();
                // By itself it is particular enough: where an input has it, it is no trace, whatever stands beside it.
                hits.push(Hit { place: place.clone(), offset, kind: TraceKind::Uuid, text, window: uuid.to_vec() });
            }
        };
        uuids.feed(bytes, &mut hear);
        if last {
            uuids.end(&mut hear);
        }
    }
}

impl Visitor for Finder<'_> {
    fn begin(&mut self, place: &str, mtime: Option<i64>) {
        place.clone_into(&mut self.place);
        self.scan.restart();
        self.uuids = (mtime == Some(self.identities.epoch)).then(Uuids::default);
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
