//! Paths in reports: from the root of the repository, wherever that is on the host that wrote them.

use super::super::failure_support::{refused, text};
use super::Tree;

#[test]
fn no_report_says_where_the_repository_is_on_the_host() {
    let tree = Tree::new("places");
    tree.write("lockfiles/uefi.lock", "version = 1\n[recipe\n");
    tree.append("lockfiles/cxl-quick.lock", "edited = 1\n");
    tree.write("lockfiles/gone.lock", "version = 1\n");
    tree.write("recipes/unlocked.kiln", "import \"lib/cxl.kiln\"\nmachine m {}\n");
    let place = tree.0.canonicalize().unwrap();
    for format in ["text", "json", "junit", "sarif", "github", "gitlab"] {
        let output = tree.verify(&["--format", format]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("uefi.lock"), "{format}: {said}");
        assert!(!said.contains(place.to_str().unwrap()), "{format}: {said}");
    }
    // The place names the file once.
    let said = text(&tree.verify(&[]));
    assert!(said.contains("error: lockfiles/uefi.lock:2:8: invalid lock"), "{said}");
}

/// What is asked of a result directory and of a tree of recipes is easily confused.
#[test]
fn recipes_in_the_place_of_a_result_directory_are_told_what_is_for_them() {
    let tree = Tree::new("place");
    let kiln = |words: &[&str]| tree.kiln().args(words).output().unwrap();
    refused(
        &kiln(&["verify", "recipes"]),
        3,
        &["manifest.json: it is missing", "`kiln verify --all DIR` verifies recipes"],
    );
    refused(&kiln(&["sign", "recipes/uefi.kiln", "--key", "none"]), 2, &["is a file", "`kiln build`, then `kiln sign"]);
}
