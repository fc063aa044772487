//! Who may read, lock and own what of a store, whatever the umask was.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use kiln::base::Digest;
use kiln::store::{Output, Owner, Store};

use super::skip::skip;
use super::store::scratch;

/// A user who has nothing here.
const NOBODY: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn gc(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("gc").env("KILN_STORE", store);
    command
}

/// Runs kiln on a store with this umask.
fn under(umask: &str, store: &Path) {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" store unshare")).arg(env!("CARGO_BIN_EXE_kiln"));
    let output = shell.env("KILN_STORE", store).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn as_it_should_be(store: &Path) {
    for part in ["cas", "tree"] {
        assert_eq!(mode(&store.join(part)), 0o755, "{part}");
    }
    assert_eq!(mode(store) & 0o722, 0o700, "a umask may close the way to it, and opens nothing");
    for part in ["ac", "tmp", "part", "lock", "note", "log", "quarantine", "incremental", "index"] {
        assert_eq!(mode(&store.join(part)), 0o700, "{part}");
    }
    assert_eq!((mode(&store.join("lock/store")), mode(&store.join("tmp/door"))), (0o600, 0o600));
}

#[test]
fn a_check_of_the_whole_store_sets_damaged_files_aside() {
    let root = scratch("check");
    let store = Store::open(&root).unwrap();
    let (good, bad) = (store.put(b"good").unwrap(), store.put(b"bad").unwrap());
    let path = store.path(&bad).unwrap();
    drop(store);
    let check = || {
        let output = gc(&root).arg("--check").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check().starts_with("checked 2 files and trees; 0 damaged, set aside\n"));
    super::store::tamper(&path);
    let damaged = gc(&root).arg("--check").output().unwrap();
    let said = String::from_utf8(damaged.stderr).unwrap();
    assert_eq!(damaged.status.code(), Some(3), "{said}");
    assert!(
        said.starts_with("error: checked 2 files and trees; 1 damaged, set aside\n") && said.contains(&bad.hex()),
        "{said}"
    );
    let store = Store::open(&root).unwrap();
    assert!(store.has(&good) && !store.has(&bad));
    // What was removed is told in JSON all the same, and damage fails.
    let path = store.path(&good).unwrap();
    drop(store);
    super::store::tamper(&path);
    let damaged = gc(&root).args(["--check", "--json"]).output().unwrap();
    assert_eq!(damaged.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    assert!(report["removed"].is_u64() && !path.exists(), "{report}");
    assert_eq!(gc(&root).args(["--check", "--dry-run"]).output().unwrap().status.code(), Some(2));
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn modes_are_the_stores_own_under_every_umask() {
    let root = scratch("modes");
    for umask in ["000", "077", "022"] {
        let store = root.join(umask).join("store");
        under(umask, &store);
        as_it_should_be(&store);
        assert_eq!(mode(&root.join(umask)) & 0o022, 0, "directories above it are nobody else's either");
        // Facts that anybody could write would be believed.
        Store::open(&store).unwrap().put(b"x").unwrap();
        set_mode(&store.join("stamps"), 0o666);
        under(umask, &store);
        assert_eq!(mode(&store.join("stamps")), 0o600);
    }
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn an_older_store_is_closed_when_it_is_opened() {
    let root = scratch("modes-older");
    let digest = Store::open(&root).unwrap().put(b"older").unwrap();
    for part in ["", "cas", "tree", "ac", "tmp", "lock", "log", "incremental"] {
        set_mode(&root.join(part), 0o777);
    }
    set_mode(&root.join("lock/store"), 0o666);
    let store = Store::open(&root).unwrap();
    for part in ["ac", "tmp", "lock", "log", "incremental"] {
        assert_eq!(mode(&root.join(part)), 0o700, "{part}");
    }
    assert_eq!((mode(&root), mode(&root.join("cas")), mode(&root.join("tree"))), (0o755, 0o755, 0o755));
    assert_eq!(store.read(&digest, 10).unwrap(), b"older");
    drop(store);
    // What its owner closed further stays so.
    set_mode(&root.join("cas"), 0o700);
    set_mode(&root, 0o700);
    drop(Store::open(&root).unwrap());
    assert_eq!((mode(&root), mode(&root.join("cas"))), (0o700, 0o700));
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn temporary_directories_have_names_that_nobody_can_guess_and_are_closed() {
    let root = scratch("modes-session");
    let (one, two) = (Store::open(&root).unwrap(), Store::open(&root).unwrap());
    let places = [&one, &two].map(|store| store.scratch("x").unwrap().parent().unwrap().to_owned());
    assert_ne!(places[0], places[1]);
    for place in &places {
        let name = place.file_name().unwrap().to_str().unwrap();
        let random = name.split_once('-').unwrap().1;
        assert!(random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        assert_eq!(mode(place), 0o700);
    }
    drop((one, two));
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 1, "only the door");
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn another_user_reads_what_is_public_and_can_neither_lock_nor_read_the_rest() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be another user");
    }
    let root = scratch("modes-other");
    let store = Store::open(&root).unwrap();
    let (public, private) = (store.put(b"public").unwrap(), store.put_private(b"private").unwrap());
    let reads = |path: &Path| {
        let mut cat = Command::new("cat");
        cat.arg(path).uid(NOBODY).gid(NOBODY).stdout(Stdio::null()).stderr(Stdio::null());
        cat.status().unwrap().success()
    };
    let blob = |digest: &Digest| root.join("cas").join(digest.hex());
    assert!(reads(&blob(&public)), "blobs are shared where the way to the store is open");
    assert!(!reads(&blob(&private)));
    for closed in ["lock/store", "tmp/door", "stamps"] {
        // Whoever cannot open a file cannot lock it either.
        assert!(root.join(closed).exists() && !reads(&root.join(closed)), "{closed}");
    }
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn a_store_that_is_held_is_waited_for_aloud_and_not_for_ever() {
    let root = scratch("modes-held");
    drop(Store::open(&root).unwrap());
    let lock = std::fs::File::open(root.join("lock/store")).unwrap();
    lock.lock().unwrap();
    let mut waiting = gc(&root).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("waiting for another kiln") && said.contains("lock/store"), "{said}");
    let pid = rustix::process::Pid::from_child(&waiting);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!waiting.wait().unwrap().success());
    let mut waiting = gc(&root).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    lock.unlock().unwrap();
    assert!(waiting.wait().unwrap().success());
    kiln::world::fs::remove_tree(&root).unwrap();
}

#[test]
fn root_gives_objects_to_whom_they_belong_inside() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give files away");
    }
    const BUILDER: u32 = 0x7000_0000;
    let root = scratch("modes-owner");
    let tree = |store: &Store, content: &str| {
        let scratch = store.scratch("tree").unwrap();
        std::fs::create_dir(scratch.join("d")).unwrap();
        std::fs::write(scratch.join("d/file"), content).unwrap();
        std::os::unix::fs::symlink("nowhere", scratch.join("link")).unwrap();
        let Output::Tree { root: digest, .. } = store.import_tree(&scratch).unwrap() else { panic!() };
        store.tree(&digest).unwrap()
    };
    let (old_blob, old_tree) = {
        let store = Store::open(&root).unwrap();
        (store.path(&store.put(b"old").unwrap()).unwrap(), tree(&store, "old"))
    };
    let owner = Some(Owner { uid: BUILDER, gid: BUILDER });
    let store = Store::open_for(&root, owner).unwrap();
    let new_blob = store.path(&store.put(b"new").unwrap()).unwrap();
    let new_tree = tree(&store, "new");
    let owned = |path: &Path| {
        let data = path.symlink_metadata().unwrap();
        assert_eq!((data.uid(), data.gid()), (BUILDER, BUILDER), "{}", path.display());
    };
    for path in [&old_blob, &new_blob] {
        owned(path);
    }
    for tree in [&old_tree, &new_tree] {
        for path in ["", "d", "d/file", "link"] {
            owned(&tree.join(path));
        }
    }
    assert_eq!(store.recheck().unwrap().damaged, 0);
    // The store itself and what is closed stay root's.
    for path in ["", "cas", "tree", "lock/store", "tmp"] {
        assert_eq!(root.join(path).metadata().unwrap().uid(), 0, "{path}");
    }
    // Only once: a file that is given back stays so.
    drop(store);
    std::os::unix::fs::chown(&old_blob, Some(0), Some(0)).unwrap();
    drop(Store::open_for(&root, owner).unwrap());
    assert_eq!(old_blob.metadata().unwrap().uid(), 0);
    kiln::world::fs::remove_tree(&root).unwrap();
}

