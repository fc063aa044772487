//! A working directory from a stranger: links where kiln writes, pipes and devices where it reads.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use super::{mkfifo, promptly};
use crate::suite::failure_support::{Lab, RECIPE, archive, refused, text};

/// A lab with something beside it that nothing may touch.
fn lab(name: &str) -> Lab {
    let lab = Lab::unlocked(name, archive(), |_| RECIPE.to_owned());
    std::fs::create_dir(lab.directory.join("victim")).unwrap();
    std::fs::write(lab.directory.join("victim/canary"), "mine").unwrap();
    lab
}

#[track_caller]
fn untouched(lab: &Lab) {
    let names: Vec<_> =
        std::fs::read_dir(lab.directory.join("victim")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["canary"]);
    assert_eq!(std::fs::read(lab.directory.join("victim/canary")).unwrap(), b"mine");
}

#[test]
fn a_lock_that_is_a_link_is_replaced() {
    let lab = lab("checkout-lock");
    symlink("victim/new", lab.directory.join("tiny.lock")).unwrap();
    let output = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
    assert!(output.status.success(), "{}", text(&output));
    assert!(lab.directory.join("tiny.lock").symlink_metadata().unwrap().is_file());
    untouched(&lab);
    let left: Vec<_> = std::fs::read_dir(&lab.directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".tmp")), "{left:?}");
}

#[test]
fn names_that_were_foreseen_are_not_used() {
    let lab = lab("checkout-names");
    let process = std::process::id();
    // As a checkout would, that knows how kiln used to call its temporary files.
    for id in process..process + 3000 {
        symlink("victim/canary", lab.directory.join(format!("tiny.lock.{id}.tmp"))).unwrap();
    }
    let output = promptly(lab.kiln().args(["lock", "tiny.kiln"]));
    assert!(output.status.success(), "{}", text(&output));
    assert!(lab.directory.join("tiny.lock").symlink_metadata().unwrap().is_file());
    untouched(&lab);
}

#[test]
fn a_directory_of_locks_that_is_a_link_is_refused() {
    let lab = lab("checkout-lockfiles");
    std::fs::create_dir(lab.directory.join("recipes")).unwrap();
    for file in ["tiny.kiln", "archive.asc"] {
        std::fs::rename(lab.directory.join(file), lab.directory.join("recipes").join(file)).unwrap();
    }
    symlink("victim", lab.directory.join("lockfiles")).unwrap();
    let words = ["lockfiles is a symbolic link", "remove it, or pass the path that it points to"];
    refused(&promptly(lab.kiln().args(["lock", "recipes/tiny.kiln"])), 4, &words);
    untouched(&lab);
    // The way out that the words name.
    let output = promptly(lab.kiln().args(["lock", "--lock", "real/tiny.lock", "recipes/tiny.kiln"]));
    assert!(output.status.success(), "{}", text(&output));
    symlink("victim", lab.directory.join("linked")).unwrap();
    refused(
        &promptly(lab.kiln().args(["lock", "--lock", "linked/tiny.lock", "recipes/tiny.kiln"])),
        4,
        &["linked is a"],
    );
    untouched(&lab);
}

#[test]
fn formatting_changes_the_file_that_was_named_and_no_other() {
    let lab = lab("checkout-fmt");
    let real = lab.directory.join("victim/canary");
    std::fs::write(&real, "kernel   k { package = package \"x1\" }\n").unwrap();
    symlink("victim/canary", lab.directory.join("link.kiln")).unwrap();
    let output = promptly(lab.kiln().args(["fmt", "link.kiln"]));
    refused(&output, 2, &["link.kiln is a symbolic link", "kiln fmt", "victim/canary"]);
    assert!(std::fs::read_to_string(&real).unwrap().starts_with("kernel   k"));
    let named = lab.directory.join("named.kiln");
    std::fs::copy(&real, &named).unwrap();
    std::fs::set_permissions(&named, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(promptly(lab.kiln().args(["fmt", "named.kiln"])).status.success());
    assert!(std::fs::read_to_string(&named).unwrap().starts_with("kernel k"));
    assert_eq!(named.metadata().unwrap().permissions().mode() & 0o777, 0o600, "its mode is its owner's to choose");
}

#[test]
fn pipes_devices_and_directories_are_no_files() {
    let lab = Lab::new("checkout-pipes");
    mkfifo(&lab.directory.join("pipe"));
    symlink("/dev/zero", lab.directory.join("zero")).unwrap();
    std::fs::create_dir(lab.directory.join("empty")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(lab.directory.join(name), text).unwrap();
    let kiln = |words: &[&str]| promptly(lab.kiln().args(words));
    for (thing, noun) in [("pipe", "a named pipe, not a regular file"), ("empty", "a directory, not a regular file")] {
        write("import.kiln", &format!("import \"{thing}\"\n"));
        refused(&kiln(&["check", "import.kiln"]), 1, &[noun, "cannot be imported"]);
        write("key.kiln", &RECIPE.replace("archive.asc", thing));
        let key = text(&kiln(&["check", "key.kiln"]));
        assert!(key.contains(noun) && key.contains("cannot be copied"), "{key}");
        let lock = kiln(&["plan", "--lock", thing, "tiny.kiln"]);
        refused(&lock, 2, &[noun]);
        refused(&kiln(&["fmt", thing]), 2, &[noun]);
    }
    refused(&kiln(&["check", "pipe"]), 2, &["pipe is a pipe or a device"]);
    refused(&kiln(&["plan", "--lock", "zero", "tiny.kiln"]), 2, &["a device, not a regular file"]);
    refused(&kiln(&["fmt", "zero"]), 2, &["a device, not a regular file"]);
    // `kiln check <(...)`, and a pipe on standard input.
    refused(
        &promptly(lab.kiln().args(["check", "/dev/stdin"]).stdin(Stdio::piped())),
        2,
        &["is a pipe or a device", "help:"],
    );
    let config = lab.directory.join(".config/kiln");
    std::fs::create_dir_all(&config).unwrap();
    mkfifo(&config.join("mirrors"));
    refused(&kiln(&["lock", "tiny.kiln", "--update"]), 2, &["mirrors", "a named pipe, not a regular file"]);
}

#[test]
fn names_of_units_that_the_image_would_not_take() {
    let lab = Lab::unlocked("checkout-units", archive(), |_| RECIPE.to_owned());
    for (unit, label) in [
        ("-x.service", "would be an option"),
        ("a\\\\x2dfoo.service", "takes no escapes"),
        ("a b.service", "has a suffix"),
        ("ssh", "write `\"ssh.service\"`"),
    ] {
        let recipe = RECIPE.replace("base = essential }", &format!("base = essential enable = [\"{unit}\"] }}"));
        std::fs::write(lab.directory.join("tiny.kiln"), recipe).unwrap();
        let output = promptly(lab.kiln().args(["check", "tiny.kiln"]));
        refused(&output, 1, &["is not the name of a unit", label, "^^"]);
    }
}
