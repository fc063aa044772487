//! `kiln lock --check` names what moved, and `kiln lock` settles what git merged.

use std::process::Output;

use kiln::lock::{read, settle, write};

use super::every::Tree;
use super::failure_support::{Lab, refused, text};

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
    let number = |begin: &str| lock.lines().position(|line| line.starts_with(begin)).unwrap() + 1;
    let changed = (format!("version = \"{version}\""), format!("version = \"{version}+x\""));
    let first = number(lock.lines().find(|line| line.contains(&changed.0)).unwrap());
    let line = format!("line {first}: `version` of `");
    has(
        &edited(&changed.0, &changed.1),
        &["edited since `kiln lock` wrote it", &line, "but kiln wrote", "run `kiln lock`"],
    );
    let annotations = String::from_utf8(tree.verify_with_store(&["--format", "github"]).stdout).unwrap();
    assert!(annotations.contains(&format!("::error file=lockfiles/uefi.lock,line={first},col=1")), "{annotations}");
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

/// What a package is said to be that is the first of its line's kind: its line and its name.
fn bash(lock: &str) -> (usize, &str) {
    let at = lock.lines().position(|line| line.starts_with("  { name = \"bash\"")).unwrap();
    (at + 1, lock.lines().nth(at).unwrap())
}

/// A lock as a colleague's store knows nothing of it.
fn elsewhere(tree: &Tree) {
    kiln::world::fs::remove_tree(&tree.0.join(".store")).unwrap();
}

fn exits(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    text(output)
}

#[test]
fn a_part_of_a_pin_that_a_hand_changed_is_located_and_undone() {
    let tree = tree("undone");
    let lock = tree.read(LOCK);
    let (number, line) = bash(&lock);
    for (field, bogus) in
        [("path", "pool/x/y.deb"), ("version", "9-9"), ("sha256", &*"0".repeat(64)), ("why", "required")]
    {
        let value = line.split(&format!(" {field} = \"")).nth(1).unwrap().split('"').next().unwrap();
        let other = line.replace(&format!("{field} = \"{value}\""), &format!("{field} = \"{bogus}\""));
        let edited = lock.replacen(line, &other, 1);
        assert_ne!(edited, lock, "{field}");
        tree.write(LOCK, &edited);
        let said = format!("line {number}: `{field}` of `bash` is \"{bogus}\", but kiln wrote \"{value}\"");
        has(&tree.moved(&[]), &[&said]);
        has(&exits(&tree.lock(&[]), 0), &[&format!("edited: {said}: undone")]);
        assert_eq!(tree.read(LOCK), lock, "{field}");
    }
    // A number of a user is nobody else's to know.
    tree.write(LOCK, &lock.replacen("\"root\" = 0\n", "\"root\" = 0\n\"somebody\" = 900\n", 1));
    has(&exits(&tree.lock(&[]), 0), &["was added: \"somebody\" = 900: kept"]);
    assert!(tree.read(LOCK).contains("\"somebody\" = 900\n"));
    exits(&tree.lock(&["--check"]), 0);
}

#[test]
fn without_the_text_that_kiln_wrote_steps_tell_of_a_digest() {
    let tree = tree("odd-digest");
    let lock = tree.read(LOCK);
    elsewhere(&tree);
    let digest = bash(&lock).1.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    tree.write(LOCK, &lock.replacen(digest, &"0".repeat(64), 1));
    has(&tree.moved(&[]), &["does not follow from what the lock pins", "`git diff` may show it"]);
    // What no lock may say has a line all the same.
    let (number, line) = bash(&lock);
    tree.write(LOCK, &lock.replacen(line, &line.replace(" path = \"", " path = \"../"), 1));
    has(&tree.moved(&[]), &["is not a path within a repository", &format!("line {number}: sets.")]);
}

