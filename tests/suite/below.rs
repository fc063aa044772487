//! Stores below one's own: read and never written, checked before they are believed, and done without when they change.

mod commands;
mod foreign;
mod hostile;
mod status;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kiln::base::Digest;
use kiln::exec::event::StepListener;
use kiln::exec::executor::{Executor, ExecutorError, LocalExecutor, Request};
use kiln::exec::{ExecOptions, sandbox};
use kiln::store::gc::Policy;
use kiln::store::{Below, BelowTrust, Output, Owner, Store};

use super::live::Scratch;
use super::schedule::{Bench, inline, out};

/// A store over others, as a user has them.
fn over(own: &Path, below: &[&Path]) -> Store {
    let owner = sandbox::builder().map(|id| Owner { uid: id, gid: id });
    let below = below.iter().map(|path| Below::open(path, BelowTrust::Own).unwrap());
    Store::open_for(own, owner).unwrap().over(below.collect()).unwrap()
}

/// A tree with one file.
fn tree(store: &Store, content: &str) -> Output {
    let place = store.scratch("tree").unwrap();
    std::fs::create_dir(place.join("d")).unwrap();
    std::fs::write(place.join("d/file"), content).unwrap();
    store.import_tree(&place).unwrap()
}

fn file(content: &[u8]) -> Output {
    Output::File { digest: Digest::of(content), size: content.len() as u64, executable: false }
}

/// Everything about every entry below a directory that writing or touching would change.
fn everything(root: &Path) -> BTreeMap<PathBuf, [i128; 7]> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let data = path.symlink_metadata().unwrap();
        if data.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let of = [
            data.ino().into(),
            data.mode().into(),
            data.uid().into(),
            data.size().into(),
            data.mtime().into(),
            data.ctime().into(),
            data.ctime_nsec().into(),
        ];
        found.insert(path, of);
    }
    found
}

#[test]
fn what_one_store_lacks_is_read_below_and_nothing_is_written_there() {
    let scratch = Scratch::apart("below-reads");
    let [one, two, own] = ["one", "two", "own"].map(|name| scratch.path(name));
    let action = Digest::of(b"action");
    let (blob, deep, root) = {
        let (one, two) = (Store::open(&one).unwrap(), Store::open(&two).unwrap());
        one.put_result(&action, &[("out".to_owned(), file(b"blob"))].into()).unwrap();
        one.note(&action, b"a note").unwrap();
        one.share().unwrap();
        let Output::Tree { root, .. } = tree(&two, "in a tree") else { panic!("it is a tree") };
        two.share().unwrap();
        (one.put(b"blob").unwrap(), two.put(b"further below").unwrap(), root)
    };
    let before = [everything(&one), everything(&two)];
    let store = over(&own, &[&one, &two]);
    assert_eq!(store.read(&blob, 100).unwrap(), b"blob");
    assert_eq!(store.read(&deep, 100).unwrap(), b"further below");
    assert!(store.path(&deep).unwrap().starts_with(&two));
    let mut bytes = String::new();
    let (mut found, _) = store.stored_tree(&root).unwrap().open("d/file").unwrap();
    std::io::Read::read_to_string(&mut found, &mut bytes).unwrap();
    assert_eq!(bytes, "in a tree");
    assert!(!store.holds(&blob) && store.has(&blob) && !store.has(&Digest::of(b"nowhere")));

    // What vouches for something is this store's own, and a result is asked for as somebody else's.
    assert!(store.get_result(&action).is_none() && store.peek_result(&action).is_none());
    assert!(store.recall(&action).is_none());
    let found = store.result_below(&action).unwrap();
    assert_eq!((found.store.path(), &found.outputs["out"]), (one.as_path(), &file(b"blob")));

    // Writing, forgetting, cleaning and checking are for this store alone.
    store.put(b"blob").unwrap();
    assert!(store.holds(&blob));
    store.forget_result(&action).unwrap();
    assert_eq!(store.recheck().unwrap().damaged, 0);
    store.collect(&Policy { since: i64::MAX - 1, most: None, dry_run: false }).unwrap();
    assert!(!store.holds(&blob) && store.has(&blob));
    assert_eq!(store.below().map(|below| below.recheck().unwrap().checked).sum::<u64>(), 4);
    drop(store);
    assert_eq!([everything(&one), everything(&two)], before);
}

