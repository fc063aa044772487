//! Whatever is read here, the TOML parser reads as the same.

use proptest::sample::Index;

use super::super::tests::example;
use super::*;
use crate::lock::write;

/// A lock in which no name needs an escape.
fn text() -> String {
    write(&example()).replace("\\\"", "'")
}

/// Whether a text is read here; if so, as the TOML parser reads it.
fn is_read(text: &str) -> bool {
    let Some(wire) = read(text) else { return false };
    assert_eq!(toml::from_str::<WireLock>(text).as_ref(), Ok(&wire), "{text}");
    true
}

#[test]
fn what_kiln_writes_is_read_without_the_toml_parser() {
    assert!(is_read(&text()));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the locks of this repository, as they are")]
fn so_is_every_lock_of_this_repository() {
    let locks = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/lockfiles")).unwrap();
    for lock in locks {
        let path = lock.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // Strings with escapes are the TOML parser's: texts of parameters, which a lock spells as a recipe does.
        assert!(is_read(&text) || text.contains('\\'), "{}", path.display());
    }
}

/// One change to a good text, which is TOML afterwards or is not.
const OTHERS: [(&str, &str); 26] = [
    ("version = 1", "version  = 1"),
    ("version = 1", " version = 1"),
    ("version = 1", "version = 1 # the first"),
    ("version = 1", "version = 01"),
    ("version = 1", "version = +1"),
    ("version = 1", "version = 0x1"),
    ("version = 1", "version = 1\nversion = 1"),
    ("version = 1", "\"version\" = 1\nversion = 1"),
    ("size = 42,", "size = 4_2,"),
    ("size = 42,", "size = 42, size = 42,"),
    ("size = 42,", "size = 99999999999999999999,"),
    ("size = 42,", "size = -1,"),
    ("name = \"bash\"", "name = 'bash'"),
    ("name = \"bash\"", "name = \"\"\"bash\"\"\""),
    ("name = \"bash\"", "\"name\" = \"bash\""),
    (", why = \"requested\" },", " },"),
    (", why = \"requested\" },", ", why = \"requested\", },"),
    (", why = \"requested\" },", ", why = \"requested\", odd = 1 },"),
    ("[\"main\"]", "[\"main\",]"),
    ("[\"main\"]", "[ \"main\" ]"),
    ("[recipe]\n", "[recipe]\n[recipe]\n"),
    ("[recipe]\n", "[recipe.files]\n[recipe]\n"),
    ("[recipe]\n", "[ recipe ]\n"),
    ("[recipe]\nname = ", "[x]\n[recipe]\nname = "),
    ("[recipe.params]\n", "[recipe.params]\nsize = { a = 1 }\n"),
    ("[recipe.files]\n", "[recipe.digest]\n[recipe.files]\n"),
];

#[test]
fn every_other_spelling_is_left_to_the_toml_parser() {
    let good = text();
    for (from, to) in OTHERS {
        assert!(good.contains(from), "{from}");
        assert!(read(&good.replacen(from, to, 1)).is_none(), "{from} -> {to}");
    }
    assert!(read(&good.replace('\n', "\r\n")).is_none());
    for odd in (0..b' ').chain([0x7f, b'\\']).map(char::from).filter(|odd| *odd != '\n') {
        assert!(read(&good.replacen("1:2.3", &format!("1:2.3{odd}"), 1)).is_none(), "{odd:?}");
    }
}

proptest::proptest! {
    #[test]
    fn a_damaged_text_is_read_as_the_toml_parser_reads_it_or_not_at_all(
        at: Index, noise in "[ -~]|[\"=,#.\\[\\]{}\n]|\\PC", moved: Index, to: Index
    ) {
        let good = text();
        let at = good.floor_char_boundary(at.index(good.len()));
        let end = good.ceil_char_boundary(at + 1);
        is_read(&format!("{}{noise}{}", &good[..at], &good[end..]));
        is_read(&format!("{}{noise}{}", &good[..at], &good[at..]));
        is_read(&format!("{}{}", &good[..at], &good[end..]));
        let mut lines: Vec<&str> = good.lines().collect();
        let line = lines.remove(moved.index(lines.len()));
        lines.insert(to.index(lines.len()), line);
        is_read(&lines.join("\n"));
    }
}
