//! The measurements in `benches/`: each is run by `benches/all.sh`, has a row in the table of their README, and says what a script can read.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

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

/// A script of `benches/` as somebody starts it; what a compiler would do is an error here.
fn started(script: &str, words: &[&str]) -> Output {
    let mut command = Command::new("bash");
    command.arg(root().join("benches").join(script)).args(words).current_dir(std::env::temp_dir());
    command.env("CARGO", "false").env_remove("KILN").env_remove("STORE").env_remove("ROUNDS").output().unwrap()
}

#[test]
fn every_script_shows_its_help_and_nothing_else_happens() {
    for (name, _) in measurements().into_iter().filter(|(name, _)| root().join(format!("benches/{name}.sh")).exists()) {
        let output = started(&format!("{name}.sh"), &["--help"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("Usage"), "{name}: {said}");
        assert!(!said.contains("shellcheck") && !said.contains("\nfigure "), "{name}: {said}");
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_said_before_anything_is_compiled_or_measured() {
    let missing = std::env::temp_dir().join("kiln-no-such-directory/figures.json");
    let missing = missing.to_str().unwrap();
    for (script, words, said) in [
        ("all.sh", &["--nope"][..], "no option `--nope`"),
        ("all.sh", &["imag"], "no measurement `imag`: image rebuild "),
        ("all.sh", &[".*"], "no measurement `.*`"),
        ("all.sh", &["--json"], "--json needs a value"),
        ("all.sh", &["--budget", "long"], "`long` is no number of minutes"),
        ("all.sh", &["--json", missing, "image"], "cannot write "),
        ("boot.sh", &["--nope"], "no program `--nope`"),
        ("boot.sh", &["no/such/kiln"], "no program `no/such/kiln`"),
    ] {
        let output = started(script, words);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{script} {words:?}: {error}");
        assert!(error.starts_with(said), "{script} {words:?}: {error}");
        assert!(output.stdout.is_empty(), "{script} {words:?}");
    }
}

#[test]
fn a_measurement_that_nobody_runs_is_seen() {
    let all = "run 330 image ROUNDS=3\nlong compile\n# run 3 boot\n";
    assert!(is_run(all, "image") && is_run(all, "compile"));
    assert!(!is_run(all, "boot") && !is_run(all, "330") && !is_run(all, "imag"));
}
