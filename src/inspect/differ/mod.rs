//! Says where two results that should be equal differ: which file inside, which field or offset, both values decoded.
//!
//! Archives, compressed streams, directories, disks and programs are opened, as deep as they go; text is compared by
//! line, anything else by byte. Nearly everything is read as a stream, and only the first few differences are told: one
//! cause usually has many effects. Behind them stands what usually causes such differences, and the remedy.

mod blocks;
mod bytes;
mod cpio;
mod disk;
mod disks;
mod elf;
mod entry;
mod ext4;
mod fat;
mod rule;
mod table;
mod tar;
mod text;
mod tree;

use std::collections::BTreeSet;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use crate::world::fs;
use rule::Rule;

/// Differences that are told; the others are only counted.
const MAX_REPORTED: usize = 8;
/// Containers within containers that are opened.
const MAX_NESTING: usize = 4;
/// Bytes that show what a stream is: the magic of tar lies at 257.
const SNIFF_BYTES: usize = 4096;

#[derive(Debug, Default)]
pub struct Differences {
    told: Vec<String>,
    more: usize,
    rules: BTreeSet<Rule>,
    /// What every place lies in: a partition of a disk.
    within: String,
}

impl Differences {
    fn add(&mut self, place: &str, what: impl std::fmt::Display) {
        if self.told.len() < MAX_REPORTED {
            let places = [self.within.as_str(), place].into_iter().filter(|place| !place.is_empty());
            let place: String = places.map(|place| format!("{place}: ")).collect();
            self.told.push(format!("{place}{what}"));
        } else {
            self.more += 1;
        }
    }

    /// What usually keeps such a thing equal.
    fn help(&mut self, rule: Rule) {
        if !self.full() {
            self.rules.insert(rule);
        }
    }

    fn count(&self) -> usize {
        self.told.len() + self.more
    }

    /// Nothing more would be told.
    fn full(&self) -> bool {
        self.more > 0
    }

    /// A line each; lines of advice begin with `help: `.
    pub fn lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push("and more".to_owned());
        }
        self.told.extend(self.rules.iter().filter_map(|rule| Some(format!("help: {}", rule.text()?))));
        self.told
    }
}

/// Compares two files, or two directories.
pub fn differences(one: &Path, two: &Path) -> Vec<String> {
    let mut found = Differences::default();
    if one.is_dir() && two.is_dir() {
        tree::compare("", one, two, &mut found);
    } else if !disks::compare(one, two, &mut found) {
        match (fs::open(one), fs::open(two)) {
            (Ok(one), Ok(two)) => streams("", (Box::new(one), Box::new(two)), MAX_NESTING, &mut found),
            (Err(error), _) | (_, Err(error)) => found.add("", error),
        }
    }
    found.lines()
}

/// What a stream begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Gzip,
    Xz,
    Zstd,
    Tar,
    Cpio,
    Elf,
    Text,
    Other,
}

fn form(head: &[u8]) -> Form {
    match head {
        _ if head.starts_with(&[0x1f, 0x8b]) => Form::Gzip,
        _ if head.starts_with(b"\xfd7zXZ\0") => Form::Xz,
        _ if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => Form::Zstd,
        _ if head.starts_with(b"070701") => Form::Cpio,
        _ if head.starts_with(b"\x7fELF") => Form::Elf,
        _ if head.get(257..262) == Some(b"ustar") => Form::Tar,
        _ if !head.contains(&0) && std::str::from_utf8(head).is_ok_and(|text| !text.is_empty()) => Form::Text,
        _ => Form::Other,
    }
}

/// Two streams, one beside the other.
type Pair<'a> = (Box<dyn Read + 'a>, Box<dyn Read + 'a>);

fn peeked<'a>(mut stream: Box<dyn Read + 'a>) -> std::io::Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut head = Vec::new();
    stream.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(BufReader::with_capacity(1 << 17, Cursor::new(head).chain(stream)))))
}

/// Compares two streams, opening what can be opened.
fn streams(place: &str, (one, two): Pair<'_>, depth: usize, found: &mut Differences) {
    let ((one_head, one), (two_head, two)) = match (peeked(one), peeked(two)) {
        (Ok(one), Ok(two)) => (one, two),
        (Err(error), _) | (_, Err(error)) => return found.add(place, format!("cannot be read: {error}")),
    };
    let (form_one, form_two) = (form(&one_head), form(&two_head));
    let form = if form_one == form_two && depth > 0 { form_one } else { Form::Other };
    match form {
        Form::Gzip | Form::Xz | Form::Zstd => {
            let before = found.count();
            let unpack = |stream| unpacked(form, stream);
            match (unpack(one), unpack(two)) {
                (Ok(one), Ok(two)) => streams(place, (one, two), depth - 1, found),
                (Err(error), _) | (_, Err(error)) => found.add(place, format!("cannot be unpacked: {error}")),
            }
            if found.count() == before && one_head != two_head {
                found.add(place, format!("the same content, compressed differently ({form:?})"));
                found.help(Rule::Compressor);
            }
        }
        Form::Tar => tar::compare(place, (one, two), depth - 1, found),
        Form::Cpio => cpio::compare(place, (one, two), depth - 1, found),
        Form::Elf => elf::compare(place, (one, two), found),
        Form::Text => text::compare(place, (one, two), found),
        Form::Other => bytes::compare(place, (one, two), found),
    }
}

fn unpacked<'a>(form: Form, stream: Box<dyn Read + 'a>) -> std::io::Result<Box<dyn Read + 'a>> {
    Ok(match form {
        Form::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stream)),
        Form::Xz => Box::new(xz2::read::XzDecoder::new_multi_decoder(stream)),
        _ => Box::new(zstd::stream::read::Decoder::new(stream)?),
    })
}
