//! The store under bad luck and bad neighbours.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kiln::base::Digest;
use kiln::plan::reapi::Tree;
use kiln::store::gc::{GcReport, Policy, RecheckReport};
use kiln::store::{Output, Presence, Store, StoreError};
use prost::Message;

pub(super) fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kiln-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn remove(path: &Path) {
    kiln::world::fs::remove_tree(path).unwrap();
}

/// Changes a byte of a read-only file.
pub(super) fn tamper(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[0] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

/// Whoever looks for damage learns what is damaged, by the words and by the exit code.
#[test]
fn what_is_damaged_is_named() {
    let root = scratch("store-named");
    let store = Store::open(&root).unwrap();
    let (known, other) = (store.put(b"kernel").unwrap(), store.put(b"other").unwrap());
    let output = Output::File { digest: known, size: 6, executable: false };
    store.put_result(&Digest::of(b"action"), &[("vmlinuz".to_owned(), output)].into()).unwrap();
    drop(store);
    let kiln = |words: &[&str]| {
        let mut kiln = std::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
        let output = kiln.env("KILN_STORE", &root).args(words).output().unwrap();
        (output.status.code(), super::failure_support::text(&output))
    };
    let verify: &[&str] = &["store", "verify"];
    for words in [verify, &["gc", "--check"]] {
        assert_eq!(kiln(words).0, Some(0), "{words:?}");
        for digest in [known, other] {
            tamper(&root.join(format!("cas/{digest}")));
        }
        let (code, said) = kiln(words);
        assert_eq!(code, Some(3), "{words:?}: {said}");
        for line in [format!("file {known}: output `vmlinuz`"), format!("file {other}: no output of a known result")] {
            assert!(said.contains(&line), "{line}: {said}");
        }
        let store = Store::open(&root).unwrap();
        assert_eq!((store.put(b"kernel").unwrap(), store.put(b"other").unwrap()), (known, other));
    }
    remove(&root);
}

#[test]
fn what_goes_in_comes_out_and_nothing_else_goes_in() {
    let root = scratch("store-blob");
    let store = Store::open(&root).unwrap();
    let digest = store.put(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert_eq!(store.read(&digest, 5).unwrap(), b"hello");
    let metadata = store.path(&digest).unwrap().metadata().unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o444, 1));

    let mut writer = store.writer().unwrap();
    writer.write_all(b"hellO").unwrap();
    drop(writer);
    assert!(!store.has(&Digest::of(b"hellO")));
    assert!(matches!(store.path(&Digest::of(b"none")), Err(StoreError::Missing(_))));

    let file = root.join("file");
    std::fs::write(&file, "x").unwrap();
    let error = store.import_expecting(&file, &Digest::of(b"y"), 1).unwrap_err();
    assert!(matches!(error, StoreError::Wrong { found_size: 1, .. }) && file.exists(), "{error}");
    let output = Output::File { digest: Digest::of(b"x"), size: 1, executable: false };
    assert_eq!(store.import(&file).unwrap(), output);
    assert!(!file.exists());
    drop(store);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 1, "only the door");
    remove(&root);
}

#[test]
fn a_changed_byte_is_found_set_aside_and_healed() {
    let root = scratch("store-tamper");
    let store = Store::open(&root).unwrap();
    let digest = store.put(b"precious").unwrap();
    let path = store.path(&digest).unwrap();
    tamper(&path);
    let Presence::SetAside(aside) = store.check(&digest).unwrap() else { panic!("not noticed") };
    assert!(aside.starts_with(root.join("quarantine")) && !path.exists());
    assert_eq!(store.put(b"precious").unwrap(), digest);
    assert!(store.has(&digest));
    // A process that starts later believes the stamps of the first, and not of another state of the file.
    drop(store);
    tamper(&path);
    let store = Store::open(&root).unwrap();
    assert!(matches!(store.path(&digest), Err(StoreError::Damaged { .. })));
    store.put(b"precious").unwrap();
    assert_eq!(store.recheck().unwrap(), RecheckReport { checked: 1, ..RecheckReport::default() });
    drop(store);
    remove(&root);
}

