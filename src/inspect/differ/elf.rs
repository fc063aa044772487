//! Two ELF files (programs, libraries, kernels and their modules), section by section.

use std::io::{Cursor, Read};

use super::{Differences, Pair, Rule, bytes};

/// Larger files are compared as bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes of a section header in 64-bit files.
const HEADER: usize = 64;
/// `SHT_NOBITS`: a section without bytes in the file.
const NOBITS: u64 = 8;

struct Section<'a> {
    name: String,
    /// Type, flags, address, alignment.
    facts: [(&'static str, u64); 4],
    offset: u64,
    content: &'a [u8],
}

pub(super) fn compare(place: &str, (mut one, mut two): Pair<'_>, found: &mut Differences) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let read = one
        .by_ref()
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut left)
        .and(two.by_ref().take(MAX_FILE_BYTES).read_to_end(&mut right));
    if let Err(error) = read {
        return found.add(place, format!("cannot be read: {error}"));
    }
    if left == right && (left.len() as u64) < MAX_FILE_BYTES {
        return;
    }
    let before = found.count();
    if let (Some(one), Some(two)) = (sections(&left), sections(&right)) {
        pairs(place, &one, &two, found);
    }
    if found.count() == before {
        bytes::compare(place, (Box::new(Cursor::new(left).chain(one)), Box::new(Cursor::new(right).chain(two))), found);
    }
}

fn pairs(place: &str, one: &[Section<'_>], two: &[Section<'_>], found: &mut Differences) {
    // The id follows from everything else, so it is told last.
    let id = |section: &&Section<'_>| section.name == ".note.gnu.build-id";
    for section in one.iter().filter(|section| !id(section)).chain(one.iter().filter(id)) {
        let name = if place.is_empty() { section.name.clone() } else { format!("{place}: {}", section.name) };
        let Some(other) = two.iter().find(|other| other.name == section.name) else {
            found.add(&name, "only in the first");
            continue;
        };
        for ((what, left), (_, right)) in section.facts.iter().zip(&other.facts) {
            if left != right {
                found.add(&name, format!("{what} {left:#x} then {right:#x}"));
            }
        }
        if section.content == other.content {
            continue;
        }
        if id(&section) {
            found.add(&name, format!("{} then {}", hex(section.content), hex(other.content)));
            found.help(Rule::BuildId);
            continue;
        }
        let at = bytes::first(section.content, other.content).unwrap_or_default();
        let within = format!("{name}, which begins at {:#x}", section.offset);
        bytes::tell(&within, 0, (section.content, other.content), found);
        text((section.content, other.content), at, found);
    }
    for other in two.iter().filter(|other| !one.iter().any(|section| section.name == other.name)) {
        found.add(if place.is_empty() { &other.name } else { place }, format!("{}: only in the second", other.name));
    }
}

/// When a string is what differs, the rule that its words suggest.
fn text((one, two): (&[u8], &[u8]), at: usize, found: &mut Differences) {
    let string = |bytes: &[u8]| -> String {
        let end = |bytes: &[u8]| bytes.iter().position(|byte| !(0x20..0x7f).contains(byte));
        let start = bytes[..at].iter().rposition(|byte| !(0x20..0x7f).contains(byte)).map_or(0, |at| at + 1);
        let rest = &bytes[start..];
        String::from_utf8_lossy(&rest[..end(rest).unwrap_or(rest.len())]).into_owned()
    };
    if let Some(rule) = super::rule::of_lines(&string(one), &string(two)) {
        found.help(rule);
    }
}

/// The description of the note, without its header of 16 bytes (`GNU\\0` is its name).
fn hex(note: &[u8]) -> String {
    note.get(16..).unwrap_or(note).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All sections of a 64-bit little-endian file; `None` for others, and where the headers make no sense.
fn sections(file: &[u8]) -> Option<Vec<Section<'_>>> {
    if file.get(4..6)? != [2, 1] {
        return None;
    }
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = file.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let table = usize::try_from(number(0x28, 8)?).ok()?;
    let (size, count, names) = (number(0x3a, 2)? as usize, number(0x3c, 2)? as usize, number(0x3e, 2)? as usize);
    if size != HEADER || count == 0 {
        return None;
    }
    let part = |index: usize| -> Option<(usize, &[u8])> {
        let at = table.checked_add(index * HEADER).filter(|at| *at < file.len())?;
        let (offset, length) =
            (usize::try_from(number(at + 0x18, 8)?).ok()?, usize::try_from(number(at + 0x20, 8)?).ok()?);
        let empty = number(at + 4, 4)? == NOBITS;
        Some((at, if empty { &[] } else { file.get(offset..offset.checked_add(length)?)? }))
    };
    let (_, names) = part(names)?;
    let section = |index: usize| -> Option<Section<'_>> {
        let (at, content) = part(index)?;
        let name = names.get(number(at, 4)? as usize..)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let facts = [
            ("type", number(at + 4, 4)?),
            ("flags", number(at + 8, 8)?),
            ("address", number(at + 0x10, 8)?),
            ("alignment", number(at + 0x30, 8)?),
        ];
        Some(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            facts,
            offset: number(at + 0x18, 8)?,
            content,
        })
    };
    (1..count).map(section).collect()
}
