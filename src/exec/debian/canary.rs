//! Everything that works on a tree by names, on trees in which those names lead out: a canary outside must not notice.
//!
//! What is tried comes from the tables of the rules and the parts, and where from the names in the code itself, so that a
//! rule that is added, or a name in it, is tried without anybody thinking of it here.

#![allow(clippy::disallowed_methods, reason = "tests write files as anybody does, and without waiting for a disk")]

mod places;
mod subjects;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::rules::{self, RuleInput, Stage};
use crate::base::Timestamp;
use crate::exec::tree::tests::{Scratch, picture};
use crate::plan::root::{RULES, RootContent, RootFile};
use places::Places;

/// Stands in every file of a canary, and in none of a tree.
pub(super) const MARK: &str = "canary";

/// What is put in the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    /// An absolute link to the directory of that name outside.
    Directory,
    /// A link with as many `..` as it takes.
    Climbing,
    /// An absolute link to the file of that name outside.
    File,
    /// A named pipe, which whoever opens it would wait for.
    Pipe,
}

/// Outside: for every name a directory (`directories`) and, where nothing lies below it, a file (`files`).
struct Canary {
    at: PathBuf,
    before: Vec<String>,
}

impl Canary {
    fn new(at: PathBuf, places: &Places) -> Canary {
        for place in places.all() {
            fs::create_dir_all(at.join("directories").join(place)).unwrap();
        }
        for place in places.leaves() {
            let directory = at.join("directories").join(place);
            for name in ["ssh_host_rsa_key", "status-old", "text"] {
                fs::write(directory.join(name), places::content(&format!("{place}/{name}"), MARK)).unwrap();
            }
            fs::create_dir(directory.join("__pycache__")).unwrap();
            symlink("ssl-cert-snakeoil.pem", directory.join("link")).unwrap();
            let file = at.join("files").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, places::content(place, MARK)).unwrap();
        }
        // A name that is a directory to some is a file to others: beside the directory's own content.
        for place in places.leaves() {
            let file = at.join("whole").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, places::content(place, MARK)).unwrap();
        }
        let before = picture(&at);
        Canary { at, before }
    }

    fn target(&self, hole: Hole, place: &str) -> PathBuf {
        let up = "../".repeat(32);
        let whole = self.at.join("whole").join(place);
        let directory = if whole.is_dir() { whole } else { self.at.join("directories").join(place) };
        match hole {
            Hole::File => self.at.join("files").join(place),
            Hole::Climbing => PathBuf::from(format!("{up}{}", directory.display())),
            Hole::Directory | Hole::Pipe => directory,
        }
    }
}

/// Puts the hole in the place of whatever is there.
fn dig(inside: &Path, place: &str, (hole, target): (Hole, &Path)) {
    let at = inside.join(place);
    // A subject may have replaced a directory above it.
    if fs::create_dir_all(at.parent().unwrap()).is_err() {
        return;
    }
    match at.symlink_metadata() {
        Ok(data) if data.is_dir() => fs::remove_dir_all(&at).unwrap(),
        Ok(_) => fs::remove_file(&at).unwrap(),
        Err(_) => {}
    }
    match hole {
        Hole::Pipe => {
            rustix::fs::mkfifoat(rustix::fs::CWD, &at, rustix::fs::Mode::from_raw_mode(0o666)).unwrap();
        }
        _ => symlink(target, &at).unwrap(),
    }
}

/// Lets every subject work on a tree with one hole, and says whether one read through it.
fn attempt((places, canary): (&Places, &Canary), (place, hole): (&str, Hole)) -> Option<String> {
    let scratch = Scratch::new("hole");
    places.fill(&scratch.inside());
    let tree = scratch.tree();
    let target = canary.target(hole, place);
    let mark = format!("{MARK}:");
    let mut said = false;
    for subject in subjects::all(&scratch.outside()) {
        dig(&scratch.inside(), place, (hole, &target));
        said |= (subject.act)(&tree).is_err_and(|error| error.to_string().contains(&mark));
    }
    (said || leaked(&scratch.inside())).then(|| format!("/{place} as {hole:?}: the canary is read"))
}

/// Whether any file of the tree has what only files of the canary have.
fn leaked(inside: &Path) -> bool {
    let mark = format!("{MARK}:");
    let entries = fs::read_dir(inside).unwrap().map(|entry| entry.unwrap());
    entries.into_iter().any(|entry| {
        let kind = entry.file_type().unwrap();
        let holds = || fs::read(entry.path()).unwrap().windows(mark.len()).any(|window| window == mark.as_bytes());
        if kind.is_dir() { leaked(&entry.path()) } else { kind.is_file() && holds() }
    })
}

