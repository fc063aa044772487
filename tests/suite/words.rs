//! The vocabulary of `docs/style.md`: types with names of their own, and words that no message uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tidy::source::code;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Files whose types have the names that somebody else gave them.
const FOREIGN_NAMES: [(&str, &str); 1] = [("src/plan/reapi.rs", "messages of the Remote Execution API")];

/// The name of a public type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let rest =
        ["pub struct ", "pub enum ", "pub trait ", "pub type "].iter().find_map(|start| line.strip_prefix(start))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn public_types_have_names_of_their_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| FOREIGN_NAMES.iter().all(|(name, _)| name != file)) {
        for name in text.lines().filter_map(declared) {
            places.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 200, "only {} public types were found", places.len());
    let twice = places.iter().filter(|(_, files)| files.len() > 1);
    let twice: Vec<String> = twice.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect();
    assert!(twice.is_empty(), "give these types names of their own, as `docs/style.md` says:\n{}", twice.join("\n"));
}

#[test]
fn declarations_of_types_are_seen() {
    assert_eq!(declared("pub struct TarEntry {"), Some("TarEntry"));
    assert_eq!(declared("pub type Mirrors<'a> = ();"), Some("Mirrors"));
    assert_eq!(declared("pub(super) struct Local;"), None);
    assert_eq!(declared("    pub struct Inner;"), None);
}

/// Words of an older vocabulary, and what is written instead.
const REPLACED: [(&str, &str); 16] = [
    ("given twice", "given more than once"),
    ("has no room for `", "cannot hold `"),
    ("what it does not understand", "invalid message"),
    ("is no expression", "is not an expression"),
    ("not asked for", "not selected, not requested"),
    ("at hand", "cached"),
    ("the world failed", "I/O, network or host failure"),
    ("no longer had", "is corrupt"),
    ("other bits", "different output"),
    ("from nothing", "from scratch"),
    ("went on from", "was built incrementally"),
    ("goes on from", "is incremental"),
    ("an instant", "a timestamp"),
    ("left behind", "produced"),
    ("of this kiln", "of this version of kiln"),
    ("last words", "end of the output"),
];

/// The string literals of a source file outside of its unit tests, each as one text however many lines it takes, with the
/// number of its first line.
fn literals(text: &str) -> Vec<(usize, String)> {
    let code = code(text);
    let (mut rest, mut number, mut found) = (code.as_str(), 1, Vec::new());
    while let Some(at) = rest.find(['"', '\'', '/', '\n']) {
        let (before, from) = rest.split_at(at);
        let raw = before.ends_with('r') || before.trim_end_matches('#').ends_with('r') && before.ends_with('#');
        let length = match from.as_bytes() {
            [b'\n', ..] => 1,
            [b'/', b'/', ..] => from.find('\n').unwrap_or(from.len()),
            [b'\'', b'\\', ..] => 3 + from[3..].find('\'').unwrap() + 1,
            // The name of a lifetime has no end; a character has one.
            [b'\'', ..] => from.char_indices().nth(2).filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
            [b'"', ..] if raw => {
                let end = format!("\"{}", "#".repeat(before.len() - before.trim_end_matches('#').len()));
                let length = 1 + from[1..].find(&end).unwrap();
                found.push((number, from[1..length].to_owned()));
                length + end.len()
            }
            [b'"', ..] => {
                let (literal, length) = escaped(&from[1..]);
                found.push((number, literal));
                length + 2
            }
            _ => 1,
        };
        number += from[..length].matches('\n').count();
        rest = &from[length..];
    }
    found
}

/// A literal up to its closing quotation mark, and its length as it is written. A backslash at the end of a line leaves out
/// the blanks at the beginning of the next one.
fn escaped(text: &str) -> (String, usize) {
    let (mut literal, mut chars) = (String::new(), text.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (literal, at),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n')) => literal.push('\n'),
                Some((_, other)) => literal.push(other),
                None => {}
            },
            other => literal.push(other),
        }
    }
    panic!("a literal has no end: {text}")
}

#[test]
fn literals_are_seen_whole_and_everywhere() {
    let text = "//! \"Not this\".\nconst A: char = '\"'; // nor \"this\"\nfn f<'a>() { g(\"one \\\n      two\", r#\"a \"raw\" one\"#) }\n\
                #[cfg(test)]\nfn helper() {\n    h(\"test\")\n}\nfn later() { i('\\'', \"behind \\\"tests\\\"\") }\n";
    let expected = [(3, "one two"), (4, "a \"raw\" one"), (9, "behind \"tests\"")];
    assert_eq!(literals(text), expected.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn no_message_uses_a_replaced_word() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (number, literal) in literals(&text) {
            let found = REPLACED.iter().filter(|(word, _)| literal.contains(word));
            wrong.extend(found.map(|(word, instead)| format!("{file}:{number}: `{word}`, better: {instead}")));
        }
    }
    for page in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let found = REPLACED.iter().filter(|(word, _)| text.contains(word));
        wrong.extend(found.map(|(word, instead)| format!("{page}: `{word}`, better: {instead}")));
    }
    assert!(wrong.is_empty(), "see `docs/style.md`:\n{}", wrong.join("\n"));
}
