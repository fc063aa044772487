//! Names of a tree, cut at mount points.

use super::*;
use crate::format::ext4::write::SourceFile;
use crate::format::tar::{TarEntry, TarEntryKind};

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn file(at: &str) -> TarEntry {
    TarEntry::file(path(at), 0o640, 9, 0)
}

fn directory(at: &str) -> TarEntry {
    TarEntry::directory(path(at), 0o755, 9)
}

/// Each file system's names, with the first name of the file in the whole tree.
fn cut(mounts: &[&str], entries: Vec<TarEntry>) -> Result<Vec<Vec<String>>, StepFailure> {
    let mut tree = Tree::default();
    for entry in [directory("")].into_iter().chain(entries) {
        let file = match &entry.kind {
            TarEntryKind::Hardlink(target) => tree.names[target],
            _ => tree.inodes.len(),
        };
        tree.names.insert(entry.path.clone(), file);
        if file == tree.inodes.len() {
            tree.inodes.push(SourceFile { entry, source: 0, offset: 0 });
        }
    }
    let (rest, parts) = split(&mut tree, mounts).map_err(StepFailure::from)?;
    let shown =
        |names: &Names| names.iter().map(|(path, file)| format!("{path} {}", tree.inodes[*file].entry.path)).collect();
    Ok([&rest].into_iter().chain(&parts).map(shown).collect())
}

#[test]
fn each_file_goes_to_the_innermost_mount_point_above_it() {
    let entries = vec![
        directory("srv"),
        directory("srv/data"),
        file("srv/data/a"),
        directory("srv/data/deep"),
        file("srv/data/deep/b"),
        file("srv/database"),
    ];
    let found = cut(&["/srv", "/srv/data"], entries).unwrap();
    assert_eq!(found[0], ["/ /", "/srv /srv"]);
    assert_eq!(found[1], ["/ /srv", "/data /srv/data", "/database /srv/database"]);
    assert_eq!(found[2], ["/ /srv/data", "/a /srv/data/a", "/deep /srv/data/deep", "/deep/b /srv/data/deep/b"]);
}

#[test]
fn a_file_with_names_in_two_file_systems_is_in_both() {
    let hard = |at: &str, to: &str| TarEntry { kind: TarEntryKind::Hardlink(path(to)), ..file(at) };
    let entries = vec![file("a"), directory("var"), hard("var/b", "a"), file("var/d"), hard("z", "var/d")];
    let found = cut(&["/var"], entries).unwrap();
    assert_eq!(found[0], ["/ /", "/a /a", "/var /var", "/z /var/d"]);
    assert_eq!(found[1], ["/ /var", "/b /a", "/d /var/d"]);
}

#[test]
fn a_mount_point_that_is_no_directory_is_the_recipes_mistake() {
    let failure = cut(&["/home"], vec![TarEntry::symlink(path("home"), "/var/home", 9)]).unwrap_err();
    assert_eq!(failure.about, [Statement::Partition("/home".to_owned())]);
    assert!(failure.to_string().contains("`/home` is not a directory in the image"), "{failure}");
    let failure = cut(&["/data"], vec![directory("srv")]).unwrap_err();
    assert!(failure.to_string().contains("there is no directory `/data` in the image"), "{failure}");
}
