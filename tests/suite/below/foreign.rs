//! Stores below whose owner is neither root nor the user: whatever their owner does, what is used is what was checked.

use std::os::unix::fs::lchown;
use std::path::Path;

use kiln::base::Digest;
use kiln::exec::sandbox;
use kiln::store::{Below, BelowTrust, Output, Owner, Store};

use super::super::live::Scratch;
use super::super::skip::skip;
use super::{file, tree};

const SOMEBODY: u32 = 65_534;

fn give(path: &Path) {
    lchown(path, Some(SOMEBODY), None).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

fn over(own: &Path, below: &Path) -> Store {
    let owner = sandbox::builder().map(|id| Owner { uid: id, gid: id });
    let below = Below::open(below, BelowTrust::Owner).unwrap();
    Store::open_for(own, owner).unwrap().over(vec![below]).unwrap()
}

#[test]
fn what_somebody_else_owns_is_used_as_a_copy_in_ones_own_store() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give a store to somebody else");
    }
    let scratch = Scratch::apart("below-foreign");
    let [below, own, other] = ["below", "own", "other"].map(|name| scratch.path(name));
    let (digest, action) = (Digest::of(b"bytes"), Digest::of(b"action"));
    let store = Store::open(&below).unwrap();
    store.put(b"bytes").unwrap();
    store.put_result(&action, &[("out".to_owned(), file(b"bytes"))].into()).unwrap();
    let Output::Tree { root, .. } = tree(&store, "in a tree") else { panic!("it is a tree") };
    store.share().unwrap();
    drop(store);
    give(&below);

    let store = over(&own, &below);
    assert!(store.path(&digest).unwrap().starts_with(&own) && store.holds(&digest));
    let copy = store.tree(&root).unwrap();
    assert!(copy.starts_with(&own));
    assert_eq!(std::fs::read_to_string(copy.join("d/file")).unwrap(), "in a tree");
    assert_eq!(store.result_below(&action).unwrap().store.path(), below);

    // What its owner does afterwards reaches no reader, and what it is then is not used by others.
    let blob = below.join("cas").join(digest.hex());
    let place = below.join("tree").join(root.hex()).join("d/file");
    for changed in [&blob, &place] {
        std::fs::write(changed, "OTHER").unwrap();
        kiln::world::fs::protect(changed, 0o444, Some(std::time::Duration::from_secs(1))).unwrap();
    }
    assert_eq!(store.read(&digest, 5).unwrap(), b"bytes");
    assert!(store.tree(&root).is_ok() && !store.was_disturbed_anywhere());
    let store = over(&other, &below);
    assert!(!store.has(&digest) && store.tree(&root).is_err());
    for part in ["cas", "tree"] {
        assert_eq!(std::fs::read_dir(other.join(part)).unwrap().count(), 0, "nothing of it stays in {part}");
    }

    // A result that a third user could put there is not the owner's word.
    lchown(below.join("ac").join(action.hex()), Some(SOMEBODY - 1), None).unwrap();
    assert!(store.result_below(&action).is_none());
}
