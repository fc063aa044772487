//! `kiln verify --all`: every recipe and lock of a tree, as people and CI services read it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::failure_support::{refused, text};

/// The committed recipes and their locks, to damage.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let place = super::store::scratch(&format!("every-{name}"));
        let (root, library) = (Path::new(env!("CARGO_MANIFEST_DIR")), place.join("recipes/lib"));
        for directory in ["recipes/lib/keys", "lockfiles"] {
            std::fs::create_dir_all(place.join(directory)).unwrap();
        }
        for entry in std::fs::read_dir(root.join("recipes/lib")).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), library.join(entry.file_name())).unwrap();
            }
        }
        for entry in std::fs::read_dir(root.join("recipes/lib/keys")).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(entry.path(), library.join("keys").join(entry.file_name())).unwrap();
        }
        for name in ["cxl-quick", "uefi"] {
            for file in [format!("recipes/{name}.kiln"), format!("lockfiles/{name}.lock")] {
                std::fs::copy(root.join(&file), place.join(&file)).unwrap();
            }
        }
        Tree(place)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn append(&self, name: &str, more: &str) {
        let before = std::fs::read_to_string(self.0.join(name)).unwrap();
        self.write(name, &(before + more));
    }

    /// Neither a store nor a network is there.
    fn verify(&self, words: &[&str]) -> Output {
        self.verify_from("", &[&["."], words].concat())
    }

    fn verify_from(&self, directory: &str, words: &[&str]) -> Output {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.args(["verify", "--all"])
            .args(words)
            .current_dir(self.0.join(directory))
            .env("KILN_STORE", "/nowhere/at/all");
        kiln.env("KILN_MIRROR", "http://127.0.0.1:9").output().unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = kiln::world::fs::remove_tree(&self.0);
    }
}

#[test]
fn a_tree_that_is_as_it_should_be_is_verified_without_a_store() {
    let tree = Tree::new("good");
    tree.write("Cargo.lock", "# another program's\nversion = 4\n");
    let output = tree.verify(&[]);
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "recipes/cxl-quick.kiln: verified\nrecipes/uefi.kiln: verified\n");
}

#[test]
fn what_is_wrong_with_one_hides_nothing_about_the_others() {
    let tree = Tree::new("wrong");
    tree.append("recipes/cxl-quick.kiln", "image ghost extends cxl-quick { size = 5 }\n");
    tree.append("lockfiles/uefi.lock", "# edited\n");
    std::fs::rename(tree.0.join("lockfiles/uefi.lock"), tree.0.join("lockfiles/gone.lock")).unwrap();
    // An editor's copy, and what a build tool can make again.
    std::fs::create_dir_all(tree.0.join("cache/recipes")).unwrap();
    tree.write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    tree.write("cache/recipes/broken.kiln", "machine {");
    std::fs::create_dir_all(tree.0.join(".git")).unwrap();
    tree.write(".git/broken.kiln", "machine {");
    let output = tree.verify(&[]);
    let line = std::fs::read_to_string(tree.0.join("recipes/cxl-quick.kiln")).unwrap().lines().count();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for words in [
        &format!("error: recipes/cxl-quick.kiln:{line}:40: expected a size"),
        "error: lockfiles/gone.lock: the lock of recipes/gone.kiln, which is not there",
        "warning: recipes/uefi.kiln: no lock at lockfiles/uefi.lock",
        "error: 2 of 3 recipes failed: lockfiles/gone.lock, recipes/cxl-quick.kiln",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!text(&output).contains("broken"), "{}", text(&output));
}

/// A recipe's lock is the same wherever the recipe is seen from.
#[test]
fn a_lock_is_found_from_every_directory() {
    let tree = Tree::new("from");
    for (directory, top, shown) in [
        ("recipes", ".", ""),
        ("recipes/lib", "..", "../"),
        ("lockfiles", "../recipes", "../recipes/"),
        ("lockfiles", "..", "../recipes/"),
    ] {
        let output = tree.verify_from(directory, &[top]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success(), "{directory}: {}", text(&output));
        assert_eq!(said, format!("{shown}cxl-quick.kiln: verified\n{shown}uefi.kiln: verified\n"), "{directory}");
    }
    std::os::unix::fs::symlink("uefi.kiln", tree.0.join("recipes/other.kiln")).unwrap();
    tree.append("lockfiles/uefi.lock", "edited = 1\n");
    let output = tree.verify_from("recipes", &["."]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("2 of 3 recipes failed: other.kiln, uefi.kiln"), "{}", text(&output));
    let lone = tree.verify_from("lockfiles", &["."]);
    assert!(text(&lone).contains("no recipe with a lock"), "{}", text(&lone));
}

