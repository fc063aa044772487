//! Where a base depends on the name of the machine: the files that hold the name under which it was configured.
//!
//! Input: what goes into the archive of a base that was configured under [`crate::plan::root::PLACEHOLDER`]. Output: paths, in
//! the archive's order.

use aho_corasick::{AhoCorasick, packed};

use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Witness};
use crate::format::tar::{TarEntry, TarEntryKind};
use crate::plan::root::PLACEHOLDER_LABELS;

/// So many are kept: they are for people, and one is enough to say that the base depends on the name.
const MOST: usize = 1000;
/// So much of a file is searched at once: it stays in the processor's cache.
const PIECE: usize = 1 << 16;

/// Looks into contents, at names and at the targets of links, while they go into the archive.
pub(super) struct Traces {
    labels: Labels,
    /// The end of what was searched, and what is: a label may lie across both.
    window: Vec<u8>,
    /// Whether the entry that is written is on the list already.
    noted: bool,
    found: Vec<String>,
}

impl Traces {
    pub(super) fn new() -> Result<Traces, RootError> {
        Ok(Traces { labels: Labels::new()?, window: Vec::new(), noted: false, found: Vec::new() })
    }

    pub(super) fn found(self) -> Vec<String> {
        self.found
    }

    fn note(&mut self, entry: &TarEntry) {
        self.noted = true;
        if self.found.len() < MOST {
            self.found.push(entry.path.to_string());
        }
    }
}

impl Witness for Traces {
    fn entry(&mut self, entry: &TarEntry) {
        self.window.clear();
        self.noted = false;
        let target: &[u8] = if let TarEntryKind::Symlink(target) = &entry.kind { target } else { &[] };
        if [entry.path.as_bytes(), target].iter().any(|text| self.labels.are_in(&text.to_ascii_lowercase())) {
            self.note(entry);
        }
    }

    fn content(&mut self, entry: &TarEntry, piece: &[u8]) {
        for piece in piece.chunks(PIECE) {
            if self.noted {
                return;
            }
            let searched = self.window.len();
            self.window.extend_from_slice(piece);
            self.window[searched..].make_ascii_lowercase();
            if self.labels.are_in(&self.window) {
                self.note(entry);
            }
            let rest = self.window.len().saturating_sub(self.labels.longest - 1);
            self.window.drain(..rest);
        }
    }
}

/// Finds the labels in lower case: scripts may have changed the case of what they derived.
struct Labels {
    /// Where the processor can compare many bytes at once.
    quick: Option<packed::Searcher>,
    any: AhoCorasick,
    longest: usize,
}

impl Labels {
    fn new() -> Result<Labels, RootError> {
        let any = AhoCorasick::new(PLACEHOLDER_LABELS).map_err(|error| StepFailure::bug(error.to_string()))?;
        let longest = PLACEHOLDER_LABELS.iter().map(|label| label.len()).max().unwrap_or(1);
        Ok(Labels { quick: packed::Searcher::new(PLACEHOLDER_LABELS), any, longest })
    }

    fn are_in(&self, text: &[u8]) -> bool {
        match &self.quick {
            Some(quick) => quick.find(text).is_some(),
            None => self.any.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tar::TarPath;

    #[test]
    fn contents_names_and_targets_are_searched() {
        let path = |name: &str| TarPath::new(name).unwrap();
        let entries = [
            ("etc/a-plain", "kiln.example.org\n".to_owned()),
            ("etc/b-upper", format!("WORKGROUP={}\n", PLACEHOLDER_LABELS[0].to_uppercase())),
            ("etc/c-domain", format!("dc={},dc=invalid\n", PLACEHOLDER_LABELS[1])),
            ("etc/d-part", "kilnhost3\n".to_owned()),
            ("etc/d-parts", "kilndomain7z".to_owned()),
            // Only together with the file before: it is none of this one.
            ("etc/d-rest", "r2m\n".to_owned()),
            ("etc/e-kilnhost3kq9x.conf", String::new()),
            ("etc/f-far", format!("{}{}", "x".repeat(PIECE - 4), PLACEHOLDER_LABELS[0])),
            ("etc/f-later", format!("{}{}", "x".repeat(3 * PIECE), PLACEHOLDER_LABELS[1])),
        ];
        let link = TarEntry::symlink(path("etc/g-link"), PLACEHOLDER_LABELS[0], 0);
        // Whatever is read at once, and on any processor.
        for (size, quick) in [(1, true), (7, true), (1 << 20, true), (7, false), (1 << 20, false)] {
            let mut traces = Traces::new().unwrap();
            if !quick {
                traces.labels.quick = None;
            }
            for (name, text) in &entries {
                let entry = TarEntry::file(path(name), 0o644, 0, text.len() as u64);
                traces.entry(&entry);
                text.as_bytes().chunks(size).for_each(|piece| traces.content(&entry, piece));
            }
            traces.entry(&link);
            let expected = [
                "/etc/b-upper",
                "/etc/c-domain",
                "/etc/e-kilnhost3kq9x.conf",
                "/etc/f-far",
                "/etc/f-later",
                "/etc/g-link",
            ];
            assert_eq!(traces.found(), expected, "{size} {quick}");
        }
    }
}
