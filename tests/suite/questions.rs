//! `kiln diff`, `kiln why` and `kiln size` about committed locks: what they say is what stands in the lock.

mod named;
mod pulled;

use std::path::Path;
use std::process::{Command, Output};

use super::failure_support::{refused, text};

fn kiln(words: &[&str]) -> Output {
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    // Nothing is asked: neither a store nor a network.
    kiln.args(words).current_dir(env!("CARGO_MANIFEST_DIR")).env("KILN_STORE", "/nowhere/at/all");
    kiln.env("KILN_MIRROR", "http://127.0.0.1:9").output().unwrap()
}

fn lock(name: &str) -> kiln::lock::Lock {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles").join(format!("{name}.lock"));
    kiln::lock::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_package_is_explained_up_to_what_is_there_by_itself() {
    let quick = lock("cxl-quick");
    let (set, package) = quick
        .sets
        .iter()
        .find_map(|(set, packages)| {
            Some((set, packages.iter().find(|package| package.why.to_string().starts_with("dependency of "))?))
        })
        .unwrap();
    let cause = package.why.cause().unwrap();
    for about in ["recipes/cxl-quick.kiln", "lockfiles/cxl-quick.lock"] {
        let output = kiln(&["why", &package.name, about]);
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains(&format!("{set}:\n  {} {}: dependency of {cause}", package.name, package.version)),
            "{said}"
        );
        assert!(said.contains(&format!("\n    {cause} ")), "the cause is explained in turn: {said}");
    }
    let json = kiln(&["why", &package.name, "recipes/cxl-quick.kiln", "--json"]);
    let reasons: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let last = reasons[0]["chain"].as_array().unwrap().last().unwrap()["why"].as_str().unwrap().to_owned();
    assert!(["requested", "essential", "required"].iter().any(|why| last.starts_with(why)), "{last}");
    refused(&kiln(&["why", "no-such-package", "recipes/cxl-quick.kiln"]), 2, &["in no package set"]);
    refused(&kiln(&["why", "bash", "lockfiles/none.lock"]), 4, &["none.lock"]);
}

#[test]
fn the_size_of_a_lock_is_that_of_its_files_each_once() {
    let quick = lock("cxl-quick");
    let json = kiln(&["size", "recipes/cxl-quick.kiln", "--json"]);
    let size: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    for (name, packages) in &quick.sets {
        let parts = size["parts"].as_array().unwrap();
        let part = parts.iter().find(|part| part["name"] == name.as_str()).unwrap();
        let bytes: u64 = packages.iter().map(|package| package.file.size).sum();
        assert_eq!(part["bytes"], bytes);
        let sizes: Vec<u64> =
            part["files"].as_array().unwrap().iter().map(|file| file["bytes"].as_u64().unwrap()).collect();
        assert!(sizes.len() == packages.len() && sizes.is_sorted_by(|a, b| a >= b));
    }
    let said = text(&kiln(&["size", "recipes/cxl-quick.kiln", "--top", "1"]));
    assert!(said.lines().next().unwrap().ends_with("  all inputs"), "{said}");
}