#[test]
fn a_package_with_the_path_of_another_is_resolved_again() {
    let lab = Lab::new("odd-path");
    let (file, kiln) = (lab.directory.join("tiny.lock"), |words: &[&str]| lab.kiln().args(words).output().unwrap());
    let lock = std::fs::read_to_string(&file).unwrap();
    let at = lock.lines().position(|line| line.starts_with("  { name = \"payload\"")).unwrap();
    let line = lock.lines().nth(at).unwrap();
    let path = line.split(" path = \"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(&file, lock.replacen(line, &line.replace(path, "pool/x/y.deb"), 1)).unwrap();
    kiln::world::fs::remove_tree(&lab.store()).unwrap();
    let said = format!("line {}: `pool/x/y.deb` is not the path of this version of `payload`", at + 1);
    has(&exits(&kiln(&["lock", "tiny.kiln", "--check"]), 1), &[&said]);
    has(&exits(&kiln(&["lock", "tiny.kiln"]), 0), &[&format!("resolved again: {said}")]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lock);
}

/// Without an archive nobody knows what is pinned, and nothing moves unless that is asked for.
#[test]
fn a_lock_that_says_nothing_is_left_alone() {
    let lab = Lab::new("unread");
    let (file, kiln) = (lab.directory.join("tiny.lock"), |words: &[&str]| lab.kiln().args(words).output().unwrap());
    let lock = std::fs::read_to_string(&file).unwrap();
    let at = lock.lines().position(|line| line.starts_with("snapshot = ")).unwrap();
    let snapshot = lock.replacen(lock.lines().nth(at).unwrap(), "snapshot = 1", 1);
    let place = format!("at line {}", at + 1);
    for (text, words) in [
        (snapshot, [place.as_str(), "`kiln lock --update` makes the lock again"]),
        (lock.replacen("version = 1\n", "version = 2\n", 1), ["lock has format 2", "`kiln lock --update`"]),
        (lock.replacen("[recipe]", "[recipe", 1), ["invalid lock", "`kiln lock --update` makes the lock again"]),
    ] {
        // What it was is known to nobody.
        kiln::world::fs::remove_tree(&lab.store()).unwrap();
        std::fs::write(&file, &text).unwrap();
        refused(&kiln(&["lock", "tiny.kiln"]), 1, &words);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        has(&exits(&kiln(&["lock", "tiny.kiln", "--update"]), 0), &["made again from scratch"]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), lock);
    }
    // Where it is known, it is put back.
    std::fs::write(&file, lock.replacen("[recipe]", "[recipe", 1)).unwrap();
    has(&exits(&kiln(&["lock", "tiny.kiln"]), 0), &["was edited since `kiln lock` wrote it"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lock);
}

/// One value of another type once moved every pin.
#[test]
fn a_value_of_another_type_moves_no_pin() {
    let tree = tree("typed");
    let lock = tree.read(LOCK);
    let at = lock.lines().position(|line| line.starts_with("epoch = ")).unwrap();
    let edited = lock.replacen(lock.lines().nth(at).unwrap(), "epoch = 1", 1);
    for is_known in [true, false] {
        tree.write(LOCK, &edited);
        has(
            &tree.moved(&[]),
            &[&format!("at line {}", at + 1), "epoch = 1", "help: run `kiln lock`, which keeps every pin"],
        );
        if !is_known {
            elsewhere(&tree);
        }
        // Nobody answers, and nobody is asked.
        let said = exits(&tree.lock(&[]), 0);
        has(&said, &[&format!("line {}", at + 1)]);
        assert!(!said.contains("from scratch"), "{said}");
        assert_eq!(tree.read(LOCK), lock, "{said}");
    }
    // What another kiln builds is other bytes of the same packages.
    tree.write(LOCK, &lock.replacen("output = 1\n", "output = 9\n", 1));
    has(&exits(&tree.lock(&[]), 0), &["output version 9", "every other pin is kept"]);
    assert_eq!(read(&tree.read(LOCK)).unwrap().sets, read(&lock).unwrap().sets);
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
