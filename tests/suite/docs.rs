//! The pages: what they name exists, and what exists is named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

fn pages_in(directory: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(root().join(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter(|name| name.ends_with(".md"));
    let directory = directory.to_owned();
    pages.map(move |name| if directory.is_empty() { name } else { format!("{directory}/{name}") })
}

/// Every page of the repository but the changelog, which speaks of files that were.
fn pages() -> BTreeSet<String> {
    let all = ["", "docs", "benches", "fuzz"].into_iter().flat_map(pages_in);
    all.filter(|name| name != "CHANGELOG.md").collect()
}

/// Whether a word in backticks is meant as a file of the repository.
fn is_path(word: &str) -> bool {
    let places = ["src/", "tests/", "docs/", "benches/", "fuzz/", "recipes/", ".ci/", ".github/"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let stands_for_a_name = |part: &str| part.len() > 2 && part.chars().all(|c| c.is_ascii_uppercase());
    places.iter().any(|place| word.starts_with(place))
        && word.chars().all(plain)
        && !word.replace("README.md", "").split(['/', '.']).any(stands_for_a_name)
}

/// The words in backticks outside of fenced blocks.
fn quoted(page: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            words.extend(line.split('`').skip(1).step_by(2));
        }
    }
    words
}

/// Targets of links within the repository, without the part after `#`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| target.split('#').next().unwrap())
}

#[test]
fn every_path_in_a_page_exists() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for name in pages() {
        let text = page(&name);
        let beside: PathBuf = root().join(&name).parent().unwrap().to_owned();
        let named = quoted(&text).into_iter().filter(|word| is_path(word)).map(|word| (word, root().join(word)));
        for (word, path) in named.chain(links(&text).map(|target| (target, beside.join(target)))) {
            seen += 1;
            if !path.exists() {
                wrong.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(seen > 150, "the pages name only {seen} files");
    assert!(wrong.is_empty(), "these files do not exist:\n{}", wrong.join("\n"));
}

/// What a link to a heading calls it: lower case, without punctuation, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_to_a_heading_leads_to_one() {
    let mut seen = 0;
    for name in pages() {
        let text = page(&name);
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|it| !it.contains("://"))
        {
            let Some((file, wanted)) = target.split_once('#') else { continue };
            seen += 1;
            let path =
                if file.is_empty() { root().join(&name) } else { root().join(&name).parent().unwrap().join(file) };
            let there = std::fs::read_to_string(&path).unwrap();
            let headings = there.lines().filter_map(|line| line.strip_prefix('#'));
            let found = headings.map(|line| anchor(line.trim_start_matches('#').trim())).any(|known| known == wanted);
            assert!(found, "{name} links to #{wanted}, which {} does not have", path.display());
        }
    }
    assert!(seen > 3, "only {seen} links to headings were found");
}

#[test]
fn the_test_of_paths_sees_paths() {
    assert_eq!(anchor("Incremental builds: `--incremental`"), "incremental-builds---incremental");
    assert!(is_path("src/plan/id.rs") && is_path("tests/fixtures/") && is_path(".ci/run"));
    assert!(
        !is_path("src/NAME.rs") && !is_path("fuzz/corpus/TARGET/") && !is_path("kiln check") && !is_path("usr/src/x")
    );
    assert_eq!(quoted("a `b` c `d`\n```sh\n`e`\n```\n"), ["b", "d"]);
    assert_eq!(links("[x](y.md#z), [w](https://mirror.example/), [v](#u)").collect::<Vec<_>>(), ["y.md"]);
}

#[test]
fn each_of_the_ten_questions_is_answered_by_a_file() {
    let text = page("CONTRIBUTING.md");
    let section = text.split("## Ten questions").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ") && line.contains('?')).collect();
    assert_eq!(rows.len(), 10);
    for row in rows {
        let answer = row.split('|').nth(2).unwrap();
        assert!(quoted(answer).into_iter().any(is_path), "no file in the answer: {row}");
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = page("docs/README.md");
    let linked: BTreeSet<&str> = links(&index).collect();
    for name in pages_in("docs").filter(|name| name != "docs/README.md") {
        assert!(linked.contains(name.strip_prefix("docs/").unwrap()), "docs/README.md does not list {name}");
    }
}

#[test]
fn the_readme_has_every_command() {
    let command = kiln::cli::Cli::command();
    let known: Vec<&str> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name()).collect();
    let text = page("README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `kiln "));
    let listed: Vec<&str> = rows.map(|row| row.split([' ', '`']).next().unwrap()).collect();
    assert_eq!(listed, known, "the table of commands in README.md and `kiln --help` differ");
}

#[test]
fn help_and_page_list_the_same_exit_codes() {
    let command = kiln::cli::Cli::command();
    let help = command.get_after_help().unwrap().to_string();
    let listed = help.split("Exit codes:").nth(1).unwrap().lines().next().unwrap();
    let listed: BTreeSet<u8> =
        listed.split(", ").filter_map(|part| part.split_whitespace().next()?.parse().ok()).collect();
    let text = page("docs/errors.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    let described: BTreeSet<u8> = rows.collect();
    assert!(listed.len() >= 5 && listed.is_subset(&described), "--help: {listed:?}, docs/errors.md: {described:?}");
}
