//! A tree cut at mount points, written and read back through files.

use std::io::Read;

use super::*;
use crate::exec::event::IgnoreSteps;

fn path(text: &str) -> TarPath {
    TarPath::new(text).unwrap()
}

fn file(at: &str, content: &'static [u8]) -> (TarEntry, &'static [u8]) {
    (TarEntry::file(path(at), 0o640, 9, content.len() as u64), content)
}

fn hard(at: &str, target: &str) -> (TarEntry, &'static [u8]) {
    (TarEntry { kind: TarEntryKind::Hardlink(path(target)), ..TarEntry::file(path(at), 0o640, 9, 0) }, b"")
}

fn directory(at: &str, mode: u32) -> (TarEntry, &'static [u8]) {
    (TarEntry { uid: 7, gid: 8, ..TarEntry::directory(path(at), mode, 9) }, b"")
}

/// Runs the step; gives `path kind content` of every entry of every archive, and the commands of the last.
fn split(name: &str, mounts: &[&str], tree: &[(TarEntry, &'static [u8])]) -> Result<Vec<Vec<String>>, StepFailure> {
    let scratch = std::env::temp_dir().join(format!("kiln-split-{name}-{}", std::process::id()));
    let [input, out] = ["in", "out"].map(|name| scratch.join(name));
    for place in [&input, &out] {
        fs::create_dir_all(place).unwrap();
    }
    let at = input.join(disk::TREE);
    let mut tar = TarWriter::new(fs::create(&at).unwrap());
    for (entry, content) in tree {
        tar.append(entry, *content).unwrap();
    }
    tar.finish().unwrap();
    let context = BuiltinContext {
        step: "split",
        inputs: &BTreeMap::from([(disk::TREE.to_owned(), at)]),
        out: &out,
        scratch: &scratch,
        variation: None,
        without_stand_ins: false,
        limits: crate::exec::sandbox::Limits::default(),
        listener: &IgnoreSteps,
    };
    let mounts: Vec<String> = mounts.iter().map(|mount| (*mount).to_owned()).collect();
    let result = run(&context, &mounts).map_err(StepFailure::from).map(|()| {
        let names = std::iter::once(disk::TREE.to_owned()).chain((0..mounts.len()).map(disk::part_tree));
        let commands = out.join(disk::part_commands(mounts.len() - 1));
        let text = String::from_utf8(fs::read(&commands, 1 << 10).unwrap()).unwrap();
        names.map(|name| listing(&out.join(name))).chain([text.lines().map(str::to_owned).collect()]).collect()
    });
    fs::remove_tree(&scratch).unwrap();
    result
}

fn listing(at: &std::path::Path) -> Vec<String> {
    let mut reader = TarReader::new(fs::open(at).unwrap());
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        let link =
            if let TarEntryKind::Hardlink(target) = &entry.kind { format!(" = {target}") } else { String::new() };
        lines.push(format!("{} {:o}{link} {content}", entry.path, entry.mode).trim_end().to_owned());
    }
    lines
}

#[test]
fn each_file_goes_to_the_innermost_mount_point_above_it() {
    let tree = [
        directory("srv", 0o755),
        directory("srv/data", 0o2770),
        file("srv/data/a", b"1"),
        directory("srv/data/deep", 0o700),
        file("srv/data/deep/b", b"2"),
        file("srv/database", b"3"),
    ];
    let found = split("inner", &["/srv", "/srv/data"], &tree).unwrap();
    assert_eq!(found[0], ["/srv 755"]);
    assert_eq!(found[1], ["/data 2770", "/database 640 3"]);
    assert_eq!(found[2], ["/a 640 1", "/deep 700", "/deep/b 640 2"]);
    assert_eq!(found[3], ["sif / mode 042770", "sif / uid 7", "sif / gid 8"]);
}

#[test]
fn a_file_with_names_in_two_file_systems_is_in_both() {
    let tree = [
        file("a", b"1"),
        directory("var", 0o755),
        hard("var/b", "a"),
        hard("var/c", "a"),
        file("var/d", b"2"),
        hard("x", "a"),
        hard("z", "var/d"),
    ];
    let found = split("names", &["/var"], &tree).unwrap();
    assert_eq!(found[0], ["/a 640 1", "/var 755", "/x 640 = /a", "/z 640 2"]);
    assert_eq!(found[1], ["/b 640 1", "/c 640 = /b", "/d 640 2"]);
}

#[test]
fn a_mount_point_that_is_no_directory_is_the_recipes_mistake() {
    let link = (TarEntry::symlink(path("home"), "/var/home", 9), b"".as_slice());
    let failure = split("link", &["/home"], &[link]).unwrap_err();
    assert_eq!(failure.about, [Statement::Partition("/home".to_owned())]);
    assert!(failure.to_string().contains("`/home` is not a directory in the image"), "{failure}");
    let failure = split("none", &["/data"], &[directory("srv", 0o755)]).unwrap_err();
    assert!(failure.to_string().contains("there is no directory `/data` in the image"), "{failure}");
}
