//! Bytes that mean nothing to us: the first offset, and what is there on both sides.

use std::io::Read;

use super::{Differences, Pair};

/// Bytes that are shown.
const MAX_SHOWN_BYTES: usize = 16;
const BUFFER: usize = 64 << 10;

pub(super) fn compare(place: &str, (mut one, mut two): Pair<'_>, found: &mut Differences) {
    let (mut offset, mut a, mut b) = (0u64, vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let (left, right) = match (fill(&mut one, &mut a), fill(&mut two, &mut b)) {
            (Ok(left), Ok(right)) => (&a[..left], &b[..right]),
            (Err(error), _) | (_, Err(error)) => return found.add(place, format!("cannot be read: {error}")),
        };
        if let Some(at) = first(left, right) {
            return said(place, offset, at, (left, right), found);
        }
        if left.is_empty() {
            return;
        }
        offset += left.len() as u64;
    }
}

/// Tells the first difference of two stretches that begin at `offset`.
pub(super) fn tell(place: &str, offset: u64, (one, two): (&[u8], &[u8]), found: &mut Differences) {
    if let Some(at) = first(one, two) {
        said(place, offset, at, (one, two), found);
    }
}

fn said(place: &str, offset: u64, at: usize, (one, two): (&[u8], &[u8]), found: &mut Differences) {
    found.add(place, format!("offset {}: {} then {}", offset + at as u64, shown(one, at), shown(two, at)));
}

/// As much as there is, up to a whole buffer.
pub(super) fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match stream.read(&mut buffer[have..])? {
            0 => break,
            count => have += count,
        }
    }
    Ok(have)
}

/// Where they differ first; the end of the shorter one counts.
pub(super) fn first(one: &[u8], two: &[u8]) -> Option<usize> {
    let differ = one.iter().zip(two).position(|(a, b)| a != b);
    differ.or_else(|| (one.len() != two.len()).then(|| one.len().min(two.len())))
}

fn shown(bytes: &[u8], at: usize) -> String {
    let part = &bytes[at..bytes.len().min(at + MAX_SHOWN_BYTES)];
    if part.is_empty() {
        return "the end".to_owned();
    }
    let hex: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String = part
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        .collect();
    format!("{} ({text:?})", hex.join(" "))
}
