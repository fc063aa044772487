//! The measurements in `benches/`: each is run by `benches/all.sh`, has a row in the table of their README, and says what a script can read.

use std::collections::BTreeSet;
use std::fs;

use super::root;

/// What is no measurement: the script that runs all of them, and what they share.
const NO_MEASUREMENTS: [&str; 2] = ["all.sh", "lib.sh"];

fn text(name: &str) -> String {
    fs::read_to_string(root().join("benches").join(name)).unwrap()
}

/// Names of the measurements with the text of the script that prints their figures. What is compiled for a script is part of it.
fn measurements() -> Vec<(String, String)> {
    let names =
        || fs::read_dir(root().join("benches")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let scripts: BTreeSet<String> = names().filter_map(|name| name.strip_suffix(".sh").map(str::to_owned)).collect();
    let mut found: Vec<(String, String)> = names()
        .filter(|name| !NO_MEASUREMENTS.contains(&name.as_str()))
        .filter_map(|name| {
            let (stem, extension) = name.rsplit_once('.')?;
            let counts = extension == "sh" || (extension == "rs" && !scripts.contains(stem));
            counts.then(|| (stem.to_owned(), text(&name)))
        })
        .collect();
    found.sort();
    found
}

/// Whether a line of `all.sh` runs it: `run SECONDS NAME...`, or `long NAME...`.
fn is_run(all: &str, name: &str) -> bool {
    all.lines().any(|line| {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("run") => words.nth(1) == Some(name),
            Some("long") => words.next() == Some(name),
            _ => false,
        }
    })
}

#[test]
fn every_measurement_is_run_by_the_script_for_all_and_stands_in_the_table() {
    let (all, page) = (text("all.sh"), text("README.md"));
    let table: Vec<&str> = page.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `")).collect();
    let mut wrong = Vec::new();
    let measurements = measurements();
    assert!(measurements.len() > 10, "the measurements have moved");
    for (name, script) in &measurements {
        let rows = [format!("| `{name}`"), format!("| `{name}.")];
        let prints = ["figure", "beside", "of_peer"].iter().any(|word| script.contains(&format!("{word} ")));
        if !is_run(&all, name) {
            wrong.push(format!("benches/all.sh does not run {name}"));
        }
        if !table.iter().any(|line| rows.iter().any(|row| line.starts_with(row))) {
            wrong.push(format!("the table at the head of benches/README.md has no row of {name}"));
        }
        if !prints {
            wrong.push(format!("{name} prints no line `figure NAME VALUE UNIT`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_measurement_that_nobody_runs_is_seen() {
    let all = "run 330 image ROUNDS=3\nlong compile\n# run 3 boot\n";
    assert!(is_run(all, "image") && is_run(all, "compile"));
    assert!(!is_run(all, "boot") && !is_run(all, "330") && !is_run(all, "imag"));
}
