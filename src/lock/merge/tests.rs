//! Merged locks as git leaves them.

use super::*;
use crate::base::{Digest, Timestamp};
use crate::debian::archive::ArchiveRef;
use crate::lock::tests::example;
use crate::lock::{read, write};

/// What git writes where two texts differ, a conflict for each run of lines.
fn conflicted(ours: &str, theirs: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    let mut text = String::new();
    for (a, b) in a.iter().zip(&b) {
        match a == b {
            true => text.push_str(&format!("{a}\n")),
            false => text.push_str(&format!("<<<<<<< HEAD\n{a}\n||||||| base\nold\n=======\n{b}\n>>>>>>> other\n")),
        }
    }
    text
}

fn pair() -> (Lock, Lock) {
    let (ours, mut theirs) = (example(), example());
    let archive = theirs.archives.get_mut(&ArchiveRef::current("trixie")).unwrap();
    archive.date = Timestamp(archive.date.0 + 60);
    archive.snapshot = Timestamp(archive.snapshot.0 + 60);
    archive.inrelease = Digest::of(b"newer");
    theirs.epoch = archive.date;
    let package = theirs.sets.get_mut("image").unwrap().iter_mut().find(|package| package.name == "bash").unwrap();
    package.version = "5.3".to_owned();
    (ours, theirs)
}

#[test]
fn conflict_markers_are_named_and_settled() {
    let (ours, theirs) = pair();
    let text = conflicted(&write(&ours), &write(&theirs));
    let Err(ReadError::Conflict { line, conflicts }) = read(&text) else { panic!("{text}") };
    assert!(text.lines().nth(line - 1).unwrap().starts_with("<<<<<<<") && conflicts > 3, "{line} {conflicts}");
    let (merged, settled) = settle(&text).unwrap();
    assert_eq!((settled.agreed, settled.one_sided, settled.contested.len()), (2, 0, 1), "{settled:?}");
    assert_eq!(settled.contested[0].to_string(), "image: bash: 1:2.3-4~deb13u1 on one side, 5.3 on the other");
    let kept: Vec<&str> = merged.sets["image"].iter().map(|package| package.name.as_str()).collect();
    assert_eq!(kept, ["zlib1g"]);
    // The newer state of an archive is the current one, and what only the older one has comes from there.
    let current = ArchiveRef::current("trixie");
    assert_eq!(merged.archives[&current], theirs.archives[&current]);
    let earlier = ArchiveRef::earlier("trixie", ours.archives[&current].snapshot);
    assert_eq!(merged.archives[&earlier], ours.archives[&current]);
    assert_eq!(merged.sets["image"][0].archive, current);
}

#[test]
fn the_side_of_a_merge_does_not_matter() {
    let (ours, theirs) = pair();
    let (ours, theirs) = (write(&ours), write(&theirs));
    let (one, other) = (settle(&conflicted(&ours, &theirs)).unwrap(), settle(&conflicted(&theirs, &ours)).unwrap());
    assert_eq!((one.0.archives, one.0.sets), (other.0.archives, other.0.sets));
}

#[test]
fn lines_of_both_sides_are_named_and_settled() {
    let (ours, theirs) = pair();
    let text: String = conflicted(&write(&ours), &write(&theirs))
        .lines()
        .filter(|line| !["<<<<<<<", "=======", ">>>>>>>", "|||||||", "old"].iter().any(|mark| line.starts_with(mark)))
        .map(|line| format!("{line}\n"))
        .collect();
    let Err(ReadError::Doubled { line, key }) = read(&text) else { panic!("{text}") };
    assert_eq!((text.lines().nth(line - 1).unwrap().split(' ').next(), &*key), (Some("epoch"), "epoch"));
    let (merged, settled) = settle(&text).unwrap();
    assert_eq!(settled.contested.len(), 1, "{settled:?}");
    assert_eq!(merged.sets["image"].len(), 1);
}

/// A list that git merged and another one that it did not.
#[test]
fn packages_that_are_not_configured_are_pins_all_the_same() {
    let text = write(&example()).replacen("  \"bash:amd64\",\n", "", 1);
    assert!(matches!(read(&text), Err(ReadError::Fact { .. })));
    let (merged, settled) = settle(&text).unwrap();
    assert_eq!((merged.sets["image"].len(), settled.contested.len()), (2, 0));
    assert!(merged.sets["image"].iter().all(|package| package.why.requests(&package.name).is_empty()), "solved again");
}

#[test]
fn tables_of_users_are_joined_where_they_do_not_contradict() {
    let (mut ours, mut theirs) = (example(), example());
    let table = |lock: &mut Lock, users: &[(&str, u32)]| {
        let image = lock.images.get_mut("image").unwrap();
        image.open = false;
        image.users = users.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
    };
    table(&mut ours, &[("root", 0), ("a", 100), ("b", 101), ("d", 105)]);
    table(&mut theirs, &[("root", 0), ("a", 102), ("c", 101), ("e", 104)]);
    let (merged, _) = agree::agreed(ours, theirs);
    let users: Vec<(&str, u32)> = merged.images["image"].users.iter().map(|(name, id)| (&**name, *id)).collect();
    assert_eq!(users, [("b", 101), ("d", 105), ("e", 104), ("root", 0)]);
    assert!(merged.images["image"].open);
}

#[test]
fn what_is_no_lock_is_not_settled() {
    for text in ["", "<<<<<<< a\n=======\n>>>>>>> b\n", "version = 1\n", "<<<<<<<", "\u{0}"] {
        assert!(settle(text).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_between_markers_is_survived(noise in "[ -~\n]{0,200}", at: proptest::sample::Index) {
        let (ours, theirs) = pair();
        let mut lines: Vec<String> = conflicted(&write(&ours), &write(&theirs)).lines().map(str::to_owned).collect();
        let at = at.index(lines.len());
        lines[at] = noise;
        let _ = settle(&lines.join("\n"));
    }
}
