//! `kiln lock --check` names what moved, and `kiln lock` settles what git merged.

use std::process::Output;

use kiln::lock::{read, settle, write};

use super::every::Tree;
use super::failure_support::text;

const LOCK: &str = "lockfiles/uefi.lock";

impl Tree {
    fn lock(&self, words: &[&str]) -> Output {
        self.kiln().args(["lock", "recipes/uefi.kiln"]).args(words).output().unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// What `kiln lock --check` says, which is an error of the recipe or its lock.
    fn moved(&self, words: &[&str]) -> String {
        let output = self.lock(&[&["--check"], words].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        text(&output)
    }
}

fn has(said: &str, words: &[&str]) {
    for words in words {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A recipe with an import of its own and a parameter, locked.
fn tree(name: &str) -> Tree {
    let tree = Tree::new(name);
    let recipe = tree.read("recipes/uefi.kiln").replacen("\nimport ", "\nimport \"lib/extra.kiln\"\nimport ", 1);
    tree.write("recipes/uefi.kiln", &format!("{recipe}\nparam motto = \"one\"\n"));
    tree.write("recipes/lib/extra.kiln", "let extra = 1\n");
    let output = tree.lock(&[]);
    assert!(output.status.success(), "{}", text(&output));
    tree
}

#[test]
fn what_moved_since_the_lock_is_named() {
    let tree = tree("moved");
    let lock = tree.read(LOCK);
    let said = tree.moved(&["--set", "motto=two"]);
    has(&said, &["parameter `motto` is `\"two\"`, but was `\"one\"` when the lock was made"]);
    for (file, words) in [
        ("recipes/uefi.kiln", "recipe `uefi.kiln` has changed"),
        ("recipes/lib/debian-13.kiln", "import `lib/debian-13.kiln` has changed"),
        (
            "recipes/lib/keys/debian-archive-trixie-stable.asc",
            "file `lib/keys/debian-archive-trixie-stable.asc` has changed",
        ),
    ] {
        let before = tree.read(file);
        tree.append(file, "\n");
        has(&tree.moved(&[]), &["is not up to date with the recipe", words]);
        // The line of the lock that says otherwise is annotated.
        let key = words.split('`').nth(1).unwrap();
        let number = lock.lines().position(|line| line.starts_with(&format!("\"{key}\" = "))).unwrap() + 1;
        let annotations = String::from_utf8(tree.verify(&["--format", "github"]).stdout).unwrap();
        let begin = format!("::error file=lockfiles/uefi.lock,line={number},col=1,title=kiln verify::");
        assert!(annotations.lines().any(|line| line.starts_with(&begin) && line.contains(words)), "{annotations}");
        tree.write(file, &before);
    }
    // An import that is gone, and one that is new.
    let recipe = tree.read("recipes/uefi.kiln");
    tree.write("recipes/lib/other.kiln", "let other = 1\n");
    tree.write("recipes/uefi.kiln", &recipe.replacen("lib/extra.kiln", "lib/other.kiln", 1));
    has(&tree.moved(&[]), &["import `lib/other.kiln` is new", "import `lib/extra.kiln` is gone"]);
    tree.write("recipes/uefi.kiln", &recipe);
    assert!(tree.lock(&["--check"]).status.success());
}

#[test]
fn a_hand_edit_is_told_from_a_merge_and_from_conflicts() {
    let tree = tree("edited-lock");
    let lock = tree.read(LOCK);
    let edited = |from: &str, to: &str| {
        assert!(lock.contains(from), "{from}");
        tree.write(LOCK, &lock.replacen(from, to, 1));
        tree.moved(&[])
    };
    let at = lock.find("  { name = \"bash\"").unwrap();
    let version = lock[at..].split('"').nth(5).unwrap();
    let said = edited(&format!("version = \"{version}\""), &format!("version = \"{version}+x\""));
    has(
        &said,
        &["edited since `kiln lock` wrote it", "step `", "does not follow from what the lock pins", "run `kiln lock`"],
    );
    let said = edited("inrelease = \"", "valid-until = \"2030-01-01T00:00:00Z\"\ninrelease = \"");
    assert!(said.contains("edited since") || said.contains("a second time"), "{said}");
    // Git takes lines of one side in some places, and of the other side in others.
    let at = lock.find("\"lib/extra.kiln\" = \"").unwrap();
    let digest = lock[at..].split('"').nth(3).unwrap();
    let said = edited(digest, &"0".repeat(64));
    has(&said, &["merged from two locks", "its recipe digest is not", "import `lib/extra.kiln` has changed"]);
    tree.write(LOCK, &lock.replacen("[recipe]", "<<<<<<< HEAD\n[recipe]\n=======\n[recipe]\n>>>>>>> other", 1));
    let number = lock.lines().position(|line| line == "[recipe]").unwrap() + 1;
    has(&tree.moved(&[]), &[&format!("unresolved merge: 1 conflict, the first in line {number}")]);
    let said = edited("[recipe]\nname = \"uefi\"\n", "[recipe]\nname = \"uefi\"\nname = \"other\"\n");
    has(&said, &["unlocked merge: line ", "states `[recipe] name` a second time"]);
}

/// Two branches changed the recipe, each with its lock. What both locks pin is kept, and no server is asked.
#[test]
fn kiln_lock_settles_a_merge() {
    let tree = tree("merge");
    let base = tree.read(LOCK);
    let recipe = tree.read("recipes/uefi.kiln");
    let side = |text: &str| {
        tree.write("recipes/uefi.kiln", text);
        assert!(tree.lock(&[]).status.success());
        tree.read(LOCK)
    };
    let ours = side(&format!("# Ours.\n{recipe}"));
    tree.write(LOCK, &base);
    let theirs = side(&format!("{recipe}# Theirs.\n"));
    tree.write("recipes/uefi.kiln", &format!("# Ours.\n{recipe}# Theirs.\n"));
    let conflicted = conflicted(&ours, &theirs);
    assert!(conflicted.lines().count() < ours.lines().count() + 100, "most lines are the same");
    tree.write(LOCK, &conflicted);
    has(&tree.moved(&[]), &["unresolved merge: "]);
    let output = tree.lock(&[]);
    assert!(output.status.success(), "{}", text(&output));
    let packages = read(&base).unwrap().sets.values().map(Vec::len).sum::<usize>();
    has(&text(&output), &[&format!("kept: {packages} pins that both sides have, and 0 of one side")]);
    assert!(tree.lock(&["--check"]).status.success());
    let (settled, base) = (read(&tree.read(LOCK)).unwrap(), read(&base).unwrap());
    assert_eq!((settled.sets, settled.archives, settled.seed), (base.sets, base.archives, base.seed));
    assert_eq!(settled.images, base.images);
    // As git merges with `merge=union`: without a conflict, and without sense.
    let is_marker = |line: &&str| !["<<<<<<<", "=======", ">>>>>>>"].iter().any(|marker| line.starts_with(marker));
    let union: Vec<&str> = conflicted.lines().filter(is_marker).collect();
    tree.write(LOCK, &(union.join("\n") + "\n"));
    has(&tree.moved(&[]), &["unlocked merge: "]);
    assert!(tree.lock(&[]).status.success() && tree.lock(&["--check"]).status.success());
    assert_eq!(settle(&conflicted).unwrap().0.sets, read(&write(&read(&tree.read(LOCK)).unwrap())).unwrap().sets);
}

/// A conflict for each run of lines that differ; both texts have the same number of lines.
fn conflicted(ours: &str, theirs: &str) -> String {
    let mut text = String::new();
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        match a == b {
            true => text.push_str(&format!("{a}\n")),
            false => text.push_str(&format!("<<<<<<< HEAD\n{a}\n=======\n{b}\n>>>>>>> other\n")),
        }
    }
    text
}