#[test]
fn names_that_are_no_text_and_locks_that_lead_nowhere_are_told() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new("names");
    std::fs::write(tree.0.join(std::ffi::OsStr::from_bytes(b"recipes/\xff.kiln")), "machine {").unwrap();
    std::fs::remove_file(tree.0.join("lockfiles/uefi.lock")).unwrap();
    std::os::unix::fs::symlink("/nowhere", tree.0.join("lockfiles/uefi.lock")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", tree.0.join("lockfiles/foreign.lock")).unwrap();
    let output = tree.verify(&["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |number: usize| json[number]["recipe"].as_str().unwrap().to_owned();
    assert_eq!((of(1), of(2)), ("recipes/uefi.kiln".to_owned(), "recipes/\u{fffd}.kiln".to_owned()), "{json}");
    assert_eq!(json[1]["findings"][0]["severity"], "error", "{json}");
    assert_eq!(json[2]["findings"][0]["severity"], "warning", "{json}");
}

#[test]
fn an_edited_lock_is_named() {
    let tree = Tree::new("edited");
    let lock = std::fs::read_to_string(tree.0.join("lockfiles/uefi.lock")).unwrap();
    // In another century.
    let edited = lock.replacen("\nepoch = \"20", "\nepoch = \"21", 1);
    assert_ne!(lock, edited);
    tree.write("lockfiles/uefi.lock", &edited);
    let output = tree.verify(&[]);
    assert_eq!(output.status.code(), Some(1));
    for words in
        ["lock was edited or merged", "recipes/cxl-quick.kiln: verified", "1 of 2 recipes failed: recipes/uefi.kiln"]
    {
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
    }
}

#[test]
fn every_format_says_the_same() {
    let tree = Tree::new("formats");
    tree.append("recipes/cxl-quick.kiln", "image ghost extends cxl-quick { size = 5 }\n");
    let of = |format: &str| {
        let output = tree.verify(&["--format", format]);
        assert_eq!(output.status.code(), Some(1), "{format}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&of("json")).unwrap();
    let finding = &json[0]["findings"][0];
    assert_eq!((&finding["file"], &finding["column"]), (&"recipes/cxl-quick.kiln".into(), &40.into()), "{json}");
    assert_eq!((&finding["severity"], &finding["exit_code"]), (&"error".into(), &1.into()), "{json}");
    assert_eq!(json[1]["findings"].as_array().unwrap().len(), 0, "{json}");
    let line = finding["line"].as_u64().unwrap();

    let sarif: serde_json::Value = serde_json::from_str(&of("sarif")).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!((&sarif["version"], &result["level"]), (&"2.1.0".into(), &"error".into()), "{sarif}");
    assert_eq!(place["artifactLocation"]["uri"], "recipes/cxl-quick.kiln");
    assert_eq!(place["region"]["startLine"], line);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{sarif}");

    let junit = of("junit");
    assert!(
        junit.contains("tests=\"2\" failures=\"1\"") && junit.contains("<testcase name=\"recipes/uefi.kiln\""),
        "{junit}"
    );
    assert!(
        junit.contains(&format!("<failure message=\"recipes/cxl-quick.kiln:{line}:40: expected a size")),
        "{junit}"
    );
    let annotations = of("github");
    let begin = format!("::error file=recipes/cxl-quick.kiln,line={line},col=40,title=kiln verify::expected a size");
    assert!(annotations.starts_with(&begin) && annotations.lines().count() == 1, "{annotations}");
    refused(&tree.verify(&["--json", "--format", "sarif"]), 2, &["cannot be used with"]);
}

#[test]
fn links_and_depths_lead_nowhere() {
    let tree = Tree::new("odd");
    std::os::unix::fs::symlink("..", tree.0.join("recipes/up")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", tree.0.join("recipes/endless.kiln")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.0.join("recipes/pipe.kiln"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let output = tree.verify(&[]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("warning: recipes/endless.kiln") && !said.contains("endless.kiln: verified"), "{said}");
    let deep = tree.0.join("d/".repeat(70));
    std::fs::create_dir_all(deep).unwrap();
    refused(&tree.verify(&[]), 2, &["too many files or levels"]);
}
