//! `Packages` indexes, boiled down to what resolution asks for and kept in one flat buffer.
//!
//! Input: the text of an index (checked against its signed digest by whoever reads it). Output: [`Index`], in which a
//! name is found by binary search and a stanza is parsed when it is looked at. The buffer is also the form in which
//! an index is cached on disk ([`Index::bytes`]), so that the next resolution neither decompresses nor parses.

mod build;

pub(crate) use build::is_inside;
pub use build::{IndexBuilder, IndexError};

use crate::base::Digest;

/// Begins every cached index; the number rises with the layout.
const MAGIC: &[u8; 8] = b"kilnix05";
const HEADER: usize = 8 + 32 + 4 * 5;
const NAME: usize = 7 * 4;
const STANZA: usize = 3 * 4;
const UNUSABLE: usize = 2 * 4;

/// `Priority: required` and so on, as dpkg numbers them: lower is more important.
pub const REQUIRED: u32 = 1;
const PRIORITY: u32 = 0b111;
const ESSENTIAL: u32 = 1 << 3;
const PROTECTED: u32 = 1 << 4;
const ALLOWED: u32 = 1 << 5;

/// A boiled-down `Packages` file.
///
/// Layout, all numbers 32 bits little-endian: magic, SHA-256 of what follows, counts of names, stanzas, providers and
/// unusable stanzas, bytes of text; names (sorted): text offset, length, order of first mention, first stanza, stanzas, first
/// provider, providers; stanzas: text offset, length, flags; providers: stanza; unusable stanzas: text offset, length; text, in
/// which each stanza is lines of one key letter and a value, and an unusable one lines with its name, its version and the reason.
pub struct Index {
    bytes: Vec<u8>,
    names: usize,
    stanzas: usize,
    providers: usize,
    unusable: usize,
}

/// A stanza that kiln cannot use, of a package that nobody has asked for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable<'a> {
    /// Its `Package` field, as far as it is one.
    pub package: &'a str,
    /// Its `Version` field, which may be none.
    pub version: &'a str,
    /// Where it is and what is wrong with it.
    pub reason: &'a str,
}

/// One stanza of an [`Index`].
#[derive(Clone, Copy)]
pub struct IndexStanza<'a> {
    text: &'a str,
    flags: u32,
}

/// What an [`Index`] knows under a name.
#[derive(Clone, Copy)]
pub struct IndexName {
    /// Position of the first mention within the index: apt breaks ties between providers by it.
    pub mention: u32,
    stanzas: (u32, u32),
    providers: (u32, u32),
}