#[test]
fn a_shared_store_shows_results_but_none_of_private_files() {
    let scratch = Scratch::apart("below-share");
    let root = scratch.path("store");
    let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
    let result = |name: &str| root.join("ac").join(Digest::of(name.as_bytes()).hex());
    let store = Store::open(&root).unwrap();
    let keep = |name: &str, content: &[u8]| {
        store.put_result(&Digest::of(name.as_bytes()), &[("out".to_owned(), file(content))].into()).unwrap();
    };
    store.put(b"public").unwrap();
    store.put_private(b"private").unwrap();
    keep("public", b"public");
    keep("private", b"private");
    keep("lost", b"lost");
    assert_eq!(mode(&root.join("ac")), 0o700);
    std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    store.share().unwrap();
    keep("later", b"private");
    drop(store);
    drop(Store::open(&root).unwrap());
    assert_eq!((mode(&root), mode(&root.join("ac"))), (0o755, 0o755), "the next kiln leaves it open");
    let modes = ["public", "private", "lost", "later"].map(|name| mode(&result(name)));
    assert_eq!(modes, [0o644, 0o600, 0o600, 0o600]);
    for part in ["tmp", "lock", "note", "log", "part", "quarantine", "root", "index", "incremental"] {
        assert_eq!(mode(&root.join(part)), 0o700, "{part}");
    }
    Store::open(&root).unwrap().unshare().unwrap();
    drop(Store::open(&root).unwrap());
    assert_eq!(mode(&root.join("ac")), 0o700);
}

#[test]
fn readers_do_not_wait_for_each_other_and_the_owner_waits_for_nobody() {
    let scratch = Scratch::apart("below-together");
    let [team, one, two] = ["team", "one", "two"].map(|name| scratch.path(name));
    let owner = Store::open(&team).unwrap();
    let Output::Tree { root, .. } = tree(&owner, "in a tree") else { panic!("it is a tree") };
    let readers = [&one, &two].map(|own| over(own, &[&team]));
    readers.iter().for_each(|reader| drop(reader.tree(&root).unwrap()));
    assert!(!readers[0].was_disturbed_anywhere());
    let report = owner.collect(&Policy { since: i64::MAX - 1, most: None, dry_run: false }).unwrap();
    assert!(report.removed >= 2, "no reader keeps anything there: {report:?}");
    // Whoever has used it sees that it went; whoever has not, that it is not there.
    assert!(readers[0].was_disturbed_anywhere() && readers[0].below().next().is_none());
    assert!(readers[1].tree(&root).is_err() && readers[1].below().next().is_some());
    readers[1].put(b"made here").unwrap();
}

/// Does something to a store below just before the first step runs.
struct Vandal<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Executor for Vandal<F> {
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
        if let Some(harm) = self.0.lock().unwrap().take() {
            harm();
        }
        LocalExecutor.execute(request, listener)
    }
}

/// Two steps, where what the first left is below alone and is harmed while the second reads it.
fn harmed(name: &str, harm: impl FnOnce(&Path) + Send) {
    let Some(mut bench) = Bench::new(&format!("below-{name}")) else { return };
    let one = bench.step("one", "cat /kiln/in/x >out", &[("x", inline("right"))]);
    let two = bench.step("two", "cat /kiln/in/y >out", &[("y", out(one))]);
    bench.deliver(two);
    let first = bench.realize();
    let scratch = Scratch::apart(&format!("below-{name}"));
    let below = scratch.path("below");
    Store::open(&below).unwrap().put(b"right").unwrap();
    let (left, last) = (bench.store.path(&Digest::of(b"right")).unwrap(), first.actions["kernel-build two"]);
    std::fs::remove_file(left).unwrap();
    bench.store.forget_result(&last).unwrap();
    let root = bench.store.root().to_owned();
    bench.reopen(|owner| {
        Store::open_for(&root, owner).unwrap().over(vec![Below::open(&below, BelowTrust::Own).unwrap()]).unwrap()
    });
    let blob = below.join("cas").join(Digest::of(b"right").hex());
    let vandal = Vandal(Mutex::new(Some(move || harm(&blob))));
    bench.heard.events();
    let realized = bench.realize_by(&vandal, &bench.store, ExecOptions::default()).unwrap();
    assert_eq!(realized, first);
    assert_eq!(bench.content(&realized, two), "right");
    assert_eq!(bench.heard.ran(), ["one", "two", "two"], "the input was made here, and the step run again");
    assert!(bench.store.below().next().is_none(), "that store is left alone");
}

#[test]
fn what_goes_below_while_a_step_reads_it_is_made_again() {
    harmed("goes", |blob| std::fs::remove_file(blob).unwrap());
}

#[test]
fn what_changes_below_while_a_step_reads_it_decides_nothing() {
    harmed("changes", |blob| {
        std::fs::remove_file(blob).unwrap();
        std::fs::write(blob, "wrong").unwrap();
    });
}
