//! The two sides of a merged text: by git's conflict markers, or by lines that stand there twice.

use std::collections::{BTreeMap, BTreeSet};

/// Git writes seven of a character, or more where its attributes say so.
const MARKER_LENGTH: usize = 7;
/// No lock has as many lines. Of a longer text nothing is compared: it takes memory for each line.
const MAX_LINES: usize = 1 << 20;

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
    if is_too_long(text) {
        return None;
    }
    let first = text.lines().position(|line| marker(line).is_some())?;
    let count = text.lines().filter(|line| marker(line) == Some(Part::Ours)).count();
    Some((first + 1, count.max(1)))
}

fn is_too_long(text: &str) -> bool {
    text.lines().nth(MAX_LINES).is_some()
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
    if is_too_long(text) {
        return [text.to_owned(), text.to_owned()];
    }
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
        Order::FromTheStart => keys(lines).lines,
        Order::FromTheEnd => {
            let mut forward = lines.to_vec();
            forward.reverse();
            let mut keys = keys(&forward).lines;
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
    if is_too_long(text) {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let keys = keys(&lines);
    let mut seen: BTreeMap<Key<'_>, &str> = BTreeMap::new();
    for (number, (key, line)) in keys.lines.iter().zip(&lines).enumerate() {
        let Some(key) = key else { continue };
        match seen.get(key) {
            Some(before) if before != line => return Some(Doubled { line: number + 1, key: keys.path(key) }),
            _ => drop(seen.insert(*key, line)),
        }
    }
    None
}

/// What a line is about: the number of the table or list that it stands in, and what it names there. Names are not put together: a
/// text with a name of megabytes and a million lines below it would be terabytes of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    owner: usize,
    name: &'a str,
}

/// Stands in no table.
const TEXT: usize = 0;

/// What the lines of a text are about.
struct Keys<'a> {
    /// Nothing for lines that may stand there often.
    lines: Vec<Option<Key<'a>>>,
    /// Tables and lists by their numbers.
    owners: BTreeMap<usize, Key<'a>>,
}

impl Keys<'_> {
    /// The names that lead to a line.
    fn path(&self, key: &Key<'_>) -> String {
        match self.owners.get(&key.owner) {
            Some(owner) => format!("{} {}", self.path(owner), key.name),
            None => key.name.to_owned(),
        }
    }
}

/// What the lines of two texts are about: the same for those that state the same fact. Nothing of texts that are too long.
pub(super) fn facts<'a>(texts: [&[&'a str]; 2]) -> Option<[Vec<Option<Key<'a>>>; 2]> {
    if texts.iter().any(|lines| lines.len() > MAX_LINES) {
        return None;
    }
    let mut numbers = BTreeMap::new();
    Some(texts.map(|lines| numbered(lines, &mut numbers)))
}

fn keys<'a>(lines: &[&'a str]) -> Keys<'a> {
    let mut numbers = BTreeMap::new();
    let lines = numbered(lines, &mut numbers);
    Keys { lines, owners: numbers.into_iter().map(|(key, number)| (number, key)).collect() }
}

/// What each line is about; tables and lists get numbers as they come.
fn numbered<'a>(lines: &[&'a str], numbers: &mut BTreeMap<Key<'a>, usize>) -> Vec<Option<Key<'a>>> {
    let mut number = |key: Key<'a>| {
        let next = numbers.len() + 1;
        *numbers.entry(key).or_insert(next)
    };
    let (mut table, mut list) = (TEXT, None::<Key<'a>>);
    let mut keys = Vec::new();
    for line in lines {
        let text = line.trim();
        let key = match list {
            Some(_) if text == "]" => {
                list = None;
                None
            }
            // The words of an argv may be there twice.
            Some(Key { name: "argv" | "asked", .. }) => None,
            Some(list) => Some(Key { owner: number(list), name: identity(text) }),
            None if text.starts_with('[') => {
                let key = Key { owner: TEXT, name: text };
                table = number(key);
                Some(key)
            }
            None => match text.split_once(" = ") {
                Some((name, "[")) => {
                    list = Some(Key { owner: table, name });
                    None
                }
                Some((name, _)) => Some(Key { owner: table, name }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_is_named_with_its_table_and_list() {
        let text = "version = 1\n[sets.a]\nx = [\n  \"a\", version = 1\n]\n[b]\ny = 1\n[sets.a]\nx = [\n  \"a\", version = 2\n]\n";
        assert_eq!(doubled(text), Some(Doubled { line: 10, key: "[sets.a] x \"a\"".to_owned() }));
        assert_eq!(doubled("a = 1\n[b]\na = 2\n[c]\na = 3\nargv = [\n-x\n-x\n]\n"), None);
        assert_eq!(doubled("a = 1\na = 2\n"), Some(Doubled { line: 2, key: "a".to_owned() }));
    }

    /// Each line once had a copy of the name of its table: 400 GiB here.
    #[test]
    fn a_long_name_above_many_lines_takes_no_more_memory_than_the_text() {
        let lines: String = (0..200_000).map(|number| format!("k{number} = 1\n")).collect();
        let text = format!("[{}]\n{lines}k7 = 2\n", "x".repeat(2 << 20));
        assert_eq!(doubled(&text).unwrap().line, 200_002);
        assert!(both(&text).iter().all(|side| side.len() < text.len()));
        let endless = "<<<<<<< a\n".to_owned() + &"a = 1\na = 2\n".repeat(MAX_LINES);
        assert_eq!((conflicts(&endless), doubled(&endless)), (None, None));
    }
}
