//! Directories below the recipe's root that builds read, where they are git working trees: git decides what is pinned.

use std::os::unix::fs::{PermissionsExt, symlink};

use kiln::base::Digest;
use kiln::recipe::content::{DiskSource, FileContent};
use kiln::recipe::{self, Mistakes, Recipe};
use kiln::world::RealWorld;

use super::super::build_local::track;
use super::Brought;

const SOURCE: &str = "source \"src\" = directory \"app\"";

fn check(brought: &Brought, before: &str, source: &str) -> Result<Recipe, Mistakes> {
    let text = format!(
        "{before}\npackages t {{ include = [\"busybox-static\", \"e2fsprogs\", \"kmod\"] }}\n\
         build b {{ tools = t {source} script = \"\" outputs = [\"x\"] }}\n"
    );
    brought.write("main.kiln", text.as_bytes());
    recipe::check(&RealWorld::default(), &brought.path("main.kiln"), &[])
}

fn digest(brought: &Brought, source: &str, key: &str) -> Digest {
    let recipe = check(brought, "", source).unwrap_or_else(|mistakes| panic!("{:?}", mistakes.diagnostics));
    recipe.files[key].digest
}

fn mistake(brought: &Brought, before: &str, source: &str) -> String {
    let first = check(brought, before, source).unwrap_err().diagnostics.remove(0);
    format!("{}; {}; {}", first.message, first.label, first.hint.unwrap_or_default())
}

/// Files whose order in an archive is not that of a walk.
fn files(brought: &Brought) {
    for name in ["a/x", "a-b", "a.c", "deep/er/y", "tool"] {
        brought.write(&format!("app/{name}"), name.as_bytes());
    }
    std::fs::set_permissions(brought.path("app/tool"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", brought.path("app/out")).unwrap();
    brought.write("app/.gitignore", b"*.o\n/ignored/\n");
}

/// The same as a working tree, with what git does not see.
fn working_tree(name: &str) -> Brought {
    let brought = Brought::new(name);
    files(&brought);
    brought.write("app/a/x.o", b"");
    brought.write("app/ignored/z", b"");
    brought.write("app/only/x.o", b"");
    std::fs::create_dir_all(brought.path("app/empty/within")).unwrap();
    track(&brought.path("app"), &["a/x", "a-b", "gone"]);
    brought
}

#[test]
fn whoever_has_the_files_without_git_has_the_same_lock() {
    let plain = Brought::new("git-plain");
    files(&plain);
    let exact = "source \"src\" = directory \"app\" modes exact";
    for (source, key, name) in [(SOURCE, "app/", "git-same"), (exact, "app//exact", "git-exact")] {
        let tree = working_tree(name);
        assert_eq!(digest(&tree, source, key), digest(&plain, source, key), "{source}");
        // What git alone knows has no part in it, and neither has what it does not see.
        track(&tree.path("app"), &["a/x", "a-b", "a.c", "deep/er/y"]);
        tree.write("app/.git/objects/pack/x", b"x");
        tree.write("app/new.o", b"");
        assert_eq!(digest(&tree, source, key), digest(&plain, source, key), "{source}");
        tree.write("app/new.c", b"");
        assert_ne!(digest(&tree, source, key), digest(&plain, source, key), "{source}");
    }
}

#[test]
fn a_tracked_file_is_seen_although_it_is_ignored() {
    let tree = working_tree("git-tracked");
    let before = digest(&tree, SOURCE, "app/");
    track(&tree.path("app"), &["a/x", "ignored/z"]);
    assert_ne!(digest(&tree, SOURCE, "app/"), before);
}

#[test]
fn a_working_tree_that_nobody_can_read_as_git_does_is_refused() {
    let tree = working_tree("git-odd");
    let pipe = tree.path("app/pipe");
    let make = || {
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    };
    let before = digest(&tree, SOURCE, "app/");
    make();
    assert_eq!(digest(&tree, SOURCE, "app/"), before, "git sees no new pipe");
    track(&tree.path("app"), &["pipe"]);
    assert!(mistake(&tree, "", SOURCE).contains("app/pipe` is a named pipe"));
    std::fs::remove_file(&pipe).unwrap();
    tree.write("app/sub/.git", b"gitdir: /nowhere\n");
    assert!(mistake(&tree, "", SOURCE).contains("app/sub` is a git working tree of its own"));
    std::fs::remove_dir_all(tree.path("app/sub")).unwrap();
    std::fs::remove_dir_all(tree.path("app/.git")).unwrap();
    for odd in ["no link\n", "gitdir: ../moved-away\n"] {
        tree.write("app/.git", odd.as_bytes());
        assert!(mistake(&tree, "", SOURCE).contains("its `.git` cannot be read"), "{odd}");
    }
    std::fs::remove_file(tree.path("app/.git")).unwrap();
    symlink("/", tree.path("app/.git")).unwrap();
    assert!(mistake(&tree, "", SOURCE).contains("its `.git` cannot be read"));
    std::fs::remove_file(tree.path("app/.git")).unwrap();
    tree.write("app/.gitignore", b"*\n");
    track(&tree.path("app"), &[]);
    assert!(mistake(&tree, "", SOURCE).contains("git sees no files in it"));
}

#[test]
fn an_image_takes_all_of_a_directory_and_a_build_what_git_sees_but_never_both_of_one() {
    let tree = working_tree("git-both");
    let named = mistake(&tree, "let tree = directory \"app\"", "source \"src\" = tree");
    assert!(named.contains("cannot be given a name before a build reads it"), "{named}");
    assert!(named.contains("write `directory \"app\"` at the source itself"), "{named}");
    let image = "image i { size = 64MiB tools = t packages = [\"udev\"] tree \"/opt\" { source = directory \"app\" } }";
    let both = mistake(&tree, image, SOURCE);
    assert!(both.contains("a build reads what git sees of `app`, and an image takes all of it"), "{both}");
    // Of a directory that git has no part in, both are the same.
    let plain = Brought::new("git-both-plain");
    files(&plain);
    assert!(check(&plain, image, SOURCE).is_ok());
    assert!(check(&plain, "let tree = directory \"app\"", "source \"src\" = tree").is_ok());
}

#[test]
fn a_working_tree_that_changes_while_it_is_packed_is_another_one() {
    let tree = working_tree("git-changing");
    // Larger than what is read at a time, so that the rest is packed after the change.
    tree.write("app/a-b", &vec![b'x'; 4 << 20]);
    let recipe = check(&tree, "", SOURCE).unwrap();
    let FileContent::OnDisk(DiskSource::Directory(directory)) = &recipe.files["app/"].content else { panic!() };
    let packed = |change: &dyn Fn()| {
        let mut out = Changing { change, done: false };
        directory.pack(&mut out).map_err(|error| error.to_string())
    };
    assert_eq!(packed(&|| {}), Ok(()));
    let swapped = packed(&|| {
        std::fs::rename(tree.path("app/deep"), tree.path("app/moved")).unwrap();
        symlink("moved", tree.path("app/deep")).unwrap();
    });
    assert!(swapped.is_err(), "a link was followed");
    let gone = packed(&|| std::fs::remove_file(tree.path("app/tool")).unwrap());
    assert!(gone.clone().is_err_and(|error| error.contains("changed while it was read")), "{gone:?}");
}

/// Has something change once the first bytes are there.
struct Changing<'a> {
    change: &'a dyn Fn(),
    done: bool,
}

impl std::io::Write for Changing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !std::mem::replace(&mut self.done, true) {
            (self.change)();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
