//! Text: the first line that differs, or that only the order of lines does.

use std::io::{BufRead, BufReader, Cursor, Read};

use super::{Differences, Pair, Rule, rule};

/// Bytes of a line that are compared and shown at a time; longer lines count as several.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// Characters of a line that are shown.
const MAX_SHOWN_CHARS: usize = 160;
/// Texts up to this size are looked at as a whole.
const MAX_TEXT_BYTES: u64 = 4 << 20;

pub(super) fn compare(place: &str, (mut one, mut two): Pair<'_>, found: &mut Differences) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let read = one
        .by_ref()
        .take(MAX_TEXT_BYTES)
        .read_to_end(&mut left)
        .and(two.by_ref().take(MAX_TEXT_BYTES).read_to_end(&mut right));
    if let Err(error) = read {
        return found.add(place, format!("cannot be read: {error}"));
    }
    if left != right && sorted(&left) == sorted(&right) {
        found.help(Rule::Order);
        found.add(place, "the same lines in another order");
    }
    lines(place, (Cursor::new(left).chain(one), Cursor::new(right).chain(two)), found);
}

fn sorted(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

fn lines(place: &str, (one, two): (impl Read, impl Read), found: &mut Differences) {
    let (mut one, mut two) = (BufReader::new(one), BufReader::new(two));
    for number in 1u64.. {
        let (left, right) = match (line(&mut one), line(&mut two)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => return found.add(place, format!("cannot be read: {error}")),
        };
        if left != right {
            found.add(place, format!("line {number}: {} then {}", shown(&left), shown(&right)));
            if let Some(rule) = rule::of_lines(&String::from_utf8_lossy(&left), &String::from_utf8_lossy(&right)) {
                found.help(rule);
            }
            return;
        }
        if left.is_empty() {
            return;
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    Ok(bytes)
}

fn shown(line: &[u8]) -> String {
    if line.is_empty() {
        return "the end".to_owned();
    }
    let text: String = String::from_utf8_lossy(line).trim_end_matches('\n').chars().take(MAX_SHOWN_CHARS).collect();
    format!("{text:?}")
}