fn make_tree(at: &Path) {
    std::fs::create_dir_all(at.join("usr/bin")).unwrap();
    std::fs::create_dir_all(at.join("empty")).unwrap();
    std::fs::write(at.join("usr/bin/tool"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(at.join("usr/bin/tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::write(at.join("usr/data"), "data").unwrap();
    std::os::unix::fs::symlink("usr/bin", at.join("bin")).unwrap();
}

#[test]
fn trees_are_named_by_content_and_checked() {
    let root = scratch("store-tree");
    let store = Store::open(&root).unwrap();
    let (one, two) = (store.scratch("one").unwrap(), store.scratch("two").unwrap());
    make_tree(&one);
    make_tree(&two);
    std::fs::set_permissions(two.join("usr/data"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = store.import_tree(&one).unwrap();
    assert_eq!(store.import_tree(&two).unwrap(), output, "owners, modes and times are no part of a tree");
    let Output::Tree { root: digest, messages, .. } = &output else { panic!("{output:?}") };
    let tree = store.tree(digest).unwrap();
    assert_eq!(tree.join("usr/bin/tool").metadata().unwrap().mode() & 0o7777, 0o555);
    assert_eq!(tree.join("bin").symlink_metadata().unwrap().mtime(), 1);
    assert_eq!(std::fs::read_to_string(tree.join("bin/tool")).unwrap(), "#!/bin/sh\n");
    let message = Tree::decode(store.read(messages, 1 << 20).unwrap().as_slice()).unwrap();
    assert_eq!(
        message.root.unwrap().directories.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["empty", "usr"]
    );
    assert_eq!(message.children.len(), 3);

    tamper(&tree.join("usr/data"));
    assert!(matches!(store.tree(digest), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.tree(digest), Err(StoreError::Missing(_))));
    let again = store.scratch("again").unwrap();
    make_tree(&again);
    assert_eq!(store.import_tree(&again).unwrap(), output);
    store.tree(digest).unwrap();

    let odd = store.scratch("odd").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(odd.join("socket")).unwrap();
    let error = store.import_tree(&odd).unwrap_err().to_string();
    assert!(error.contains("socket") && error.contains("not a file"), "{error}");
    drop(store);
    remove(&root);
}

#[test]
fn work_is_done_by_one_and_garbage_is_not_collected_under_others() {
    let root = scratch("store-lock");
    let store = Store::open(&root).unwrap();
    let key = Digest::of(b"work");
    let held = store.lock(&key, &|| false).unwrap();
    let other = Store::open(&root).unwrap();
    assert!(matches!(other.lock(&key, &|| true), Err(StoreError::Interrupted)));
    drop(held);
    drop(other.lock(&key, &|| true).unwrap());
    let policy = Policy { since: i64::MAX, most: None, dry_run: false };
    assert!(matches!(store.collect(&policy), Err(StoreError::Busy)));
    drop((store, other));
    remove(&root);
}

#[test]
fn garbage_is_what_no_recent_result_names() {
    let root = scratch("store-gc");
    let store = Store::open(&root).unwrap();
    let (kept, action) = (store.put(b"kept").unwrap(), Digest::of(b"action"));
    let stray = store.put(b"stray").unwrap();
    let output = Output::File { digest: kept, size: 4, executable: false };
    store.put_result(&action, &[("out".to_owned(), output)].into()).unwrap();
    let now = root.join("ac").join(action.hex()).metadata().unwrap().mtime();
    // Everything is younger than this, so everything stays.
    assert_eq!(
        store.collect(&Policy { since: now - 60, most: None, dry_run: false }).unwrap(),
        GcReport { kept: 2, ..GcReport::default() }
    );
    // The result was used in the future, so to say; the stray blob came before that.
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now as u64 + 1000);
    std::fs::File::open(root.join("ac").join(action.hex())).unwrap().set_modified(time).unwrap();
    let policy = Policy { since: now + 500, most: None, dry_run: true };
    let report = store.collect(&policy).unwrap();
    assert_eq!((report.removed, report.bytes, report.kept), (1, 5, 1));
    assert!(store.has(&stray), "a dry run removes nothing");
    store.collect(&Policy { dry_run: false, ..policy }).unwrap();
    assert!(store.has(&kept) && !store.has(&stray));
    drop(store);
    remove(&root);
}

#[test]
fn a_store_that_cannot_be_used_says_so_and_what_to_do() {
    let root = scratch("store-bad");
    std::fs::write(root.join("file"), "").unwrap();
    let error = Store::open(&root.join("file")).unwrap_err().to_string();
    assert!(error.contains("cannot write to the store") && error.contains("KILN_STORE"), "{error}");
    let error = Store::open(Path::new("/proc/kiln")).unwrap_err().to_string();
    assert!(error.contains("/proc/kiln"), "{error}");
    remove(&root);
}
