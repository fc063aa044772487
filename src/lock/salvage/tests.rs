//! Locks with a value that cannot be read: what is kept of them, and what is said.

use super::*;
use crate::lock::tests::example;
use crate::lock::{Remedy, SourcePlace, read, settle, write};

/// A second package and a file of an archive, so that something is left beside what is lost.
fn lock() -> Lock {
    let mut lock = example();
    let place = SourcePlace::Archive { archive: ArchiveRef::current("trixie"), path: "pool/x".to_owned() };
    let mut other = lock.sources["linux"].clone();
    other.files.values_mut().for_each(|file| file.place = place.clone());
    lock.sources.insert("other".to_owned(), other);
    lock
}

/// One change to a good lock, the note about it, and what is taken from the lock by it.
type Case = (&'static str, &'static str, &'static str, fn(&mut Lock));

const CASES: [Case; 16] = [
    ("epoch = \"2026", "epoch = 1 # \"", "epoch: invalid type: integer `1`", |_| {}),
    ("seed = \"", "seed = 0x1 # \"", "seed: ", |lock| lock.seed = default_seed("a")),
    ("output = 1", "output = \"1\"", "output: ", built_by_others),
    ("output = 1", "output = 9", "", built_by_others),
    ("[steps]\n\"root image\" = \"", "[steps]\n\"root image\" = 7 # \"", "steps: ", |lock| {
        lock.steps.clear();
        built_by_others(lock);
    }),
    ("qemu = \"", "qemu = 7 # \"", "machines: ", |lock| lock.machines.clear()),
    ("local = [\"mine\"]", "local = [1]", "local: ", |lock| lock.local.clear()),
    ("version = \"1:2.3-4~deb13u1\"", "version = 5.2", "sets.image `bash`: ", without_bash),
    ("pool/main/bash.deb", "pool/../bash.deb", "sets.image `bash`: ", without_bash),
    ("why = \"requested\"", "why = \"because\"", "sets.image `bash`: ", without_bash),
    ("archive = \"trixie\"", "archive = \"sid\"", "sets.image `bash`: ", without_bash),
    ("configure = [\n", "configure = [\n  7,\n", "sets.image.configure: ", reopened),
    ("{ packages = 1,", "{ packages = \"one\",", "sets.image.layers: ", reopened),
    ("https://mirror.example/l", "/etc/passwd", "sources.linux `linux.tar.xz`: ", |lock| {
        lock.sources.remove("linux");
    }),
    ("\"root\" = 0", "\"root\" = \"0\"", "images.image.users `root`: ", |lock| {
        lock.images.get_mut("image").unwrap().users.clear();
    }),
    ("[recipe]", "flavour = 1\n[recipe]", "flavour: no lock has this", |_| {}),
];

fn built_by_others(lock: &mut Lock) {
    lock.kernels.clear();
    lock.outputs.clear();
}

fn without_bash(lock: &mut Lock) {
    lock.sets.get_mut("image").unwrap().retain(|package| package.name != "bash");
    reopened(lock);
}

fn reopened(lock: &mut Lock) {
    lock.layers.clear();
    crate::lock::merge::reopen(lock.sets.get_mut("image").unwrap());
}

#[test]
fn a_value_that_cannot_be_read_costs_no_other_pin() {
    for (from, to, note, take) in CASES {
        let good = write(&lock());
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        read(&text).unwrap_err();
        let (salvaged, lost) = salvage(&text).unwrap_or_else(|error| panic!("{to}: {error}"));
        let mut expected = lock();
        take(&mut expected);
        if to.contains("configure") {
            // The order is gone with the list.
            expected.sets.get_mut("image").unwrap().sort_by(|a, b| a.name.cmp(&b.name));
        }
        assert_eq!(salvaged, expected, "{to}");
        let number = good.lines().zip(text.lines()).position(|(good, bad)| good != bad).unwrap() + 1;
        match lost.as_slice() {
            [] => assert!(note.is_empty(), "{to}"),
            [lost] => {
                assert!(lost.to_string().contains(note), "{to}: {lost}");
                assert!((number..number + 2).contains(&lost.line), "{to}: {lost}, changed in line {number}");
            }
            more => panic!("{to}: {more:?}"),
        }
    }
}

#[test]
fn a_value_of_another_type_is_told_with_its_line_and_a_way_out() {
    let text = write(&example()).replacen("epoch = \"", "epoch = 1 # \"", 1);
    let error = with_remedy(&text, read(&text).unwrap_err());
    assert!(matches!(error, ReadError::Syntax { line: 4, remedy: Remedy::Lock, .. }), "{error}");
    assert!(error.to_string().contains("help: run `kiln lock`, which keeps every pin that can be read"), "{error}");
}

#[test]
fn nothing_is_guessed_of_a_text_that_does_not_say_which_archives_it_means() {
    let good = write(&example());
    for (from, to) in [
        ("snapshot = \"", "snapshot = 1 # \""),
        ("snapshot = \"2", "snapshot = \"x"),
        ("version = 1", "version = \"1\""),
        ("[recipe]", "[recipe"),
    ] {
        let text = good.replacen(from, to, 1);
        let error = with_remedy(&text, read(&text).unwrap_err());
        let refused = salvage(&text).unwrap_err();
        if let ReadError::Syntax { line, remedy, .. } = refused {
            let changed = good.lines().zip(text.lines()).position(|(good, bad)| good != bad).unwrap() + 1;
            assert_eq!((line, remedy), (changed, Remedy::Restore), "{to}: {error}");
            assert!(error.to_string().contains("restore the line"), "{error}");
        } else {
            assert!(matches!(refused, ReadError::Fact { .. }), "{refused}");
        }
    }
    assert!(matches!(salvage(&good.replacen("version = 1", "version = 2", 1)), Err(ReadError::Format(2))));
}

/// One digest has one size; which of two lines is right, no line says.
#[test]
fn two_sizes_of_a_digest_are_both_lost() {
    let text = write(&example()).replacen("size = 42, sha256", "size = 43, sha256", 2);
    let (lock, lost) = salvage(&text).unwrap();
    assert_eq!((lock.sets["image"].len(), lost.len()), (0, 2), "{lost:?}");
}

/// As git merges two lists and leaves a third alone: the same as a merge with sides.
#[test]
fn packages_that_are_not_configured_are_pins_all_the_same() {
    let text = write(&example()).replacen("  \"bash:amd64\",\n", "", 1);
    let (lock, lost) = salvage(&text).unwrap();
    assert_eq!((lock.sets, lost), (settle(&text).unwrap().0.sets, Vec::new()));
}

proptest::proptest! {
    /// Whatever a line is replaced with, what is salvaged has nothing that the lock did not have.
    #[test]
    fn no_line_adds_a_package(at: proptest::sample::Index, noise in "[ -~]{0,60}") {
        let text = write(&example());
        let mut lines: Vec<&str> = text.lines().collect();
        let at = at.index(lines.len());
        lines[at] = &noise;
        if let Ok((lock, _)) = salvage(&lines.join("\n")) {
            assert!(lock.sets.values().flatten().all(|package| ["bash", "zlib1g"].contains(&&*package.name)));
        }
    }
}
