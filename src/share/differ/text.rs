//! Text: the first line that differs.

use std::io::{BufRead, BufReader, Read};

use super::{Differences, Pair};

/// Bytes of a line that are compared and shown at a time; longer lines count as several.
const LINE: u64 = 16 << 10;
/// Characters of a line that are shown.
const SHOWN: usize = 160;

pub(super) fn compare(place: &str, (one, two): Pair<'_>, found: &mut Differences) {
    let (mut one, mut two) = (BufReader::new(one), BufReader::new(two));
    for number in 1u64.. {
        let (left, right) = match (line(&mut one), line(&mut two)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => return found.add(place, format!("cannot be read: {error}")),
        };
        if left != right {
            return found.add(place, format!("line {number}: {} then {}", shown(&left), shown(&right)));
        }
        if left.is_empty() {
            return;
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(LINE).read_until(b'\n', &mut bytes)?;
    Ok(bytes)
}

fn shown(line: &[u8]) -> String {
    if line.is_empty() {
        return "the end".to_owned();
    }
    let text: String = String::from_utf8_lossy(line).trim_end_matches('\n').chars().take(SHOWN).collect();
    format!("{text:?}")
}
