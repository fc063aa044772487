//! The language through its front door: every file in `tests/fixtures/language` is a recipe and what kiln says of it.
//!
//! A fixture is one file. `#! set name=value` lines in its head are given as `--set`; `#! file PATH` starts another file
//! beside the recipe `/r/recipes/main.kiln`. What kiln reports, or `no mistakes`, stands in the `.txt` beside it:
//! `KILN_BLESS=1` writes it anew.

use std::path::{Path, PathBuf};

use kiln::base::render::render;
use kiln::recipe;
use kiln::world::RealWorld;
use kiln::world::memory::MemoryWorld;

fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "kiln")).collect();
    paths.sort();
    paths
}

/// The files of a fixture, and what is set.
fn world(text: &str) -> (MemoryWorld, Vec<(String, String)>) {
    let mut world = MemoryWorld::default();
    let (mut name, mut set) = ("main.kiln".to_owned(), Vec::new());
    for line in text.split_inclusive('\n') {
        if let Some(pair) = line.strip_prefix("#! set ") {
            let (name, value) = pair.trim_end().split_once('=').unwrap();
            set.push((name.to_owned(), value.to_owned()));
        } else if let Some(path) = line.strip_prefix("#! file ") {
            name = path.trim_end().to_owned();
        } else {
            let path =
                name.strip_prefix("../").map_or(Path::new("/r/recipes").join(&name), |out| Path::new("/r").join(out));
            world.files.entry(path).or_default().extend(line.bytes());
        }
    }
    (world, set)
}

fn said(text: &str) -> String {
    let (world, set) = world(text);
    match recipe::check(&world, Path::new("/r/recipes/main.kiln"), &set) {
        Ok(_) => "no mistakes\n".to_owned(),
        Err(mistakes) => render(&mistakes.sources, &mistakes.diagnostics, false),
    }
}

#[test]
fn language_fixtures_say_what_stands_beside_them() {
    let paths = fixtures();
    assert!(paths.len() > 20, "the fixtures are gone");
    let mut wrong = Vec::new();
    for path in paths {
        let said = said(&std::fs::read_to_string(&path).unwrap());
        let beside = path.with_extension("txt");
        if std::env::var_os("KILN_BLESS").is_some() {
            std::fs::write(&beside, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}\n{said}", path.file_name().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{} fixtures differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The arguments of the one QMP command of `good.kiln`, with `members` in place of its own.
fn qmp(members: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language/good.kiln");
    let text = std::fs::read_to_string(path).unwrap().replace("start = 0 length = 64", members);
    let (world, set) = world(&text);
    let recipe = recipe::check(&world, Path::new("/r/recipes/main.kiln"), &set)
        .map_err(|mistakes| render(&mistakes.sources, &mistakes.diagnostics, false))?;
    let steps = recipe.tests.iter().flat_map(|test| &test.steps);
    let arguments = steps.into_iter().find_map(|step| match &step.action {
        recipe::test::TestAction::Qmp { arguments, .. } => Some(arguments.clone()),
        _ => None,
    });
    Ok(arguments.unwrap())
}

#[test]
fn language_blocks_with_a_name_are_the_items_of_a_list_for_qmp() {
    let said = qmp("extents a { offset = 0 } extents b { offset = 1MiB }").unwrap();
    assert_eq!(said, r#"{"extents":[{"offset":0},{"offset":1048576}],"path":"/machine/mem0"}"#);
    assert_eq!(qmp("one { two = true }").unwrap(), r#"{"one":{"two":true},"path":"/machine/mem0"}"#);
    for twice in ["extents = 1 extents a { offset = 0 }", "extents a { offset = 0 } extents = 1"] {
        assert!(qmp(twice).unwrap_err().contains("`extents` is given more than once"), "{twice}");
    }
}

fn recipes() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let paths = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "kiln")).collect();
    paths.sort();
    paths
}

#[test]
fn language_recipes_have_no_mistakes() {
    assert!(recipes().len() >= 2, "the recipes are gone");
    for path in recipes() {
        if let Err(mistakes) = recipe::check(&RealWorld::default(), &path, &[]) {
            panic!("{}", render(&mistakes.sources, &mistakes.diagnostics, false));
        }
    }
}
