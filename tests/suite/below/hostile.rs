//! Stores below that lie: nothing of them is used, and whatever they hold costs a warning.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kiln::base::Digest;
use kiln::store::{Below, BelowProblem, BelowTrust, Output, Presence, Store};

use super::super::live::Scratch;
use super::super::skip::skip;
use super::{file, over, tree};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Writes with the mode and time that kiln gives.
fn plain(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    kiln::world::fs::protect(path, 0o444, Some(std::time::Duration::from_secs(1))).unwrap();
}

#[test]
fn only_whole_plain_files_with_the_right_bytes_are_blobs() {
    let scratch = Scratch::apart("below-blobs");
    let (below, digest) = (scratch.path("below"), Digest::of(b"bytes"));
    Store::open(&below).unwrap().share().unwrap();
    let blob = below.join("cas").join(digest.hex());
    plain(&scratch.path("elsewhere"), b"bytes");
    let has = |name: &str| over(&scratch.path(name), &[&below]).has(&digest);
    let refused: [(&str, &dyn Fn()); 8] = [
        ("other", &|| plain(&blob, b"BYTES")),
        ("cut", &|| plain(&blob, b"byte")),
        ("longer", &|| plain(&blob, b"bytes and more")),
        ("link", &|| std::os::unix::fs::symlink(scratch.path("elsewhere"), &blob).unwrap()),
        ("device", &|| std::os::unix::fs::symlink("/dev/zero", &blob).unwrap()),
        ("pipe", &|| pipe(&blob)),
        ("directory", &|| std::fs::create_dir(&blob).unwrap()),
        ("mode", &|| {
            plain(&blob, b"bytes");
            set_mode(&blob, 0o4755);
        }),
    ];
    for (name, make) in refused {
        make();
        assert!(!has(name), "{name}");
        kiln::world::fs::remove_tree(&blob).unwrap();
    }
    // A hole that would take an hour to read.
    let sparse = std::fs::File::create(&blob).unwrap();
    sparse.set_len(1 << 42).unwrap();
    kiln::world::fs::protect(&blob, 0o444, Some(std::time::Duration::from_secs(1))).unwrap();
    assert!(!has("sparse"));
    std::fs::remove_file(&blob).unwrap();
    plain(&blob, b"bytes");
    assert!(has("plain"), "the same file as kiln makes it");
    // A size that is known is compared before anything is read, and what a reader takes at most says nothing about the blob.
    let sized = |name: &str, size| over(&scratch.path(name), &[&below]).has_sized(&digest, size);
    assert!(sized("five", 5) && !sized("four", 4));
    let stated = Output::File { digest, size: 4, executable: false };
    assert_eq!(over(&scratch.path("stated"), &[&below]).output(&stated).unwrap(), Presence::Missing);
    let store = over(&scratch.path("limit"), &[&below]);
    assert!(store.read(&digest, 4).is_err());
    assert_eq!(store.read(&digest, 5).unwrap(), b"bytes");
}

#[test]
fn a_tree_counts_with_exactly_its_files() {
    let scratch = Scratch::apart("below-trees");
    let below = scratch.path("below");
    let Output::Tree { root, .. } = tree(&Store::open(&below).unwrap(), "content") else { panic!("it is a tree") };
    let top = below.join("tree").join(root.hex());
    let has = |name: &str| over(&scratch.path(name), &[&below]).tree(&root).is_ok();
    assert!(has("as it was"));
    let file = top.join("d/file");
    set_mode(&file, 0o4755);
    assert!(!has("set-user-id"));
    set_mode(&file, 0o444);
    assert!(has("good again"));
    set_mode(&top.join("d"), 0o755);
    std::fs::write(top.join("d/more"), "x").unwrap();
    assert!(!has("one more"));
    std::fs::remove_file(top.join("d/more")).unwrap();
    std::fs::remove_file(&file).unwrap();
    pipe(&file);
    assert!(!has("pipe"));
    std::fs::remove_file(&file).unwrap();
    // A hole that would take an hour to read, in a tree that is as it must be otherwise.
    std::fs::File::create(&file).unwrap().set_len(1 << 42).unwrap();
    for (path, mode) in [(&file, 0o444), (&top.join("d"), 0o555)] {
        kiln::world::fs::protect(path, mode, Some(std::time::Duration::from_secs(1))).unwrap();
    }
    assert!(!has("sparse"));
    set_mode(&top.join("d"), 0o755);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(!has("link"));
    kiln::world::fs::remove_tree(&top).unwrap();
    std::os::unix::fs::symlink("/etc", &top).unwrap();
    assert!(!has("link to a tree"));
}

