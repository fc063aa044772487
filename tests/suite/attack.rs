//! Attacks on kiln, from outside: recipes, packages, scripts, tools, directories, mirrors, locks and other users, each with
//! a canary that must not change. `SECURITY.md` names every one of them.
//!
//! Everything goes through the kiln binary, with a store and an environment of its own; nothing needs a network.
//! `KILN_ATTACK=NAME` carries out one of them, `KILN_ATTACK_SHOW=1` prints what every kiln says. With `KILN_LIVE=1` and as root all of them are repeated by a normal user.

mod bounds;
pub(crate) mod canary;
mod directory;
pub(crate) mod ground;
pub(crate) mod host;
mod lock;
mod mirror;
mod package;
mod recipe;
mod refused;
mod request;
mod script;
mod served;
mod tally;
mod terminal;
mod tool;
mod users;
mod virtual_machine;
mod workdir;

use ground::Ground;
use tally::Front;

/// All fronts. Each is a test of its own, below, so that they are carried out side by side.
const FRONTS: [&Front; 12] = [
    &recipe::FRONT,
    &package::FRONT,
    &script::FRONT,
    &tool::FRONT,
    &directory::FRONT,
    &virtual_machine::FRONT,
    &terminal::FRONT,
    &workdir::FRONT,
    &bounds::FRONT,
    &lock::FRONT,
    &mirror::FRONT,
    &users::FRONT,
];

macro_rules! fronts {
    ($($name:ident: $module:ident,)*) => {
        $(
            #[test]
            fn $name() {
                tally::carry_out(&$module::FRONT);
            }
        )*
    };
}

fronts! {
    recipes: recipe,
    static_packages: package,
    maintainer_scripts: script,
    hostile_tools: tool,
    artifact_directories: directory,
    emulators_and_guests: virtual_machine,
    terminals: terminal,
    working_directories: workdir,
    bounds_of_steps: bounds,
    crafted_locks: lock,
    mirrors: mirror,
    other_users: users,
}

/// The rows of the table of attacks in `SECURITY.md`: number, and the names of the tests in the last column.
fn table() -> Vec<(u32, String)> {
    let page = include_str!("../../SECURITY.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Attacks")).unwrap();
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let Ok(number) = cells[0].parse() {
            rows.push((number, cells.last().unwrap().to_string()));
        }
    }
    rows
}

#[test]
fn the_page_names_every_attack_and_every_row_has_one() {
    let rows = table();
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    for (number, tests) in &rows {
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let carried_out: Vec<&str> = FRONTS
            .iter()
            .flat_map(|front| front.attacks)
            .filter(|attack| attack.row == *number)
            .map(|attack| attack.name)
            .collect();
        assert!(!carried_out.is_empty(), "row {number} of SECURITY.md has no attack");
        let mut sorted = (named.clone(), carried_out.clone());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "row {number} of SECURITY.md names other attacks than there are");
    }
    let known = |attack: &tally::Attack| (1..=20).contains(&attack.row);
    assert!(FRONTS.iter().flat_map(|front| front.attacks).all(known), "an attack belongs to no row");
}

/// The tests that `SECURITY.md` names for attacks that never worked are there.
#[test]
fn the_page_names_only_tests_that_exist() {
    let page = include_str!("../../SECURITY.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Attacks that never worked")).unwrap();
    let mut named = 0;
    for line in section.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let words: Vec<&str> = cells.last().unwrap().split('`').skip(1).step_by(2).collect();
        // A file, and the tests in it; a row may name several.
        let (mut text, mut tests) = (String::new(), 0);
        for word in words {
            if word.ends_with(".rs") {
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
                text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{word}: {error}"));
                continue;
            }
            assert!(
                text.contains(&format!("fn {word}(")),
                "no test {word} in the file that is named before it: {line}"
            );
            tests += 1;
        }
        assert!(tests > 0, "{line} names no test");
        named += tests;
    }
    assert!(named >= 20, "{named}");
}