#[test]
fn builds_and_directories_that_no_lock_pins_are_named() {
    let said = text(&kiln(&["why", "meson", "recipes/cxl-own-qemu.kiln"]));
    assert!(said.contains("\n  used as: tools of build qemu"), "{said}");
    let said = text(&kiln(&["why", "seabios", "recipes/cxl-own-qemu.kiln"]));
    assert!(said.contains("\n  used as: what QEMU patched runs with\n"), "{said}");
    let directory = super::store::scratch("questions-builds");
    let mut other = lock("cxl-own-qemu");
    other.local.insert("qemu/qemu".to_owned());
    other.sources.remove("qemu:qemu").unwrap();
    *other.steps.get_mut("build qemu").unwrap() = kiln::base::Digest::of(b"another script");
    let path = directory.join("other.lock");
    std::fs::write(&path, kiln::lock::write(&other)).unwrap();
    let path = path.to_str().unwrap();
    let size = text(&kiln(&["size", path]));
    assert!(size.contains("   unknown  source `qemu` of build `qemu`, a directory that no lock pins\n"), "{size}");
    let said = text(&kiln(&["diff", "recipes/cxl-own-qemu.kiln", path]));
    assert!(said.contains("source qemu of build qemu: a directory that no lock pins\n"), "{said}");
    let from = lock("cxl-own-qemu").steps["build qemu"].short();
    let to = kiln::base::Digest::of(b"another script").short();
    assert!(said.contains(&format!("build qemu: step {from} -> step {to}\n")), "{said}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn two_locks_are_compared_by_what_they_pin() {
    let same = kiln(&["diff", "recipes/cxl-quick.kiln", "lockfiles/cxl-quick.lock"]);
    assert!(same.status.success() && same.stdout.is_empty(), "{}", text(&same));
    let directory = super::store::scratch("questions");
    let mut moved = lock("cxl-quick");
    let (set, packages) = moved.sets.iter_mut().next().unwrap();
    let (set, package) = (set.clone(), packages.last_mut().unwrap());
    let before = std::mem::replace(&mut package.version, "99:1".to_owned());
    package.file.size += 64 << 20;
    let (name, other) = (package.name.clone(), directory.join("other.lock"));
    let digest = kiln::base::Digest::of(b"another");
    for package in moved.sets.values_mut().flatten().filter(|package| package.name == name) {
        (package.file.sha256, package.version) = (digest, "99:1".to_owned());
        package.file.size = 64 << 20;
    }
    std::fs::write(&other, kiln::lock::write(&moved)).unwrap();
    let said = text(&kiln(&["diff", "recipes/cxl-quick.kiln", other.to_str().unwrap()]));
    assert!(said.contains(&format!("{set}: {name} {before} -> 99:1\n")), "{said}");
    assert!(said.contains("size of all inputs: "), "{said}");
    let json = kiln(&["diff", other.to_str().unwrap(), "recipes/cxl-quick.kiln", "--json"]);
    let changes: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let moved = serde_json::json!({ "change": "moved", "set": set, "package": name, "from": "99:1", "to": before });
    assert!(changes["inputs"].as_array().unwrap().contains(&moved), "{changes:#}");
    assert!(changes["size"][0].as_u64() > changes["size"][1].as_u64(), "{changes:#}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn locks_of_other_parameters_differ_in_their_machines() {
    let directory = super::store::scratch("questions-machines");
    let mut other = lock("numa");
    let (name, machine) = other.machines.iter_mut().next().unwrap();
    let (name, at) = (name.clone(), machine.argv.iter().position(|word| word == "-m").unwrap() + 1);
    let before = std::mem::replace(&mut machine.argv[at], "123M".to_owned());
    let parameter = other.recipe.params.keys().next().unwrap().clone();
    let value = other.recipe.params.insert(parameter.clone(), "77GiB".to_owned()).unwrap();
    let path = directory.join("other.lock");
    std::fs::write(&path, kiln::lock::write(&other)).unwrap();
    let differ = kiln(&["diff", "recipes/numa.kiln", path.to_str().unwrap(), "--exit-code"]);
    let said = text(&differ);
    assert_eq!(differ.status.code(), Some(3), "{said}");
    for line in [
        format!("machine {name}: - -m {before}\n"),
        format!("machine {name}: + -m 123M\n"),
        format!("parameter {parameter}: {value} -> 77GiB\n"),
    ] {
        assert!(said.contains(&line), "{line}{said}");
    }
    let same = kiln(&["diff", "recipes/numa.kiln", "lockfiles/numa.lock", "--exit-code"]);
    assert!(same.status.success() && same.stdout.is_empty(), "{}", text(&same));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn recipes_are_compared_by_the_options_of_their_kernels() {
    let directory = super::store::scratch("questions-options");
    let mut copy = Command::new("cp");
    copy.args(["-r", "recipes", "lockfiles"]).arg(&directory).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(copy.status().unwrap().success());
    let recipe = directory.join("recipes/kernel-module.kiln");
    let text_of = std::fs::read_to_string(&recipe).unwrap();
    let changed = text_of.replace("option MODULE_UNLOAD = y", "option MODULE_UNLOAD = n\n  option LOG_BUF_SHIFT = 18");
    std::fs::write(&recipe, changed).unwrap();
    let said = text(&kiln(&["diff", "recipes/kernel-module.kiln", recipe.to_str().unwrap()]));
    assert_eq!(said, "kernel small: LOG_BUF_SHIFT: 18 is new\nkernel small: MODULE_UNLOAD: y -> n\n");
    let disk = directory.join("disk.qcow2");
    std::fs::write(&disk, "x").unwrap();
    refused(&kiln(&["diff", "recipes/numa.kiln", disk.to_str().unwrap()]), 2, &["have nothing that can be compared"]);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_store_is_shrunk_to_a_size_by_what_was_used_longest_ago() {
    use kiln::base::Digest;
    use kiln::store::gc::Policy;
    use kiln::store::{Output as Made, Store};
    let root = super::store::scratch("store-fitting");
    let store = Store::open(&root).unwrap();
    let (kept, stray) = (store.put(&[1; 1000]).unwrap(), store.put(&[2; 1000]).unwrap());
    let (action, output) = (Digest::of(b"action"), Made::File { digest: kept, size: 1000, executable: false });
    store.put_result(&action, &std::collections::BTreeMap::from([("out".to_owned(), output)])).unwrap();
    // Used later than the other file came in.
    let result = std::fs::File::options().write(true).open(root.join("ac").join(action.hex())).unwrap();
    result.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(1000)).unwrap();
    let shrink = |most| store.collect(&Policy { since: 0, most: Some(most), dry_run: false }).unwrap();
    assert_eq!(shrink(1 << 30).removed, 0, "it fits as it is");
    assert_eq!(shrink(1900).bytes, 1000);
    assert!(store.has(&kept) && !store.has(&stray));
    shrink(0);
    assert!(!store.has(&kept) && store.peek_result(&action).is_none());
    drop(store);
    std::fs::remove_dir_all(&root).unwrap();
}

/// Whatever a build used, it used within a moment: all of it once went for the sake of the first megabyte.
#[test]
fn a_store_loses_no_more_than_is_too_much() {
    use kiln::base::Digest;
    use kiln::store::gc::Policy;
    use kiln::store::{Output as Made, Store};
    let root = super::store::scratch("store-close");
    let store = Store::open(&root).unwrap();
    let outputs: Vec<(Digest, Digest)> = (0..10_u8)
        .map(|at| {
            let digest = store.put(&vec![at; 100_000]).unwrap();
            let action = Digest::of(&[at]);
            let output = Made::File { digest, size: 100_000, executable: false };
            store.put_result(&action, &std::collections::BTreeMap::from([("out".to_owned(), output)])).unwrap();
            (action, digest)
        })
        .collect();
    let log = root.join("log").join(Digest::of(b"log").hex());
    std::fs::write(&log, [0; 1000]).unwrap();
    let now = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    for name in std::fs::read_dir(root.join("ac")).unwrap() {
        std::fs::File::options().write(true).open(name.unwrap().path()).unwrap().set_modified(now).unwrap();
    }
    let held = |most| {
        let report = store.collect(&Policy { since: 0, most: Some(most), dry_run: false }).unwrap();
        let left: u64 = store.usage().unwrap().iter().map(|part| part.bytes).sum();
        assert!(left <= most && most - left < 100_000 + 2_000, "{left} of {most}");
        report
    };
    // What nobody names goes first, and with a file the result that says where it is.
    let before: u64 = store.usage().unwrap().iter().map(|part| part.bytes).sum();
    let first = held(before - 1);
    assert_eq!((first.removed, log.exists()), (1, false), "{first:?}");
    for most in [900_000, 650_000, 640_000, 150_000] {
        held(most);
    }
    let kept: Vec<bool> = outputs.iter().map(|(_, digest)| store.has(digest)).collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1, "{kept:?}");
    for (action, digest) in &outputs {
        assert_eq!(store.peek_result(action).is_some(), store.has(digest));
    }
    drop(store);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_store_says_where_it_is_what_it_takes_and_whether_it_is_sound() {
    let root = super::store::scratch("store-verb").canonicalize().unwrap();
    let digest = kiln::store::Store::open(&root).unwrap().put(b"precious").unwrap();
    let ask = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_kiln")).args(words).env("KILN_STORE", &root).output().unwrap()
    };
    assert_eq!(text(&ask(&["store", "path"])), format!("{}\n", root.display()));
    std::fs::write(root.join("lock").join(digest.hex()), "").unwrap();
    let usage: serde_json::Value = serde_json::from_slice(&ask(&["store", "stat", "--json"]).stdout).unwrap();
    assert_eq!((&usage[0]["part"], &usage[0]["entries"], &usage[0]["bytes"]), (&"cas".into(), &1.into(), &8.into()));
    assert!(text(&ask(&["store", "stat"])).trim_end().ends_with("total"));
    assert_eq!(text(&ask(&["store", "verify"])), "checked 1 file or tree; 0 damaged, set aside\n");
    super::store::tamper(&root.join("cas").join(digest.hex()));
    refused(&ask(&["store", "verify"]), 3, &["1 damaged, set aside"]);
    let shrunk = text(&ask(&["gc", "--older-than", "0", "--max-size", "0B", "--dry-run"]));
    assert!(shrunk.starts_with("would remove "), "{shrunk}");
    assert!(shrunk.lines().any(|line| line.trim_start().starts_with("8 B  quarantine/")), "{shrunk}");
    assert!(!shrunk.contains("  lock/"), "{shrunk}");
    let json = ask(&["gc", "--older-than", "0", "--max-size", "0B", "--dry-run", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let entries = json["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["part"] == "quarantine" && entry["bytes"] == 8), "{json}");
    refused(&ask(&["gc", "--max-size", "5"]), 2, &["expected a size with a unit"]);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_question_makes_no_store_and_says_where_there_is_none() {
    let scratch = super::live::Scratch::new("questions-no-store");
    std::fs::create_dir(scratch.path("empty")).unwrap();
    for place in ["mistyped", "empty"] {
        let ask = |words: &[&str]| {
            let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
            kiln.args(words).env("KILN_STORE", scratch.path(place)).output().unwrap()
        };
        for words in [&["store", "stat"][..], &["store", "verify"], &["gc", "--dry-run"], &["gc"], &["root", "list"]] {
            let words_said = format!("there is no store at {}", scratch.path(place).display());
            refused(&ask(words), 2, &[&words_said, "check KILN_STORE"]);
        }
        assert_eq!(text(&ask(&["store", "path"])), format!("{}\n", scratch.path(place).display()));
        assert_eq!(scratch.path(place).read_dir().map_or(0, Iterator::count), 0);
    }
    assert!(!scratch.path("mistyped").exists());
}

#[test]
fn what_is_named_in_place_of_a_recipe_is_told_apart() {
    let scratch = super::live::Scratch::new("questions-named");
    std::fs::write(scratch.path("b.tar.gz"), "x").unwrap();
    let other = scratch.path("b.tar.gz").display().to_string();
    let directory = scratch.path("").display().to_string();
    for (words, code, said) in [
        (
            &["plan", "lockfiles/numa.lock"][..],
            2,
            "is a lock; this command needs the recipe that it is of\n  help: name recipes/numa.kiln",
        ),
        (&["lock", "--check", "lockfiles/numa.lock"], 2, "name recipes/numa.kiln"),
        (&["size", "registry.example/team/small:v1"], 2, "kiln pull registry.example/team/small:v1"),
        (&["export", "oci:layout:v1", "--format", "raw", "-o", "x"], 2, "kiln pull oci:layout:v1"),
        (&["verify", "oci:layout:v1"], 2, "kiln pull oci:layout:v1"),
        (&["diff", "oci:layout:v1", "recipes/numa.kiln"], 2, "kiln pull oci:layout:v1"),
        (&["why", "bash", &other], 2, "neither a recipe (NAME.kiln), a lock (NAME.lock) nor a result directory"),
        (&["diff", &directory, &directory], 2, "is a directory without manifest.json"),
    ] {
        refused(&kiln(words), code, &[said]);
    }
    let named = text(&kiln(&["push", "recipes/numa.kiln"]));
    assert!(named.contains("<REFERENCE>") && !named.contains("--key"), "{named}");
}
