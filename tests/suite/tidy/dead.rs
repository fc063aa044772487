//! What nothing uses goes: no function that others may call is called by tests alone.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{outside_imports, sources};

/// Functions that only tests call, each with its reason.
const EXCUSED: [(&str, &str); 3] = [
    ("import_tree", "how whoever uses the library puts a directory into a store"),
    ("unchosen", "the last of the rules of Kconfig's language, which is judged whole by the kernel's own program"),
    ("use_program", "for programs that use kiln as a library: where the program is that becomes a sandbox"),
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The name of the function that a line makes visible outside of its module.
fn published(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?.1,
        None => rest,
    };
    let (qualifiers, rest) = rest.split_once("fn ")?;
    words(qualifiers).all(|word| matches!(word, "const" | "unsafe" | "async")).then(|| words(rest).next())?
}

#[test]
fn every_function_has_a_user_beside_tests() {
    let sources = sources();
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for source in &sources {
        let code = outside_imports(&source.code);
        let mut defined = false;
        for word in words(&code) {
            if !defined {
                *uses.entry(word.to_owned()).or_default() += 1;
            }
            defined = word == "fn";
        }
    }
    let mut unused = BTreeSet::new();
    for source in &sources {
        for (number, line) in source.code.lines().enumerate() {
            if let Some(name) = published(line).filter(|name| !uses.contains_key(*name)) {
                unused.insert((name.to_owned(), format!("{}:{}: {name}", source.name, number + 1)));
            }
        }
    }
    let excused = |name: &str| EXCUSED.iter().any(|(excused, _)| *excused == name);
    let wrong: Vec<&str> = unused.iter().filter(|(name, _)| !excused(name)).map(|(_, place)| place.as_str()).collect();
    assert!(wrong.is_empty(), "only tests use these, or nobody:\n{}", wrong.join("\n"));
    for (name, _) in EXCUSED {
        assert!(unused.iter().any(|(unused, _)| unused == name), "{name} is excused and needs it not");
    }
}
