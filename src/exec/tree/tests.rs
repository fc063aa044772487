//! Trees whose links lead everywhere: what is done through them stays inside.

#![allow(clippy::disallowed_methods, reason = "tests write files as anybody does, and without waiting for a disk")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Cursor, Go, HostPath, Tree, TreeError};
use crate::world::{RealWorld, World};

/// A directory of its own, with a tree and a place outside of it; removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // In memory, where there is some: thousands of small trees come and go.
        let memory = PathBuf::from("/dev/shm");
        let parent = if rustix::fs::access(&memory, rustix::fs::Access::WRITE_OK).is_ok() {
            memory
        } else {
            std::env::temp_dir()
        };
        let at = parent.join(format!("kiln-tree-{}-{number}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&at);
        fs::create_dir_all(at.join("outside")).unwrap();
        Scratch(at)
    }

    pub(crate) fn tree(&self) -> Tree {
        HostPath::new(self.inside()).open().unwrap()
    }

    /// Where the tree is.
    pub(crate) fn inside(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// What nothing may touch.
    pub(crate) fn outside(&self) -> PathBuf {
        self.0.join("outside")
    }
}

/// Runs the work of a test in a process of its own that the kernel ends after this much processor time, whatever else the
/// machine does: what looks at every account for every account takes hours.
pub(crate) fn within_cpu_seconds(seconds: u32, test: &str, work: impl FnOnce()) {
    const CHILD: &str = "KILN_TEST_BOUNDED";
    if RealWorld::default().env(CHILD).is_some() {
        return work();
    }
    let limited = format!("ulimit -t {seconds}; exec \"$@\"");
    let mut child = std::process::Command::new("sh");
    child.args(["-c", &limited, "sh"]).arg(std::env::current_exe().unwrap()).args(["--exact", test]).env(CHILD, "1");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything about everything below a directory that a change would show in.
pub(crate) fn picture(at: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left = vec![at.to_owned()];
    while let Some(path) = left.pop() {
        let data = path.symlink_metadata().unwrap();
        let content = if data.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if data.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if data.is_file() {
            format!("{:?}", fs::read(&path).unwrap())
        } else {
            String::new()
        };
        let times = (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
        let name = path.strip_prefix(at).unwrap().display();
        lines.push(format!(
            "{name} {:o} {} {} {} {times:?} {content}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink()
        ));
    }
    lines.sort();
    lines
}

/// A tree with the directory `d` and the file `f`, and a directory outside with the file `f`.
fn prepared(name: &str) -> (Scratch, Tree) {
    let scratch = Scratch::new(name);
    let tree = scratch.tree();
    tree.directory("d/below").unwrap();
    tree.put("d/f", b"inside", 0o640).unwrap();
    fs::write(scratch.outside().join("f"), "outside").unwrap();
    fs::create_dir(scratch.outside().join("below")).unwrap();
    (scratch, tree)
}

/// Every operation by a path.
fn everything(tree: &Tree, at: &str) {
    let inside = |name: &str| format!("{at}/{name}");
    let _ = tree.put(at, b"put", 0o600);
    let _ = tree.put(inside("f"), b"put", 0o600);
    let _ = tree.put(inside("new"), b"put", 0o600);
    let _ = tree.edit(inside("f"), |text| format!("{text} edited"));
    let _ = tree.edit(at, |text| format!("{text} edited"));
    let _ = tree.permit(inside("f"), 0o777);
    let _ = tree.permit(at, 0o777);
    let _ = tree.link(inside("link"), "/etc");
    let _ = tree.directory(inside("below/new"));
    let _ = tree.own(inside("f"), (1, 1));
    let _ = tree.own(at, (1, 1));
    for path in [at.to_owned(), inside("f"), inside("below")] {
        let Ok(place) = tree.at(&path) else { continue };
        let _ = place.set_time(1);
        let _ = place.permit(0o777);
        let _ = place.own(Some(1), Some(1));
        let _ = place.create();
        let _ = place.make_link("x");
        let _ = place.make_pipe();
        let _ = place.make_directory();
        let _ = tree.at("d/f").unwrap().make_name_of(&place);
        let _ = place.make_name_of(&tree.at("d/f").unwrap());
        let _ = place.beside("more").rename(&place);
    }
    let mut cursor = Cursor::new(tree);
    let _ = cursor.at(inside("x")).map(|place| place.create());
    let _ = cursor.at(inside("y")).map(|place| place.make_directory());
    let _ = tree.visit(at, &mut |place, _| {
        let _ = place.set_time(1);
        let _ = place.remove();
        Ok::<Go, TreeError>(Go::Down)
    });
    let _ = tree.remove(inside("f"));
    let _ = tree.empty(at);
    let _ = tree.set_times(1);
    let _ = tree.remove(at);
}

#[test]
fn no_operation_leads_out() {
    let outside = prepared("leads").0.outside();
    let links = |outside: &Path| {
        let up = "../".repeat(40);
        let absolute = outside.display().to_string();
        [absolute.clone(), format!("{absolute}/f"), format!("{up}{absolute}"), format!("/proc/self/root{absolute}")]
    };
    for (index, _) in links(&outside).iter().enumerate() {
        let (scratch, tree) = prepared("leads");
        let target = &links(&scratch.outside())[index];
        symlink(target, scratch.inside().join("hole")).unwrap();
        symlink("hole", scratch.inside().join("second")).unwrap();
        let before = picture(&scratch.outside());
        for at in ["hole", "second", "/hole", "../hole", "d/../../hole", "./second/below/.."] {
            assert!(tree.text(format!("{at}/f")).ok().flatten().is_none(), "{at} -> {target}");
            everything(&tree, at);
            tree.directory("d/below").unwrap();
            tree.put("d/f", b"inside", 0o640).unwrap();
            tree.link("hole", target).unwrap();
            tree.link("second", "hole").unwrap();
        }
        assert_eq!(picture(&scratch.outside()), before, "{target}");
    }
}

#[test]
fn links_lead_where_the_system_of_the_tree_sees_them_lead() {
    let (_scratch, tree) = prepared("within");
    for (name, target) in [("absolute", "/d"), ("relative", "d"), ("high", "../../d"), ("twice", "/absolute")] {
        tree.link(name, target).unwrap();
        assert_eq!(tree.text(format!("{name}/f")).unwrap().as_deref(), Some("inside"), "{name}");
        assert!(tree.has(format!("{name}/below")).unwrap());
        assert_eq!(tree.list(name).unwrap().len(), 2);
        tree.directory(format!("{name}/below/{name}")).unwrap();
        tree.put(format!("{name}/below/{name}/x"), b"", 0o600).unwrap();
        assert!(tree.stat(format!("d/below/{name}/x")).unwrap().unwrap().file());
        assert!(tree.stat(name).unwrap().unwrap().link());
    }
    tree.empty("twice").unwrap();
    assert!(tree.list("d").unwrap().is_empty() && tree.has("absolute").unwrap());
    tree.remove("twice").unwrap();
    assert!(tree.has("absolute").unwrap());
}

#[test]
fn links_that_lead_nowhere_and_in_circles_are_nothing() {
    let (_scratch, tree) = prepared("nowhere");
    tree.link("circle", "circle").unwrap();
    tree.link("nowhere", "/none/at/all").unwrap();
    for name in ["circle", "nowhere", "none", "d/f/x"] {
        assert!(!tree.has(name).unwrap(), "{name}");
    }
    assert!(
        tree.directory("nowhere").unwrap_err().to_string().contains("cannot create directory /nowhere in the tree")
    );
    assert!(tree.put("..", b"", 0o600).unwrap_err().to_string().contains("ends with `..`"));
    let error = tree.text("circle").unwrap_err().to_string();
    assert_eq!(error, "cannot read /circle in the tree: it is not a regular file");
}

/// A pipe that nobody writes to would hold the build for ever, and a device has no end.
#[test]
fn only_regular_files_are_read() {
    let (scratch, tree) = prepared("kinds");
    tree.at("pipe").unwrap().make_pipe().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scratch.inside().join("socket")).unwrap();
    tree.link("link", "d/f").unwrap();
    for name in ["pipe", "socket", "link", "d"] {
        let error = tree.text(name).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read /{name} in the tree: ")), "{error}");
        assert!(tree.edit(name, |_| "x".to_owned()).is_err());
        assert!(tree.at(name).unwrap().change().is_err() && tree.at(name).unwrap().read().is_err());
        let below = format!("{name}/x");
        assert!(name == "d" || tree.put(below, b"", 0o600).is_err());
        assert!(name == "d" || tree.list(name).unwrap().is_empty());
    }
    for name in ["pipe", "socket", "link", "d"] {
        tree.remove(name).unwrap();
        assert!(tree.stat(name).unwrap().is_none());
    }
}

#[test]
fn modes_and_times_are_what_was_asked_for() {
    let (scratch, tree) = prepared("modes");
    tree.put("d/f", b"new", 0o4751).unwrap();
    let mode = |name: &str| scratch.inside().join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("d/f"), mode("d"), mode("d/below")), (0o4751, 0o755, 0o755));
    tree.edit("d/f", |text| format!("{text}er")).unwrap();
    assert_eq!(tree.text("d/f").unwrap().as_deref(), Some("newer"));
    tree.link("link", "d/f").unwrap();
    tree.permit("link", 0o600).unwrap();
    assert_eq!(mode("d/f"), 0o600);
    assert!(tree.at("link").unwrap().permit(0o777).is_err());
    tree.at("pipe").unwrap().make_pipe().unwrap();
    tree.permit("pipe", 0o642).unwrap();
    assert_eq!(mode("pipe"), 0o642);
    tree.set_times(315_532_800).unwrap();
    for name in ["", "d", "d/f", "d/below", "link", "pipe"] {
        assert_eq!(scratch.inside().join(name).symlink_metadata().unwrap().mtime(), 315_532_800, "{name}");
    }
}

/// Deeper than any path may be long: a script gets there step by step.
#[test]
fn depth_is_bounded() {
    let (_scratch, tree) = prepared("deep");
    let deep = vec!["x"; 600].join("/");
    tree.directory(&deep).unwrap();
    let refused = tree.visit("", &mut |_, _| Ok::<Go, TreeError>(Go::Down)).unwrap_err().to_string();
    assert!(refused.contains("directories are nested more than 512 deep"), "{refused}");
    assert!(tree.remove("x").is_err());
}

/// While a tree is open, its root may be renamed and something else put there: the tree is what was opened.
#[test]
fn a_tree_is_a_directory_and_not_a_path() {
    let (scratch, tree) = prepared("moved");
    fs::rename(scratch.inside(), scratch.inside().with_extension("old")).unwrap();
    symlink(scratch.outside(), scratch.inside()).unwrap();
    let before = picture(&scratch.outside());
    tree.put("f", b"mine", 0o600).unwrap();
    tree.empty("").unwrap();
    assert_eq!(picture(&scratch.outside()), before);
    assert!(HostPath::new(scratch.inside()).open().is_err());
}
