//! What a scan sees of directories that are odd, hostile or edited, and what archives hold.

#![allow(clippy::disallowed_methods, reason = "tests write files as anybody does, and without waiting for a disk")]

use std::path::{Path, PathBuf};

use super::*;
use crate::recipe::git::WorkingTreeError;

struct Lab {
    root: PathBuf,
    store: Store,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let place = std::env::temp_dir().join(format!("kiln-source-{name}-{}", std::process::id()));
        let _ = crate::world::fs::remove_tree(&place);
        let root = place.join("tree");
        std::fs::create_dir_all(&root).unwrap();
        let root = root.canonicalize().unwrap();
        Lab { store: Store::open(&place.join("store")).unwrap(), root }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn scan(&self) -> Result<SourceTree, SourceTreeError> {
        scan(&self.store, (&self.root, SourceUse::Kernel), &|| false)
    }

    fn paths(&self) -> Vec<String> {
        let text = |entry: &SourceEntry| String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        self.scan().unwrap().entries.iter().map(text).collect()
    }

    /// An index as git writes it, of these files.
    fn track(&self, paths: &[&str]) {
        let mut bytes = [b"DIRC".as_slice(), &2u32.to_be_bytes(), &(paths.len() as u32).to_be_bytes()].concat();
        for path in paths {
            let mut entry = vec![0; 60];
            entry[24..28].copy_from_slice(&0o100_644u32.to_be_bytes());
            entry.extend((path.len() as u16).to_be_bytes());
            entry.extend(path.as_bytes());
            entry.resize((entry.len() + 1).next_multiple_of(8), 0);
            bytes.extend(entry);
        }
        bytes.extend([0; 20]);
        std::fs::create_dir_all(self.root.join(".git")).unwrap();
        std::fs::write(self.root.join(".git/index"), bytes).unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = crate::world::fs::remove_tree(self.root.parent().unwrap_or(Path::new("/nonexistent")));
    }
}

#[test]
fn a_working_tree_is_what_git_sees_of_it() {
    let lab = Lab::new("git");
    for path in ["a.c", "a.o", "new.c", "kept.o", "out/x.c", "out/deep/tracked.c", "d/b.o", "d/c.tmp", "secret"] {
        lab.write(path, path);
    }
    lab.write(".gitignore", "*.o\n/out/\n");
    lab.write("d/.gitignore", "!b.o\n*.tmp\n");
    lab.track(&["a.c", "gone.c", "kept.o", "out/deep/tracked.c"]);
    lab.write(".git/info/exclude", "secret\n");
    let expected = [".gitignore", "a.c", "d/.gitignore", "d/b.o", "kept.o", "new.c", "out/deep/tracked.c"];
    assert_eq!(lab.paths(), expected);
}

#[test]
fn a_linked_working_tree_has_its_index_elsewhere() {
    let lab = Lab::new("linked");
    lab.write("a.o", "");
    lab.write(".gitignore", "*.o\n");
    lab.track(&["a.o"]);
    let elsewhere = lab.root.parent().unwrap().join("own");
    std::fs::rename(lab.root.join(".git"), &elsewhere).unwrap();
    lab.write(".git", "gitdir: ../own\n");
    assert_eq!(lab.paths(), [".gitignore", "a.o"]);
    for odd in ["no link\n", "gitdir: ../moved-away\n"] {
        lab.write(".git", odd);
        assert!(
            matches!(lab.scan(), Err(SourceTreeError::Walk(WalkError::WorkingTree(WorkingTreeError::Git(_))))),
            "{odd}"
        );
    }
}

#[test]
fn a_directory_without_git_is_all_of_it_unless_somebody_built_there() {
    let lab = Lab::new("plain");
    lab.write("Makefile", "");
    lab.write("a.o", "");
    lab.write(".gitignore", "*.o\n");
    assert_eq!(lab.paths(), [".gitignore", "Makefile", "a.o"]);
    lab.write(".config", "");
    assert!(matches!(lab.scan(), Err(SourceTreeError::Built(".config"))));
}

#[test]
fn an_edit_makes_another_tree_and_a_new_time_does_not() {
    let lab = Lab::new("edits");
    lab.write("a.c", "one");
    lab.write("b.c", "b");
    let before = lab.scan().unwrap();
    lab.write("a.c", "one");
    assert_eq!(lab.scan().unwrap().digest, before.digest);
    lab.write("a.c", "two");
    lab.write("new.c", "");
    std::fs::remove_file(lab.root.join("b.c")).unwrap();
    let after = lab.scan().unwrap();
    let changed = changes(&read_listing(&before.listing()).unwrap(), &after);
    let paths = |paths: &std::collections::BTreeSet<TarPath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (paths(&changed.written), paths(&changed.removed)),
        (vec!["/a.c".into(), "/new.c".into()], vec!["/b.c".into()])
    );
    assert_eq!(changes(&after.entries, &after), Changes::default());
}

#[test]
fn what_is_known_of_a_file_does_not_outlive_a_change() {
    let lab = Lab::new("known");
    lab.write("a.c", "one");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let date = || std::fs::File::open(lab.root.join("a.c")).unwrap().set_modified(old).unwrap();
    date();
    let before = lab.scan().unwrap();
    assert_eq!(lab.scan().unwrap(), before);
    // The same size and the same time, as a program may set it.
    lab.write("a.c", "two");
    date();
    assert_ne!(lab.scan().unwrap().digest, before.digest);
}