fn holes(places: &Places) -> Vec<(&str, Hole)> {
    let mut holes: Vec<(&str, Hole)> = places.all().map(|place| (place, Hole::Directory)).collect();
    let high = places.all().filter(|place| place.matches('/').count() < 2);
    holes.extend(high.map(|place| (place, Hole::Climbing)));
    holes.extend(places.leaves().flat_map(|place| [(place, Hole::File), (place, Hole::Pipe)]));
    holes
}

#[test]
fn nothing_that_works_on_a_tree_reaches_a_canary_outside() {
    let places = Places::of_the_code();
    let scratch = Scratch::new("canary");
    let canary = Canary::new(scratch.outside().join("canary"), &places);
    let holes = holes(&places);
    let tried = |hole: &(&str, Hole)| attempt((&places, &canary), *hole);
    let read: Vec<String> = holes.par_iter().filter_map(tried).collect();
    assert!(read.is_empty(), "holes that lead out:\n{}", read.join("\n"));
    if picture(&canary.at) != canary.before {
        // A few say enough, and each takes a canary of its own.
        let wrong: Vec<String> = holes.iter().filter_map(|hole| blame(&places, *hole)).take(5).collect();
        panic!("the canary changed; holes that do it:\n{}", wrong.join("\n"));
    }
}

/// Says whether one hole alone changes a canary.
fn blame(places: &Places, hole: (&str, Hole)) -> Option<String> {
    let scratch = Scratch::new("blame");
    let canary = Canary::new(scratch.outside().join("canary"), places);
    attempt((places, &canary), hole);
    (picture(&canary.at) != canary.before).then(|| format!("/{} as {:?}", hole.0, hole.1))
}

/// The test above would be worth nothing if subjects did nothing, or if the names of the code were not found.
#[test]
fn every_name_is_tried_and_every_subject_does_its_work() {
    let places = Places::of_the_code();
    let names: Vec<&str> = places.all().collect();
    for expected in [
        "etc",
        "etc/passwd",
        "etc/skel",
        "etc/ssh",
        "etc/ssl/certs/java/cacerts",
        "etc/systemd/network",
        "home/bob",
        "usr/lib/postgresql",
        "usr/sbin/policy-rc.d",
        "usr/share/zoneinfo/Etc/UTC",
        "var/backups",
        "var/cache/man",
        "var/lib/dpkg/info",
        "var/lib/dpkg/triggers/File",
        "var/lib/dbus/machine-id",
        "var/log",
        "var/tmp",
        "tmp",
    ] {
        assert!(names.contains(&expected), "{expected} is not among {names:?}");
    }
    let scratch = Scratch::new("work");
    for subject in subjects::all(&scratch.outside()) {
        let _ = fs::remove_dir_all(scratch.inside());
        places.fill(&scratch.inside());
        let tree = scratch.tree();
        let before = picture(&scratch.inside());
        let result = (subject.act)(&tree);
        assert!(result.is_ok() || subject.refuses, "{}: {:?}", subject.name, result.err());
        let changed = picture(&scratch.inside()) != before;
        assert_eq!(changed, subject.changes, "{} changed the tree: {changed}", subject.name);
    }
}

/// What a recipe states is no accident of a script: whatever a rule does to a name when scripts left something there, it
/// leaves what the recipe put there.
#[test]
fn no_rule_touches_what_the_recipe_names() {
    let places = Places::of_the_code();
    let scratch = Scratch::new("named");
    places.fill(&scratch.inside());
    let file = |place: &str| RootFile {
        path: format!("/{place}"),
        content: RootContent::Input("files/x".to_owned()),
        mode: 0o644,
        owner: "root".to_owned(),
        group: "root".to_owned(),
        capabilities: None,
    };
    let files: Vec<RootFile> = places.leaves().map(file).collect();
    let tree = scratch.tree();
    let before = picture(&scratch.inside());
    let apply = |stage, files: &[RootFile]| {
        let terms = RuleInput { rules: RULES, epoch: Timestamp(1_000_000), stage, files };
        rules::apply(&terms, &tree).unwrap();
    };
    let changed = || {
        let now = picture(&scratch.inside());
        before.iter().filter(|line| !now.contains(line)).cloned().collect::<Vec<_>>()
    };
    apply(Stage::Base, &files);
    apply(Stage::Root, &files);
    assert_eq!(changed(), Vec::<String>::new());
    apply(Stage::Base, &[]);
    assert!(changed().len() > 20, "rules that do nothing would pass as well");
}
