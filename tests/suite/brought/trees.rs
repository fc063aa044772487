//! Whole directories: what names them, what they may hold, and what is no tree.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kiln::base::{Digest, Timestamp};
use kiln::exec::ExecError;
use kiln::lock::{Lock, LockedRecipe, OUTPUT, satisfies};
use kiln::plan::Fetch;
use kiln::plan::step::FetchPlace;
use kiln::recipe::content::FileContent;
use kiln::store::Store;

use super::super::live::{fail_with, kiln};
use super::{Brought, import};

const TREE: &str = "tree \"/opt/app\" { source = directory \"app\" }";
const EXACT: &str = "tree \"/opt/app\" { source = directory \"app\" modes exact owner = \"root\" }";

fn digest(brought: &Brought, statement: &str) -> Digest {
    let recipe = brought.check(statement).unwrap_or_else(|mistakes| panic!("{:?}", mistakes.diagnostics));
    let mut trees = recipe.files.into_iter().filter(|(key, _)| key.contains('/'));
    let (key, tree) = trees.next().unwrap();
    assert!(["app/", "app//exact"].contains(&key.as_str()), "{key}");
    tree.digest
}

fn permit(brought: &Brought, name: &str, mode: u32) {
    std::fs::set_permissions(brought.path(name), PermissionsExt::from_mode(mode)).unwrap();
}

/// A tree with what every tree has.
fn app(name: &str) -> Brought {
    let brought = Brought::new(name);
    brought.write("app/a/x", b"x");
    brought.write("app/a-b", b"between");
    brought.write("app/bin/run", b"#!/bin/sh\n");
    permit(&brought, "app/bin/run", 0o755);
    symlink("../../../etc/passwd", brought.path("app/out")).unwrap();
    symlink("loop", brought.path("app/loop")).unwrap();
    brought
}

#[test]
fn names_contents_links_and_the_executable_bit_name_a_tree_and_nothing_else() {
    let one = app("trees-one");
    let digest_of = |brought: &Brought| digest(brought, TREE);
    let before = digest_of(&one);
    // Another umask, other times, another order of directories, another file behind the same bytes.
    let two = Brought::new("trees-two");
    symlink("loop", {
        std::fs::create_dir(two.path("app")).unwrap();
        two.path("app/loop")
    })
    .unwrap();
    symlink("../../../etc/passwd", two.path("app/out")).unwrap();
    two.write("app/bin/run", b"#!/bin/sh\n");
    permit(&two, "app/bin/run", 0o750);
    two.write("app/a-b", b"between");
    std::fs::create_dir(two.path("app/a")).unwrap();
    two.write("elsewhere", b"x");
    std::fs::hard_link(two.path("elsewhere"), two.path("app/a/x")).unwrap();
    for (name, mode) in [("app/a-b", 0o600), ("app/a", 0o700), ("app", 0o775)] {
        permit(&two, name, mode);
    }
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::open(two.path("app/a-b")).unwrap().set_modified(old).unwrap();
    assert_eq!(digest_of(&two), before);
    permit(&two, "app/a-b", 0o744);
    assert_ne!(digest_of(&two), before, "a file became executable");
    permit(&two, "app/a-b", 0o644);
    two.write("app/a-b", b"Between");
    assert_ne!(digest_of(&two), before, "a file has other bytes");
    two.write("app/a-b", b"between");
    std::fs::rename(two.path("app/a"), two.path("app/c")).unwrap();
    assert_ne!(digest_of(&two), before, "a directory has another name");
    std::fs::rename(two.path("app/c"), two.path("app/a")).unwrap();
    std::fs::remove_file(two.path("app/out")).unwrap();
    symlink("elsewhere", two.path("app/out")).unwrap();
    assert_ne!(digest_of(&two), before, "a link leads elsewhere");
}

#[test]
fn exact_modes_are_part_of_the_tree_where_they_are_asked_for() {
    let one = app("trees-exact");
    permit(&one, "app/a/x", 0o600);
    let before = digest(&one, EXACT);
    assert_ne!(before, digest(&one, TREE));
    permit(&one, "app/a-b", 0o640);
    assert_ne!(digest(&one, EXACT), before);
}

#[test]
fn the_archive_of_a_tree_is_one_that_others_read() {
    let brought = app("trees-archive");
    let odd = std::ffi::OsStr::from_bytes(b"app/line\nbreak \xff");
    std::fs::write(brought.root.join(odd), b"odd").unwrap();
    let recipe = brought.check(EXACT).unwrap();
    let FileContent::OnDisk(source) = &recipe.files["app//exact"].content else { panic!("a tree is on disk") };
    let mut bytes = Vec::new();
    source.stream(&mut bytes).unwrap();
    assert_eq!(Digest::of(&bytes), recipe.files["app//exact"].digest);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let found = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), header.mode().unwrap() & 0o7777)
    });
    let names: Vec<String> = found.map(|(name, _)| name).collect();
    let odd = "line\nbreak \u{fffd}";
    assert_eq!(names, ["./", "a/", "a-b", "a/x", "bin/", "bin/run", odd, "loop", "out"]);
}