impl Index {
    /// The form in which an index is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a kept index; `None` when it is damaged or of another layout.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Index> {
        if bytes.get(..8)? != MAGIC || bytes.get(8..40)? != Digest::of(bytes.get(40..)?).as_bytes() {
            return None;
        }
        let count = |i: usize| word(&bytes, 40 + 4 * i).map(|count| count as usize);
        let (names, stanzas, providers, unusable, text) = (count(0)?, count(1)?, count(2)?, count(3)?, count(4)?);
        let length = HEADER + names * NAME + stanzas * STANZA + providers * 4 + unusable * UNUSABLE + text;
        let index = Index { bytes, names, stanzas, providers, unusable };
        (index.bytes.len() == length && index.is_sound()).then_some(index)
    }

    /// Whether every reference inside the buffer stays inside, so that lookups need not check.
    fn is_sound(&self) -> bool {
        let within = |first: u32, count: u32, all: usize| u64::from(first) + u64::from(count) <= all as u64;
        let Ok(text) = std::str::from_utf8(&self.bytes[self.text_start()..]) else { return false };
        let boundary = |at: u32, length: u32| {
            within(at, length, text.len())
                && text.is_char_boundary(at as usize)
                && text.is_char_boundary((at + length) as usize)
        };
        let names = (0..self.names).all(|i| {
            let [at, length, _, stanza, stanzas, provider, providers] = self.name_entry(i);
            boundary(at, length) && within(stanza, stanzas, self.stanzas) && within(provider, providers, self.providers)
        });
        names
            && (0..self.stanzas).all(|i| {
                let [at, length, _] = self.stanza_entry(i);
                boundary(at, length)
            })
            && (0..self.providers).all(|i| (self.provider(i) as usize) < self.stanzas)
            && (0..self.unusable).all(|i| {
                let [at, length] = self.unusable_entry(i);
                boundary(at, length)
            })
    }

    /// Number of stanzas.
    pub fn len(&self) -> usize {
        self.stanzas
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stanzas == 0
    }

    /// What is known under a name, real or virtual.
    pub fn find(&self, name: &str) -> Option<IndexName> {
        let (mut low, mut high) = (0, self.names);
        while low < high {
            let middle = (low + high) / 2;
            let [at, length, mention, stanza, stanzas, provider, providers] = self.name_entry(middle);
            match self.slice(at, length).as_bytes().cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return Some(IndexName { mention, stanzas: (stanza, stanzas), providers: (provider, providers) });
                }
            }
        }
        None
    }

    /// The stanzas of packages of that name.
    pub fn packages(&self, name: IndexName) -> impl Iterator<Item = IndexStanza<'_>> {
        (name.stanzas.0..name.stanzas.0 + name.stanzas.1).map(|i| self.stanza(i as usize))
    }

    /// The stanzas whose `Provides` mention that name.
    pub fn providers(&self, name: IndexName) -> impl Iterator<Item = IndexStanza<'_>> {
        (name.providers.0..name.providers.0 + name.providers.1).map(|i| self.stanza(self.provider(i as usize) as usize))
    }

    /// Every stanza, by name.
    pub fn iter(&self) -> impl Iterator<Item = IndexStanza<'_>> {
        (0..self.stanzas).map(|i| self.stanza(i))
    }

    /// Stanzas that were left out.
    pub fn unusable(&self) -> impl Iterator<Item = Unusable<'_>> {
        (0..self.unusable).map(|i| {
            let [at, length] = self.unusable_entry(i);
            let mut lines = self.slice(at, length).splitn(3, '\n').map(Some).chain([None, None]);
            let mut line = || lines.next().flatten().unwrap_or_default();
            Unusable { package: line(), version: line(), reason: line() }
        })
    }

    /// Names of real packages that begin like this one or contain it, for hints.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.names)
            .map(|i| self.name_entry(i))
            .filter(|entry| entry[4] > 0)
            .map(|entry| self.slice(entry[0], entry[1]))
    }

    fn stanza(&self, i: usize) -> IndexStanza<'_> {
        let [at, length, flags] = self.stanza_entry(i);
        IndexStanza { text: self.slice(at, length), flags }
    }

    fn name_entry(&self, i: usize) -> [u32; 7] {
        self.words(HEADER + i * NAME)
    }

    fn stanza_entry(&self, i: usize) -> [u32; 3] {
        self.words(HEADER + self.names * NAME + i * STANZA)
    }

    fn provider(&self, i: usize) -> u32 {
        let [stanza] = self.words(HEADER + self.names * NAME + self.stanzas * STANZA + i * 4);
        stanza
    }

    fn unusable_entry(&self, i: usize) -> [u32; 2] {
        self.words(HEADER + self.names * NAME + self.stanzas * STANZA + self.providers * 4 + i * UNUSABLE)
    }

    fn words<const N: usize>(&self, at: usize) -> [u32; N] {
        std::array::from_fn(|i| word(&self.bytes, at + 4 * i).expect("the tables lie inside the buffer"))
    }

    fn text_start(&self) -> usize {
        HEADER + self.names * NAME + self.stanzas * STANZA + self.providers * 4 + self.unusable * UNUSABLE
    }

    fn slice(&self, at: u32, length: u32) -> &str {
        let start = self.text_start() + at as usize;
        std::str::from_utf8(&self.bytes[start..start + length as usize]).expect("is_sound checked the boundaries")
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Key letters of the fields that are kept.
pub(super) const KEYS: [(&str, u8); 14] = [
    ("Package", b'P'),
    ("Version", b'V'),
    ("Architecture", b'A'),
    ("Filename", b'F'),
    ("Size", b'S'),
    ("SHA256", b'H'),
    ("Pre-Depends", b'E'),
    ("Depends", b'D'),
    ("Conflicts", b'C'),
    ("Breaks", b'B'),
    ("Recommends", b'R'),
    ("Suggests", b'G'),
    ("Provides", b'O'),
    ("Source", b'X'),
];

impl<'a> IndexStanza<'a> {
    /// The value of a field by its key letter.
    fn value(&self, key: u8) -> Option<&'a str> {
        let mut rest = self.text;
        while let Some((line, after)) = rest.split_once('\n') {
            if line.as_bytes().first() == Some(&key) {
                return line.get(1..);
            }
            rest = after;
        }
        None
    }

    /// A relation field (`Depends`, ...) in the index's own words, empty when absent.
    pub fn relation(&self, field: &str) -> &'a str {
        let key = KEYS.iter().find(|(name, _)| *name == field).map(|(_, key)| *key);
        key.and_then(|key| self.value(key)).unwrap_or("")
    }

    pub fn name(&self) -> &'a str {
        self.value(b'P').unwrap_or("")
    }

    /// Version.
    pub fn version(&self) -> &'a str {
        self.value(b'V').unwrap_or("")
    }

    /// Architecture.
    pub fn architecture(&self) -> &'a str {
        self.value(b'A').unwrap_or("")
    }

    /// Path relative to the repository.
    pub fn path(&self) -> &'a str {
        self.value(b'F').unwrap_or("")
    }

    /// Bytes of the `.deb`; the builder made sure that it is a number.
    pub fn size(&self) -> u64 {
        self.value(b'S').and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    /// Digest of the `.deb`; the builder made sure that it is one.
    pub fn sha256(&self) -> Option<Digest> {
        self.value(b'H')?.parse().ok()
    }

    /// 1 (required) to 5 (extra).
    pub fn priority(&self) -> u32 {
        self.flags & PRIORITY
    }

    /// `Essential: yes`
    pub fn essential(&self) -> bool {
        self.flags & ESSENTIAL != 0
    }

    /// `Protected: yes` or `Important: yes`
    pub fn protected(&self) -> bool {
        self.flags & PROTECTED != 0
    }

    /// `Multi-Arch: allowed`
    pub fn allowed(&self) -> bool {
        self.flags & ALLOWED != 0
    }
}