#[test]
fn what_is_no_file_is_an_error_where_git_would_see_it() {
    let lab = Lab::new("odd");
    lab.write(".gitignore", "ignored\n");
    lab.track(&["tracked"]);
    let pipe = |name: &str| {
        let path = lab.root.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    };
    pipe("ignored");
    pipe("new");
    assert_eq!(lab.paths(), [".gitignore"], "git sees no new pipe");
    pipe("tracked");
    assert!(matches!(lab.scan(), Err(SourceTreeError::Walk(WalkError::Odd { noun: "a named pipe", .. }))));
    std::fs::remove_file(lab.root.join("tracked")).unwrap();
    lab.write("sub/.git", "gitdir: /nowhere\n");
    assert!(matches!(lab.scan(), Err(SourceTreeError::Walk(WalkError::Nested(_)))));
}

#[test]
fn a_scan_ends_when_it_is_told_to_even_within_a_file() {
    let lab = Lab::new("stop");
    lab.write("a.c", "one");
    let asked = std::cell::Cell::new(0);
    let after =
        |limit: usize| move |asked: &std::cell::Cell<usize>| (asked.set(asked.get() + 1), asked.get() > limit).1;
    for limit in 0..2 {
        asked.set(0);
        let stop = || after(limit)(&asked);
        let error = scan(&lab.store, (&lab.root, SourceUse::Kernel), &stop).unwrap_err();
        assert!(matches!(error, SourceTreeError::Store(crate::store::StoreError::Interrupted)), "{limit}: {error}");
    }
}

#[test]
fn links_are_kept_and_never_followed() {
    let lab = Lab::new("links");
    std::os::unix::fs::symlink("/etc", lab.root.join("etc")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", lab.root.join(".gitignore")).unwrap();
    lab.track(&[]);
    assert_eq!(lab.paths(), [".gitignore", "etc"]);
    let mut archive = Vec::new();
    lab.scan().unwrap().pack(&mut archive, &|_| true, &|| false).unwrap();
    assert!(archive.windows(4).any(|bytes| bytes == b"/etc") && !archive.windows(6).any(|bytes| bytes == b"passwd"));
}

#[test]
fn a_file_that_changed_since_the_tree_was_read_is_not_packed() {
    let lab = Lab::new("changed");
    lab.write("d/a.c", "one");
    let tree = lab.scan().unwrap();
    let pack = || tree.pack(&mut std::io::sink(), &|_| true, &|| false);
    pack().unwrap();
    lab.write("d/a.c", "two");
    assert!(matches!(pack(), Err(SourceTreeError::Changed(_))));
    std::fs::remove_dir_all(lab.root.join("d")).unwrap();
    std::os::unix::fs::symlink("/etc", lab.root.join("d")).unwrap();
    assert!(pack().is_err());
}

#[test]
fn a_step_that_configures_reads_no_code() {
    let lab = Lab::new("part");
    for path in ["Kconfig", "drivers/cxl/Kconfig", "drivers/cxl/mem.c", "scripts/x.c", "arch/x86/configs/tiny.config"] {
        lab.write(path, path);
    }
    let tree = lab.scan().unwrap();
    let part = tree.part(&SourcePart::Kconfig("x86".to_owned()));
    lab.write("drivers/cxl/mem.c", "edited");
    let edited = lab.scan().unwrap();
    assert_eq!(part.entries.len(), 4);
    assert_ne!(edited.digest, tree.digest);
    assert_eq!(edited.part(&SourcePart::Kconfig("x86".to_owned())).digest, part.digest);
}

#[test]
fn packing_ends_when_it_is_to() {
    let lab = Lab::new("stopped");
    lab.write("a.c", "a");
    let stopped = lab.scan().unwrap().pack(&mut std::io::sink(), &|_| true, &|| true);
    assert!(matches!(stopped, Err(SourceTreeError::Store(StoreError::Interrupted))), "{stopped:?}");
}

#[test]
fn a_build_reads_all_of_a_directory_even_if_it_is_empty_or_was_built_in() {
    let lab = Lab::new("build");
    lab.write("a.c", "");
    lab.write(".config", "");
    std::fs::create_dir_all(lab.root.join("obj/deep")).unwrap();
    let of_build = || scan(&lab.store, (&lab.root, SourceUse::Build), &|| false);
    let tree = of_build().unwrap();
    let text = |entry: &SourceEntry| entry.path.to_string();
    assert_eq!(tree.entries.iter().map(text).collect::<Vec<_>>(), ["/.config", "/a.c", "/obj/deep"]);
    assert_eq!(read_listing(&tree.listing()).unwrap(), tree.entries);
    let pack = || tree.pack(&mut std::io::sink(), &|_| true, &|| false);
    pack().unwrap();
    lab.write("obj/deep/a.o", "");
    assert!(matches!(pack(), Err(SourceTreeError::Changed(_))));
    std::fs::remove_file(lab.root.join(".config")).unwrap();
    assert_eq!(lab.paths(), ["a.c", "obj/deep/a.o"], "a kernel knows no directory but by its files");
}

#[test]
fn a_directory_that_changes_while_it_is_read_is_no_source() {
    for change in
        [|lab: &Lab| lab.write("a.c", "a line more"), |lab: &Lab| std::fs::remove_file(lab.root.join("a.c")).unwrap()]
    {
        let lab = Lab::new("changes");
        lab.write("a.c", "one");
        let asked = std::cell::Cell::new(0);
        // The second question is asked while the file is read.
        let stop = || {
            asked.set(asked.get() + 1);
            if asked.get() == 2 {
                change(&lab);
            }
            false
        };
        let scanned = scan(&lab.store, (&lab.root, SourceUse::Build), &stop);
        assert_eq!(asked.get(), 2);
        match scanned {
            Err(error) => assert!(matches!(error, SourceTreeError::Changed(_)), "{error}"),
            // What was open is whole; it is compared once more when it is packed.
            Ok(tree) => assert!(matches!(
                tree.pack(&mut std::io::sink(), &|_| true, &|| false),
                Err(SourceTreeError::Changed(_))
            )),
        }
    }
}
