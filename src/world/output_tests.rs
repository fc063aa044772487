//! Outputs among links, files of their names, and processes that were killed or still write.

use std::os::unix::fs::symlink;

use super::*;
use crate::world::fs;

/// A working directory beside a directory of somebody else's, which nothing may reach.
struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str) -> Checkout {
        let path = std::env::temp_dir().join(format!("kiln-directory-{}-{name}", std::process::id()));
        fs::create_dir_all(&path.join("work")).unwrap();
        fs::create_dir_all(&path.join("victim")).unwrap();
        fs::write_atomically(&path.join("victim/canary"), b"mine").unwrap();
        Checkout(path)
    }

    fn work(&self) -> PathBuf {
        self.0.join("work")
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        assert_eq!(fs::names(&self.0.join("victim")).unwrap(), ["canary"], "something was put beside it");
        assert_eq!(fs::read(&self.0.join("victim/canary"), 9).unwrap(), b"mine");
        fs::remove_tree(&self.0).unwrap();
    }
}

#[test]
fn a_link_on_the_way_below_the_working_directory_is_refused() {
    let checkout = Checkout::new("way");
    let work = checkout.work();
    symlink("../victim", work.join("result")).unwrap();
    fs::create_dir_all(&work.join("out")).unwrap();
    symlink("../../victim", work.join("out/x")).unwrap();
    symlink("nowhere", work.join("dangling")).unwrap();
    for (path, link) in [
        ("result", "result"),
        ("result/x", "result"),
        ("./out/x", "out/x"),
        ("out/x/y", "out/x"),
        ("dangling", "dangling"),
    ] {
        let error = OutputDirectory::open_from(&work, Path::new(path)).unwrap_err();
        assert!(matches!(&error, WorldError::Link { path } if *path == work.join(link)), "{path}: {error}");
    }
    // A path that the user spelled out may lead through links of theirs, but end in none.
    symlink("work", checkout.0.join("home")).unwrap();
    let through = OutputDirectory::open(&checkout.0.join("home/new/deep")).unwrap();
    through.write(OsStr::new("a"), b"a", 0o600).unwrap();
    assert_eq!(fs::read(&work.join("new/deep/a"), 9).unwrap(), b"a");
    assert!(matches!(OutputDirectory::open(&work.join("result")), Err(WorldError::Link { .. })));
}

#[test]
fn a_link_in_a_files_place_is_replaced_and_another_name_keeps_its_bytes() {
    let checkout = Checkout::new("place");
    let work = checkout.work();
    symlink("../victim/canary", work.join("lock")).unwrap();
    std::fs::hard_link(checkout.0.join("victim/canary"), work.join("manifest")).unwrap();
    let directory = OutputDirectory::open_from(&work, Path::new("")).unwrap();
    for name in ["lock", "manifest"] {
        assert!(name != "lock" || directory.read(OsStr::new(name), 9).is_err(), "a link was read");
        directory.write(OsStr::new(name), b"theirs", 0o640).unwrap();
        let written = fs::metadata(&work.join(name)).unwrap();
        assert!(written.is_file() && written.len() == 6);
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&written.permissions()) & 0o777, 0o640);
    }
    drop(directory.begin().unwrap());
    assert_eq!(fs::names(&work).unwrap(), ["lock", "manifest"], "nothing temporary stays");
}

#[test]
fn a_new_name_is_taken_from_nobody() {
    let checkout = Checkout::new("taken");
    symlink("../victim/canary", checkout.work().join("link")).unwrap();
    let directory = OutputDirectory::open(&checkout.work()).unwrap();
    for (name, expected) in [("new", true), ("new", false), ("link", false)] {
        let mut new = directory.begin().unwrap();
        new.file.write_all(b"x").unwrap();
        assert_eq!(new.finish_new(OsStr::new(name), 0o600).unwrap(), expected, "{name}");
    }
    assert_eq!(fs::names(&checkout.work()).unwrap(), ["link", "new"]);
}

#[test]
fn files_that_are_written_where_they_stand_follow_no_link_either() {
    let checkout = Checkout::new("stand");
    let path = checkout.work().join("log");
    symlink("../victim/canary", &path).unwrap();
    for open in [fs::create, fs::open_lock, fs::open_append, fs::open_grow] {
        assert!(matches!(open(&path), Err(WorldError::Link { .. })));
    }
    fs::create_anew(&path).unwrap().write_all(b"log").unwrap();
    assert_eq!(fs::read(&path, 9).unwrap(), b"log");
}

#[test]
fn what_a_killed_process_left_goes_and_what_another_writes_to_stays() {
    let checkout = Checkout::new("swept");
    let directory = OutputDirectory::open(&checkout.work()).unwrap();
    let mut killed = directory.begin().unwrap();
    // As if the process had ended: nothing holds the file any more, and nothing removed it.
    killed.name = None;
    drop(killed);
    let written = directory.begin().unwrap();
    symlink(checkout.0.join("victim/canary"), checkout.work().join(random_name())).unwrap();
    fs::write_atomically(&checkout.work().join(".kiln-mine.tmp"), b"mine").unwrap();
    directory.sweep().unwrap();
    let names = fs::names(&checkout.work()).unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(written.name.as_ref().unwrap()));
}

#[test]
fn names_cannot_be_foreseen() {
    let names: std::collections::BTreeSet<OsString> = (0..100).map(|_| random_name()).collect();
    assert_eq!(names.len(), 100);
}

#[test]
fn what_is_just_being_made_is_not_swept() {
    let checkout = Checkout::new("sweeping");
    let directory = OutputDirectory::open(&checkout.work()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                directory.sweep().unwrap();
            }
        });
        let written = (0..2000).map(|_| directory.write(OsStr::new("file"), b"whole", 0o644));
        let written: Vec<_> = written.collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(written.iter().all(Result::is_ok), "{:?}", written.iter().find(|result| result.is_err()));
    });
    assert_eq!(fs::read(&checkout.work().join("file"), 10).unwrap(), b"whole");
}

#[test]
fn files_without_a_name_go_with_the_process() {
    let checkout = Checkout::new("unfinished");
    let directory = OutputDirectory::given(&checkout.work()).unwrap();
    let (done, dropped, unfinished) = (directory.begin(), directory.begin(), directory.begin());
    done.unwrap().finish(OsStr::new("done"), 0o644).unwrap();
    drop(dropped);
    let unfinished = unfinished.unwrap();
    unfinished::remove_in(&directory.fd);
    assert_eq!(fs::names(&checkout.work()).unwrap(), ["done"]);
    let error = unfinished.finish(OsStr::new("late"), 0o644).unwrap_err();
    assert!(error.to_string().contains("late"), "{error}");
}