#[test]
fn what_is_neither_file_directory_nor_link_is_refused_by_name() {
    let brought = app("trees-odd");
    let pipe = brought.path("app/a/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let said = brought.mistake(TREE);
    assert!(said.contains("app/a/pipe` is a named pipe, which cannot be part of a tree"), "{said}");
    std::fs::remove_file(&pipe).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(brought.path("app/socket")).unwrap();
    let said = brought.mistake(TREE);
    assert!(said.contains("app/socket` is a socket"), "{said}");
}

#[test]
fn a_tree_lies_below_the_root_of_the_recipe() {
    let brought = app("trees-root");
    symlink("/usr", brought.path("usr")).unwrap();
    symlink("app", brought.path("alias")).unwrap();
    for (path, part) in [
        ("../x", "is outside of the recipe's root"),
        ("usr", "leads through a symbolic link"),
        ("/usr", "is an absolute path"),
        ("none", "there is no file"),
        ("app/a-b", "a single file is put into an image by `file"),
    ] {
        let said = brought.mistake(&format!("tree \"/opt\" {{ source = directory \"{path}\" }}"));
        assert!(said.contains(part), "{path}: {said}");
    }
    assert!(brought.check("tree \"/opt\" { source = directory \"alias\" }").is_ok());
}

#[test]
fn mistakes_about_trees_say_what_to_write() {
    let brought = app("trees-mistakes");
    brought.write("root/proc/x", b"");
    for (statement, part) in [
        ("tree \"/opt\" { }", "has no `source`"),
        ("tree \"/opt\" { source = \"app\" }", "write `directory \"app\"`"),
        ("tree \"/opt\" { source = file \"app/a-b\" }", "a `file` takes single files"),
        ("tree \"/opt\" { source = directory \"app\" mode = 0o755 }", "modes exact` keeps every permission bit"),
        ("tree \"/opt\" { source = directory \"app\" modes some }", "`directory` takes one path"),
        ("file \"/opt\" { source = directory \"app\" }", "a `tree` takes whole directories"),
        ("file \"/opt\" { source = file \"app\" }", "a whole directory is written `directory"),
        ("directory \"/opt\" { source = directory \"app\" }", "write `tree \"/path\""),
        ("tree \"/proc/x\" { source = directory \"app\" }", "would be hidden by a mount"),
        ("tree \"/\" { source = directory \"root\" }", "`/proc` of this tree would be hidden by a mount"),
        ("tree \"/opt\" { source = directory \"app\" } file \"/opt\" { text = \"\" }", "given more than once"),
    ] {
        let said = brought.mistake(statement);
        assert!(said.contains(part), "{statement}: {said}");
    }
    assert!(brought.check("tree \"/\" { source = directory \"app\" }").is_ok());
}

#[test]
fn a_lock_says_when_a_tree_has_changed() {
    let brought = app("trees-lock");
    let recipe = brought.check(TREE).unwrap();
    let files = recipe.files.iter().map(|(key, file)| (key.clone(), file.digest)).collect();
    let mut lock = Lock {
        output_version: OUTPUT,
        local: Default::default(),
        recipe: LockedRecipe {
            name: recipe.name.clone(),
            digest: Digest::of(b""),
            files,
            params: recipe.params.clone(),
        },
        epoch: Timestamp(0),
        seed: Digest::of(b""),
        archives: Default::default(),
        sets: Default::default(),
        layers: Default::default(),
        sources: Default::default(),
        kernels: Default::default(),
        images: Default::default(),
        machines: Default::default(),
        steps: Default::default(),
        outputs: Default::default(),
    };
    lock.recipe.files.insert("app/".to_owned(), Digest::of(b"another"));
    let said: Vec<String> = satisfies(&recipe, &lock).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["directory `app` has changed"]);
}

#[test]
fn a_tree_that_changed_after_the_recipe_was_read_is_an_error() {
    let brought = app("trees-changed");
    let recipe = brought.check(TREE).unwrap();
    let tree = &recipe.files["app/"];
    let FileContent::OnDisk(source) = &tree.content else { panic!("a tree is on disk") };
    let place = FetchPlace::Recipe(source.clone());
    let fetch = Fetch { label: "app/".to_owned(), size: tree.size, digest: tree.digest, place };
    let store = Store::open(&brought.path("store")).unwrap();
    std::fs::write(brought.path("app/new"), b"").unwrap();
    assert!(matches!(import(&store, &fetch, false), Err(ExecError::Changed { .. })));
    std::fs::remove_file(brought.path("app/new")).unwrap();
    import(&store, &fetch, false).unwrap();
    assert!(store.has(&tree.digest));
}

#[test]
fn what_kiln_writes_is_no_part_of_a_tree() {
    let brought = app("trees-own");
    let check = |text: &str, recipe: &str| {
        brought.check(text).unwrap();
        std::fs::rename(brought.path("main.kiln"), brought.path(recipe)).unwrap();
        let mut command = kiln(&brought.path("app/store"));
        command.arg("check").arg(brought.path(recipe)).current_dir(&brought.root);
        fail_with(&mut command, 1)
    };
    std::fs::create_dir_all(brought.path("app/store")).unwrap();
    let said = check(TREE, "other.kiln");
    assert!(said.contains("the directory of this tree holds kiln's store: `store`") && said.contains("^^^"), "{said}");
    std::fs::create_dir_all(brought.path("result/other")).unwrap();
    let said = check("tree \"/opt\" { source = directory \".\" }", "other.kiln");
    assert!(said.contains("holds the lock of the recipe: `other.lock`"), "{said}");
    assert!(said.contains("holds results of builds: `result`"), "{said}");
}

#[test]
fn thousands_of_files_are_one_input() {
    let brought = Brought::new("trees-many");
    for number in 0..5_000 {
        brought.write(&format!("app/{}/{number}", number % 50), number.to_string().as_bytes());
    }
    let recipe = brought.check(TREE).unwrap();
    assert_eq!(recipe.files.len(), 2);
    assert!(recipe.files["app/"].size > 5_000 * 1024);
    assert!(recipe.files["app/"].bytes().is_none());
    assert!(Path::new(&recipe.root).join("app").is_dir());
}
