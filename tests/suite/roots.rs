//! Named roots: what they keep stays, whatever was used when, until their names are removed.

use std::path::Path;

use kiln::base::Digest;
use kiln::store::gc::Policy;
use kiln::store::{Output, RootName, Store, StoreError, StoreRoot};

use super::attack::ground::{Ground, Image, succeeded};
use super::failure_support::{refused, text};
use super::live::Scratch;
use super::skip::skip;

/// Everything that no root keeps goes.
const ALL: Policy = Policy { since: i64::MAX - 1, most: None, dry_run: false };

fn name(text: &str) -> RootName {
    RootName::parse(text).unwrap()
}

#[test]
fn what_a_root_names_stays_until_its_name_is_removed() {
    let scratch = Scratch::new("roots-store");
    let store = Store::open(&scratch.path("store")).unwrap();
    let (kept, file, stray) = (store.put(b"kept").unwrap(), store.put(b"file").unwrap(), store.put(b"stray").unwrap());
    let (action, other) = (Digest::of(b"action"), Digest::of(b"other"));
    for (action, digest) in [(action, kept), (other, stray)] {
        let output = Output::File { digest, size: 4, executable: false };
        store.put_result(&action, &[("out".to_owned(), output)].into()).unwrap();
    }
    let manifest = Digest::of(b"manifest");
    let root = StoreRoot { recipe: "r".to_owned(), manifest, actions: [action].into(), files: [file].into() };
    store.put_root(&name("one"), &root).unwrap();
    store.put_root(&name("two"), &root).unwrap();
    assert_eq!(store.kept_by(&root).unwrap().0, 3, "a result and two blobs");
    store.collect(&ALL).unwrap();
    assert!(store.has(&kept) && store.has(&file) && !store.has(&stray));
    assert!(store.peek_result(&action).is_some() && store.peek_result(&other).is_none());
    // A size that cannot be reached takes nothing from a root either.
    let fitting = Policy { since: 0, most: Some(1), dry_run: false };
    store.collect(&fitting).unwrap();
    assert!(store.has(&kept) && store.has(&file));
    assert!(store.remove_root(&name("one")).unwrap() && !store.remove_root(&name("one")).unwrap());
    store.collect(&ALL).unwrap();
    assert!(store.has(&kept), "another name keeps it");
    store.remove_root(&name("two")).unwrap();
    store.collect(&ALL).unwrap();
    assert!(!store.has(&kept) && !store.has(&file));
}

#[test]
fn a_root_that_cannot_be_read_stops_garbage_collection() {
    let scratch = Scratch::new("roots-damaged");
    let store = Store::open(&scratch.path("store")).unwrap();
    let kept = store.put(b"kept").unwrap();
    for text in ["", "{}", "{\"recipe\":1}"] {
        std::fs::write(scratch.path("store").join("root/odd"), text).unwrap();
        assert!(matches!(store.collect(&ALL), Err(StoreError::Root(name)) if name == "odd"), "{text}");
        assert!(store.has(&kept));
    }
    // What a killed process was writing is no root.
    std::fs::remove_file(scratch.path("store").join("root/odd")).unwrap();
    std::fs::write(scratch.path("store").join("root/.kiln-x.tmp"), "").unwrap();
    store.collect(&ALL).unwrap();
}

fn kiln(directory: &Path, words: &[&str]) -> std::process::Output {
    let mut kiln = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
    kiln.args(words).current_dir(directory).env("HOME", directory).env("KILN_STORE", directory.join("store"));
    kiln.output().unwrap()
}

#[test]
fn names_that_are_none_and_builds_of_others_are_refused() {
    let scratch = Scratch::new("roots-names");
    let here = scratch.path("");
    for name in ["../x", ".x", "a/b", "a\nb", ""] {
        refused(&kiln(&here, &["root", "add", name, "build"]), 2, &["is not a name of a root"]);
        refused(&kiln(&here, &["root", "remove", name]), 2, &["is not a name of a root"]);
    }
    refused(&kiln(&here, &["root", "remove", "none"]), 2, &["there is no store at"]);
    std::fs::create_dir_all(here.join("store/cas")).unwrap();
    refused(&kiln(&here, &["root", "remove", "none"]), 2, &["no root is called `none`"]);
    super::directory::deliver(&scratch.path("result"));
    refused(&kiln(&here, &["root", "add", "mine", "result"]), 2, &["was not built with this store"]);
    assert_eq!(text(&kiln(&here, &["root", "list"])), "");
}

#[test]
fn a_build_is_kept_under_its_name_however_long_nobody_uses_it() {
    let ground = Ground::new(&Ground::place("roots"), Vec::new());
    if let Some(why) = ground.why_not() {
        return skip(why);
    }
    ground.recipe("small", &Image::default());
    let kiln = |words: &[&str]| {
        let mut kiln = ground.kiln();
        kiln.args(words);
        succeeded(kiln)
    };
    kiln(&["lock", "small.kiln"]);
    kiln(&["build", "small.kiln", "--root", "release-1"]);
    kiln(&["root", "add", "again", "result/small"]);
    let listed = kiln(&["root", "list"]);
    assert!(listed.contains("release-1  small") && listed.contains("again  small"), "{listed}");
    // Without a network, and without the directory: everything comes out of the store.
    std::fs::remove_dir_all(ground.path("result")).unwrap();
    kiln(&["root", "remove", "again"]);
    // A limit that cannot be kept is said.
    let said = kiln(&["gc", "--keep-days", "0", "--max-size", "1KiB"]);
    assert!(said.contains("warning: the store still takes ") && said.contains("`kiln root list` lists them"), "{said}");
    kiln(&["build", "small.kiln", "--offline"]);
    assert!(kiln(&["root", "list"]).contains("release-1"));
    kiln(&["root", "remove", "release-1"]);
    assert!(!kiln(&["root", "list"]).contains("small"));
}