/// `unshare -r kiln`: to root of a user namespace, the objects of root's store belong to somebody else.
#[test]
fn root_of_a_user_namespace_leaves_closed_and_damaged_objects_of_root_as_they_are() {
    if !rustix::process::geteuid().is_root() || kiln::exec::sandbox::builder().is_none() {
        return skip("only root makes objects of others");
    }
    let inside = |root: &Path, words: &[&str]| {
        let mut kiln = Command::new("unshare");
        kiln.args(["-r", env!("CARGO_BIN_EXE_kiln")]).args(words).env("KILN_STORE", root);
        kiln.output()
    };
    match Command::new("unshare").args(["-r", "true"]).output() {
        Ok(output) if output.status.success() => {}
        _ => return skip("unshare -r"),
    }
    let root = scratch("modes-inside");
    let owner = kiln::exec::sandbox::builder().map(|id| Owner { uid: id, gid: id });
    let store = Store::open_for(&root, owner).unwrap();
    let blobs = [store.put(b"public").unwrap(), store.put_private(b"private").unwrap()];
    let made = store.scratch("tree").unwrap();
    std::fs::write(made.join("file"), "content").unwrap();
    let Output::Tree { root: digest, .. } = store.import_tree(&made).unwrap() else { panic!() };
    let tree = store.tree(&digest).unwrap();
    drop(store);
    let said = |output: std::process::Output| {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    let untouched = || {
        assert_eq!(std::fs::read_dir(root.join("quarantine")).unwrap().count(), 0);
        assert!(tree.join("file").exists() && blobs.iter().all(|blob| root.join("cas").join(blob.hex()).exists()));
    };
    let (code, text) = said(inside(&root, &["store", "verify"]).unwrap());
    // Without the private one; the listing of the tree is a blob, too.
    assert!(code == Some(0) && text.contains("checked 3 files and trees; 0 damaged"), "{text}");
    untouched();
    // A tree that is closed, and one that is damaged: neither can be moved from inside.
    for change in [
        |tree: &Path| set_mode(tree, 0o500),
        |tree: &Path| {
            set_mode(tree, 0o555);
            std::fs::write(tree.join("file"), "another").unwrap();
        },
    ] {
        change(&tree);
        let (code, text) = said(inside(&root, &["store", "verify"]).unwrap());
        assert_eq!(code, Some(4), "{text}");
        let way_out = format!("KILN_STORE_BELOW=trusted={}", root.display());
        assert!(text.contains("belongs to another user or user namespace") && text.contains(&way_out), "{text}");
        untouched();
    }
    // Outside, everything is in order but what is damaged.
    let store = Store::open_for(&root, owner).unwrap();
    assert!(blobs.iter().all(|blob| store.holds(blob)));
    assert_eq!(store.recheck().unwrap().damaged, 1);
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
}

/// What root of a user namespace makes belongs to root outside, where programs of sandboxes cannot read it if it is private.
#[test]
fn root_takes_over_what_root_of_a_user_namespace_made() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give files away");
    }
    const BUILDER: u32 = 0x7000_0000;
    let (root, owner) = (scratch("modes-taken-over"), Some(Owner { uid: BUILDER, gid: BUILDER }));
    drop(Store::open_for(&root, owner).unwrap());
    let (blob, digest) = {
        let inside = Store::open(&root).unwrap();
        let blob = inside.put_private(b"private").unwrap();
        let made = inside.scratch("tree").unwrap();
        std::fs::write(made.join("file"), "content").unwrap();
        let Output::Tree { root: digest, .. } = inside.import_tree(&made).unwrap() else { panic!() };
        set_mode(&inside.tree(&digest).unwrap(), 0o500);
        (blob, digest)
    };
    let store = Store::open_for(&root, owner).unwrap();
    let (blob, tree) = (store.path(&blob).unwrap(), store.tree(&digest).unwrap());
    for path in [blob, tree.join("file"), tree] {
        assert_eq!(path.metadata().unwrap().uid(), BUILDER, "{}", path.display());
    }
    assert_eq!(store.recheck().unwrap().damaged, 0);
    drop(store);
    kiln::world::fs::remove_tree(&root).unwrap();
}

/// Root in somebody else's store would do what its owner wrote there, and shut the owner out.
#[test]
fn root_uses_no_store_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be led into the store of another");
    }
    let root = std::env::temp_dir().join(format!("kiln-foreign-store-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let victim = root.with_extension("victim");
    std::fs::write(&victim, "x").unwrap();
    let before = victim.metadata().unwrap().mode();
    std::os::unix::fs::symlink(&victim, root.join("stamps")).unwrap();
    std::os::unix::fs::lchown(&root, Some(4711), Some(4711)).unwrap();
    let error = Store::open(&root).unwrap_err().to_string();
    assert!(error.contains("belongs to user 4711"), "{error}");
    std::os::unix::fs::lchown(&root, Some(0), Some(0)).unwrap();
    assert!(Store::open(&root).is_err(), "a link in the place of a file of the store");
    assert_eq!((victim.metadata().unwrap().mode(), std::fs::read(&victim).unwrap()), (before, b"x".to_vec()));
    kiln::world::fs::remove_tree(&root).unwrap();
    std::fs::remove_file(victim).unwrap();
}
