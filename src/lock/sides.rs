//! The two sides of a merged text: by git's conflict markers, or by lines that stand there twice.

use std::collections::{BTreeMap, BTreeSet};

/// Git writes seven of a character, or more where its attributes say so.
const MARKER_LENGTH: usize = 7;

/// Which part of a conflict a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Both,
    Ours,
    /// What both began with, which `merge.conflictStyle = diff3` shows.
    Base,
    Theirs,
}

/// A line that states what another line states otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubled {
    /// From 1.
    pub(super) line: usize,
    /// What it is about.
    pub(super) key: String,
}

/// The line of the first conflict marker, from 1, and how many conflicts there are.
pub(super) fn conflicts(text: &str) -> Option<(usize, usize)> {
    let first = text.lines().position(|line| marker(line).is_some())?;
    let count = text.lines().filter(|line| marker(line) == Some(Part::Ours)).count();
    Some((first + 1, count.max(1)))
}

/// What begins behind a line, if it is a marker. No line of a lock begins so.
fn marker(line: &str) -> Option<Part> {
    let first = line.chars().next()?;
    let part = match first {
        '<' => Part::Ours,
        '|' => Part::Base,
        '=' => Part::Theirs,
        '>' => Part::Both,
        _ => return None,
    };
    let rest = line.trim_start_matches(first);
    let is_long = line.len() - rest.len() >= MARKER_LENGTH;
    (is_long && (rest.trim_end().is_empty() || rest.starts_with(' '))).then_some(part)
}

/// Ours and theirs. Of a fact that stands there twice without a marker, as after a merge by `merge=union`, the first is ours.
pub(super) fn both(text: &str) -> [String; 2] {
    let (mut ours, mut theirs, mut part) = (Vec::new(), Vec::new(), Part::Both);
    for line in text.lines() {
        if let Some(next) = marker(line) {
            part = next;
            continue;
        }
        if matches!(part, Part::Both | Part::Ours) {
            ours.push(line);
        }
        if matches!(part, Part::Both | Part::Theirs) {
            theirs.push(line);
        }
    }
    theirs.reverse();
    let mut theirs = once(&theirs, Order::FromTheEnd);
    theirs.reverse();
    [once(&ours, Order::FromTheStart), theirs].map(|lines| lines.join("\n") + "\n")
}

/// From where lines are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    FromTheStart,
    FromTheEnd,
}

/// The lines without what stands there a second time.
fn once<'a>(lines: &[&'a str], order: Order) -> Vec<&'a str> {
    let keys = match order {
        Order::FromTheStart => keys(lines),
        Order::FromTheEnd => {
            let mut forward = lines.to_vec();
            forward.reverse();
            let mut keys = keys(&forward);
            keys.reverse();
            keys
        }
    };
    let mut seen = BTreeSet::new();
    let first = keys.into_iter().map(|key| key.is_none_or(|key| seen.insert(key)));
    lines.iter().zip(first).filter(|(_, first)| *first).map(|(line, _)| *line).collect()
}

/// The first fact that the text states again, otherwise.
pub(super) fn doubled(text: &str) -> Option<Doubled> {
    let lines: Vec<&str> = text.lines().collect();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (number, (key, line)) in keys(&lines).into_iter().zip(&lines).enumerate() {
        let Some(key) = key else { continue };
        match seen.get(&key) {
            Some(before) if before != line => return Some(Doubled { line: number + 1, key }),
            _ => drop(seen.insert(key, line)),
        }
    }
    None
}

/// What each line of a lock is about; nothing for lines that may stand there often.
fn keys(lines: &[&str]) -> Vec<Option<String>> {
    let (mut table, mut list) = (String::new(), None::<String>);
    let mut keys = Vec::new();
    for line in lines {
        let text = line.trim();
        let key = match &list {
            Some(name) => match text {
                "]" => {
                    list = None;
                    None
                }
                // The words of an argv may be there twice.
                _ if name == "argv" || name == "asked" => None,
                item => Some(format!("{table} {name} {}", identity(item))),
            },
            None if text.starts_with('[') => {
                table = text.to_owned();
                Some(table.clone())
            }
            None => match text.split_once(" = ") {
                Some((name, "[")) => {
                    list = Some(name.to_owned());
                    None
                }
                Some((name, _)) => Some(format!("{table} {name}").trim_start().to_owned()),
                None => None,
            },
        };
        keys.push(key);
    }
    keys
}

/// Name and architecture of a package; of other items, all of it.
fn identity(item: &str) -> &str {
    item.split_once(", version = ").map_or(item, |(package, _)| package)
}
