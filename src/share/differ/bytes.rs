//! Bytes that mean nothing to us: the first offset, and what is there on both sides.

use std::io::Read;

use super::{Differences, Pair};

/// Bytes that are shown.
const SHOWN: usize = 16;
const BUFFER: usize = 64 << 10;

pub(super) fn compare(place: &str, (mut one, mut two): Pair<'_>, found: &mut Differences) {
    let (mut offset, mut a, mut b) = (0u64, vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let (left, right) = match (fill(&mut one, &mut a), fill(&mut two, &mut b)) {
            (Ok(left), Ok(right)) => (&a[..left], &b[..right]),
            (Err(error), _) | (_, Err(error)) => return found.add(place, format!("cannot be read: {error}")),
        };
        if let Some(at) = first(left, right) {
            let what = format!("offset {}: {} then {}", offset + at as u64, shown(left, at), shown(right, at));
            return found.add(place, what);
        }
        if left.is_empty() {
            return;
        }
        offset += left.len() as u64;
    }
}

/// As much as there is, up to a whole buffer.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
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
fn first(one: &[u8], two: &[u8]) -> Option<usize> {
    let differ = one.iter().zip(two).position(|(a, b)| a != b);
    differ.or_else(|| (one.len() != two.len()).then(|| one.len().min(two.len())))
}

fn shown(bytes: &[u8], at: usize) -> String {
    let part = &bytes[at..bytes.len().min(at + SHOWN)];
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