#[test]
fn a_result_counts_whole_under_its_own_name_with_right_sizes() {
    let scratch = Scratch::apart("below-results");
    let (below, action) = (scratch.path("below"), Digest::of(b"action"));
    let store = Store::open(&below).unwrap();
    store.put(b"bytes").unwrap();
    let result = below.join("ac").join(action.hex());
    let made = |output: Output| {
        store.put_result(&action, &[("out".to_owned(), output)].into()).unwrap();
        std::fs::read(&result).unwrap()
    };
    let lie = made(Output::File { digest: Digest::of(b"bytes"), size: 4, executable: false });
    let (Output::Tree { root, root_size, messages, messages_size }, good) = (tree(&store, "x"), made(file(b"bytes")))
    else {
        panic!("it is a tree")
    };
    let odd = made(Output::Tree { root, root_size: root_size + 1, messages, messages_size });
    let whole = made(Output::Tree { root, root_size, messages, messages_size });
    let has = |name: &str| over(&scratch.path(name), &[&below]).result_below(&action).is_some();
    for (name, bytes) in [("good", &good), ("tree", &whole)] {
        std::fs::write(&result, bytes).unwrap();
        assert!(has(name), "{name}");
    }
    std::fs::write(&result, &good).unwrap();
    set_mode(&result, 0o664);
    assert!(!has("written by a group"));
    set_mode(&result, 0o644);
    // The names in a store say nothing about the results of another one.
    let third = scratch.path("third");
    drop(Store::open(&third).unwrap());
    plain(&third.join("cas").join(Digest::of(b"bytes").hex()), b"other bytes");
    assert!(over(&scratch.path("over both"), &[&third, &below]).result_below(&action).is_some());
    let cut = &good[..good.len() - 1];
    for (name, bytes) in [("lie", lie.as_slice()), ("odd", &odd), ("cut", cut), ("empty", b"")] {
        std::fs::write(&result, bytes).unwrap();
        assert!(!has(name), "{name}");
    }
    let other = below.join("ac").join(Digest::of(b"other").hex());
    std::fs::write(&other, &good).unwrap();
    assert!(over(&scratch.path("other"), &[&below]).result_below(&Digest::of(b"other")).is_none());
    std::fs::remove_file(&result).unwrap();
    std::os::unix::fs::symlink(&other, &result).unwrap();
    assert!(!has("link"));
    std::fs::remove_file(&result).unwrap();
    pipe(&result);
    assert!(!has("pipe"));
}

#[test]
fn a_store_that_others_may_write_or_nobody_calls_trusted_is_refused() {
    let scratch = Scratch::apart("below-owner");
    let below = scratch.path("below");
    let open = |trust| Below::open(&below, trust);
    assert!(matches!(open(BelowTrust::Own), Err(BelowProblem::Missing)));
    std::fs::create_dir(&below).unwrap();
    assert!(matches!(open(BelowTrust::Own), Err(BelowProblem::Other("cas"))));
    Store::open(&below).unwrap().share().unwrap();
    assert!(open(BelowTrust::Own).is_ok());
    for part in ["", "cas", "tree", "ac"] {
        set_mode(&below.join(part), 0o777);
        assert!(matches!(open(BelowTrust::Owner), Err(BelowProblem::Open(_))), "{part}");
        set_mode(&below.join(part), 0o755);
    }
    std::fs::rename(below.join("ac"), below.join("results")).unwrap();
    std::os::unix::fs::symlink("results", below.join("ac")).unwrap();
    assert!(matches!(open(BelowTrust::Own), Err(BelowProblem::Other("ac"))));
    std::fs::remove_file(below.join("ac")).unwrap();
    std::fs::rename(below.join("results"), below.join("ac")).unwrap();
    // Whoever may write a directory above it can put another store into its place.
    let above = scratch.path("");
    for (mode, is_safe) in [(0o777, false), (0o775, false), (0o1777, true), (0o755, true)] {
        set_mode(&above, mode);
        assert_eq!(open(BelowTrust::Own).is_ok(), is_safe, "{mode:o}");
    }
    let own = Store::open(&below).unwrap();
    assert!(own.over(vec![open(BelowTrust::Own).unwrap()]).is_err(), "a store is not below itself");
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give a store to somebody else");
    }
    for part in ["", "cas", "tree", "ac"] {
        std::os::unix::fs::chown(below.join(part), Some(65_534), None).unwrap();
    }
    assert!(matches!(open(BelowTrust::Own), Err(BelowProblem::Foreign(65_534))));
    assert!(open(BelowTrust::Owner).is_ok());
    std::os::unix::fs::chown(below.join("ac"), Some(0), None).unwrap();
    assert!(matches!(open(BelowTrust::Owner), Err(BelowProblem::Open(_))));
}
