//! A store on a file system that can share blocks: equal files of two trees take their space once.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::store::gc::Policy;
use kiln::store::{Output, Store};

use super::live::{Scratch, live, succeed};
use super::skip::skip;

/// A file system in a file, mounted as long as the value lives.
struct Mounted {
    _scratch: Scratch,
    at: PathBuf,
}

impl Mounted {
    fn new() -> Option<Mounted> {
        let scratch = Scratch::new("alike");
        let (image, at) = (scratch.path("image"), scratch.path("mounted"));
        std::fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        std::fs::create_dir(&at).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = done(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image));
        let mounted = made && done(Command::new("mount").args(["-o", "loop"]).args([&image, &at]));
        mounted.then_some(Mounted { _scratch: scratch, at })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).output();
    }
}

/// Bytes that no other value has.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(next).collect()
}

fn tree(store: &Store, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let directory = store.scratch("tree").unwrap().join("new");
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let Output::Tree { root, .. } = store.import_tree(&directory).unwrap() else { panic!("a tree") };
    store.tree(&root).unwrap()
}

/// What e2fsprogs says of a file, whose blocks it asks the kernel for.
fn is_shared(path: &Path) -> bool {
    let said = succeed(Command::new("filefrag").args(["-s", "-v"]).arg(path));
    String::from_utf8_lossy(&said.stdout).contains("shared")
}

#[test]
fn equal_files_of_trees_share_their_blocks_where_the_file_system_can() {
    if !live("equal files of two trees on a file system that can share blocks") {
        return;
    }
    let Some(mounted) = Mounted::new() else {
        return skip("no file system that shares blocks: mkfs.xfs, root and a loop device are needed");
    };
    let store = Store::open(&mounted.at.join("store")).unwrap();
    let (library, other, small) = (bytes(1, 3 << 20), bytes(2, 1 << 20), bytes(3, 1 << 10));
    let one = tree(&store, &[("lib/equal", library.clone()), ("lib/small", small.clone()), ("bin/one", other)]);
    let two = tree(&store, &[("usr/same", library.clone()), ("small", small), ("bin/two", bytes(4, 1 << 20))]);
    assert!(is_shared(&one.join("lib/equal")) && is_shared(&two.join("usr/same")));
    assert!(!is_shared(&one.join("bin/one")) && !is_shared(&two.join("small")), "what differs, and what is small");

    // A damaged file spreads to no tree that comes later.
    let damaged = two.join("bin/two");
    std::fs::write(&damaged, bytes(5, 1 << 20)).unwrap();
    let three = tree(&store, &[("bin/three", bytes(4, 1 << 20))]);
    assert_eq!(std::fs::read(three.join("bin/three")).unwrap(), bytes(4, 1 << 20));
    assert!(!is_shared(&three.join("bin/three")));

    // Each is a file of its own: what is removed takes nothing away, and leaves no link that leads nowhere.
    drop(store);
    let store = Store::open(&mounted.at.join("store")).unwrap();
    kiln::world::fs::remove_tree(&one).unwrap();
    store.collect(&Policy { since: 0, most: None, dry_run: false }).unwrap();
    assert_eq!(std::fs::read(two.join("usr/same")).unwrap(), library);
    let pool = mounted.at.join("store/alike");
    assert!(std::fs::read_dir(&pool).unwrap().all(|link| link.unwrap().path().metadata().is_ok()));
    assert!(std::fs::read_dir(&pool).unwrap().count() > 0, "those of the others are still there");
}
