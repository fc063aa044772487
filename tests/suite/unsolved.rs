//! What `kiln lock` says of packages that cannot be had: all of them at once, each where the recipe asks for it.

use super::archive_support::{Package, TinyArchive};
use super::failure_support::{Lab, RECIPE, archive, text};

/// What is said of a recipe that cannot be locked.
fn said(name: &str, archive: TinyArchive, recipe: String) -> String {
    let lab = Lab::unlocked(name, archive, |_| recipe.clone());
    let output = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(!lab.directory.join("tiny.lock").exists(), "half a lock");
    text(&output)
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "it does not say `{word}`:\n{text}");
    }
}

#[test]
fn every_unknown_package_of_every_set_is_shown_where_it_is_asked_for() {
    let recipe = RECIPE
        .replace("[\"payload\"]", "[\"payload\", \"paylaod\", \"payload-\", package \"payload\" version \"9\"]")
        .replace("\"kmod\"", "\"kmdo\", \"kmod\"");
    // Twice the same package in two ways is another mistake.
    let recipe = recipe.replace("[\"payload\", ", "[");
    let text = said("unsolved-unknown", archive(), recipe);
    assert_eq!(text.matches("error: ").count(), 4, "{text}");
    says(
        &text,
        &[
            "package `kmdo` is not in archive `trixie`",
            "tiny.kiln:3:",
            "^^^^^^ requested in package set `image-tools`",
            "did you mean `kmod`?",
            "package `paylaod` is not in archive `trixie`",
            "^^^^^^^^^ requested in package set `tiny`",
            "did you mean `payload`?",
            "package `payload` with version 9 is not in archive `trixie`",
            "there is 1.0 from trixie",
        ],
    );
}

#[test]
fn a_dependency_that_nobody_has_is_shown_with_the_chain_from_the_request() {
    let packages = [
        Package::new("app", "1").depends("middle"),
        Package::new("middle", "2").depends("base (>= 5) | other"),
        Package::new("base", "4"),
        Package::new("wine", "1").depends("wine64 | wine32"),
        Package::new("wine64", "1"),
    ];
    let all = packages.into_iter().fold(archive(), TinyArchive::package);
    let text = said("unsolved-chain", all.clone(), RECIPE.replace("\"payload\"", "\"payload\", \"app\""));
    says(
        &text,
        &[
            "error: package `app` cannot be installed: app 1 depends on middle; middle 2 depends on base (>= 5) | other, \
             which no archive of the set has",
            "^^^^^ requested in package set `tiny`",
            "of base there is 4 from trixie",
        ],
    );
    let text = said("unsolved-foreign", all, RECIPE.replace("\"payload\"", "\"payload\", \"wine32\""));
    says(&text, &["package `wine32` is not in", "none for amd64", "foreign architectures are not mixed into a set"]);
}

#[test]
fn packages_that_exclude_each_other_are_shown_where_they_are_asked_for() {
    let one = Package::new("one", "1").field("Conflicts", "two");
    let all = archive().package(one).package(Package::new("two", "1")).package(Package::new("three", "1"));
    let recipe = RECIPE.replace("\"payload\"", "\"three\", \"one\", \"two\"");
    let text = said("unsolved-conflict", all, recipe);
    says(&text, &["error: these packages cannot be installed together", "\"one\", \"two\"", "----- and here", "one 1"]);
    assert_eq!(text.matches("and here").count(), 1, "`three` has no part in it:\n{text}");
}

#[test]
fn a_component_that_an_archive_lacks_is_shown_at_the_archive() {
    let recipe = RECIPE.replace("archive trixie {", "archive trixie { components = [\"main\", \"mian\"]");
    let text = said("unsolved-component", archive(), recipe);
    says(&text, &["has no mian/binary-amd64/Packages", "tiny.kiln:2:1"]);
}

#[test]
fn a_set_without_the_qemu_of_its_machine_is_shown_where_it_is_declared() {
    let recipe = RECIPE.replace("[\"qemu-system-x86\"]", "[\"kmod\"]");
    let text = said("unsolved-qemu", archive(), recipe);
    says(&text, &["has no `qemu-system-x86`", "tiny.kiln:4:", "packages qemu-11"]);
}
