//! Locks whose files nobody has any more: which pins move, where to, and what is left alone.

use std::path::Path;

use kiln::base::Timestamp;
use kiln::lock::Lock;

use super::archive_support::{Fault, Package, TinyArchive};
use super::failure_support::{Lab, archive, refused, text};

/// The archive some days later: two packages have newer versions.
fn later() -> TinyArchive {
    let mut later = archive();
    later.packages.retain(|package| !["payload", "kmod"].contains(&package.name.as_str()));
    let date = Timestamp(later.date.0 + 600);
    let payload = Package::new("payload", "2.0").essential().file("/usr/share/payload/new", 0o644, b"new");
    later.dated(date).package(payload).package(Package::new("kmod", "35"))
}

/// A lab whose archive moved on. Its mirror keeps old files, but for one.
fn lab(name: &str) -> Lab {
    let lab = Lab::new(name);
    lab.server.publish(&later());
    let path = format!("/debian/{}", package(&lock(&lab.directory.join("tiny.lock")), "payload").1);
    assert!(lab.server.lose(&path).is_some(), "{path}");
    lab
}

fn lock(path: &Path) -> Lock {
    kiln::lock::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Version and path of a locked package.
fn package(lock: &Lock, name: &str) -> (String, String) {
    let found = lock.sets.values().flatten().find(|package| package.name == name).unwrap();
    (found.version.clone(), found.path.clone())
}

fn version(lock: &Lock, name: &str) -> String {
    package(lock, name).0
}

#[test]
fn a_lost_file_is_an_error_that_names_both_ways_and_gone_moves_its_pin_alone() {
    let lab = lab("gone-lock");
    refused(&lab.inputs().output().unwrap(), 4, &["payload 1.0", "kiln lock --gone", "--relock-gone", "KILN_MIRROR"]);
    let output = lab.kiln().args(["lock", "--gone", "tiny.kiln"]).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for words in ["gone: payload 1.0 (amd64)", "payload_1.0_amd64.deb: http status: 404", "tiny: payload 1.0 -> 2.0"] {
        assert!(said.contains(words), "it does not say `{words}`:\n{said}");
    }
    assert!(!said.contains("kmod"), "its old file is still there:\n{said}");
    let moved = lock(&lab.directory.join("tiny.lock"));
    assert_eq!((version(&moved, "payload").as_str(), version(&moved, "kmod").as_str()), ("2.0", "34"));
    assert!(moved.images["tiny"].open, "the new version may have other users");
    assert!(lab.inputs().output().unwrap().status.success(), "every file can be had again");
    let output = lab.kiln().args(["lock", "tiny.kiln", "--gone"]).output().unwrap();
    assert!(text(&output).contains("unchanged"), "{}", text(&output));
}

#[test]
fn what_the_store_has_or_a_busy_or_redirecting_server_has_is_not_gone() {
    let lab = Lab::new("gone-not");
    assert!(lab.inputs().output().unwrap().status.success());
    lab.server.publish(&later());
    let before = lock(&lab.directory.join("tiny.lock"));
    let path = format!("/debian/{}", package(&before, "payload").1);
    let bytes = lab.server.lose(&path).unwrap();
    let gone = || lab.kiln().args(["lock", "tiny.kiln", "--gone"]).output().unwrap();
    assert!(text(&gone()).contains("unchanged"), "the store has it: {}", text(&gone()));
    let elsewhere = || {
        let mut kiln = lab.kiln();
        kiln.env("KILN_STORE", lab.directory.join("empty")).args(["lock", "tiny.kiln", "--gone"]);
        kiln.output().unwrap()
    };
    lab.server.redirect(&path, "/attic/payload.deb");
    lab.server.put("/attic/payload.deb", bytes.clone());
    lab.server.throttle(&path, 2);
    let output = elsewhere();
    assert!(text(&output).contains("unchanged") && text(&output).contains("waiting 0 s"), "{}", text(&output));
    // Another file in its place is not that file.
    lab.server.put("/attic/payload.deb", [bytes.as_slice(), b"more"].concat());
    let output = elsewhere();
    assert!(text(&output).contains("payload 1.0 -> 2.0"), "{}", text(&output));
    assert!(text(&output).contains(&format!("has {} bytes, expected {}", bytes.len() + 4, bytes.len())));
}

#[test]
fn a_file_that_nobody_can_be_asked_for_is_not_taken_to_be_gone() {
    let lab = lab("gone-unknown");
    let before = std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap();
    lab.server.fault("_amd64.deb", Fault::Broken);
    let output = lab.kiln().args(["lock", "tiny.kiln", "--gone"]).output().unwrap();
    refused(&output, 4, &["cannot fetch", "http status: 500", "KILN_MIRROR"]);
    assert_eq!(std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap(), before);
}

#[test]
fn a_test_relocks_as_a_build_does() {
    let lab = lab("gone-test");
    let beside = lab.directory.join("result/tiny.lock");
    let test = |words: &[&str]| lab.kiln().args(["test", "tiny.kiln"]).args(words).output().unwrap();
    assert!(!text(&test(&[])).contains("payload 1.0 -> 2.0") && !beside.exists(), "nobody asked for it");
    // Without a real dpkg in it the image cannot be configured, so nothing boots; its lock is there all the same.
    let said = text(&test(&["--relock-gone"]));
    assert!(said.contains("tiny: payload 1.0 -> 2.0") && said.contains("tiny.lock is unchanged"), "{said}");
    assert!(!said.contains("cannot fetch"), "{said}");
    assert_eq!(version(&lock(&beside), "payload"), "2.0");
}

#[test]
fn a_build_relocks_beside_its_result_and_leaves_the_lock_alone() {
    let lab = lab("gone-build");
    let committed = std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap();
    let beside = lab.directory.join("result/tiny.lock");
    let build = |words: &[&str]| lab.kiln().args(["build", "tiny.kiln"]).args(words).output().unwrap();
    build(&[]);
    assert!(!beside.exists(), "nobody asked for it");
    // Without a real dpkg in it the image cannot be configured; its lock is there all the same.
    let output = build(&["--relock-gone"]);
    let said = text(&output);
    for words in [
        "no server has some files of",
        "tiny: payload 1.0 -> 2.0",
        "its lock is result/tiny.lock",
        "tiny.lock is unchanged",
    ] {
        assert!(said.contains(words), "it does not say `{words}`:\n{said}");
    }
    assert!(!said.contains("cannot fetch"), "{said}");
    assert_eq!(std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap(), committed);
    assert_eq!((version(&lock(&beside), "payload").as_str(), version(&lock(&beside), "kmod").as_str()), ("2.0", "34"));

    // The next build takes the same lock, whatever the archive has by then.
    let asked = lab.server.log().len();
    let output = build(&["--relock-gone"]);
    assert!(text(&output).contains("tiny: payload 1.0 -> 2.0"), "{}", text(&output));
    let log = lab.server.log();
    assert!(!log[asked..].iter().any(|line| line.contains("InRelease")), "{:?}", &log[asked..]);

    // One that lacks pins of the lock is made anew.
    let other = lock(&lab.directory.join("tiny.lock"));
    let kmod = other.sets.values().flatten().find(|package| package.name == "kmod").unwrap().file.sha256;
    let text_of = std::fs::read_to_string(&beside).unwrap();
    let changed: String = text_of
        .lines()
        .filter(|line| !line.starts_with("checksum"))
        .fold(String::new(), |all, line| all + &line.replace(&kmod.hex(), &"0".repeat(64)) + "\n");
    std::fs::write(&beside, changed).unwrap();
    build(&["--relock-gone"]);
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), text_of);
}
