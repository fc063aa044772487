//! What debugfs unpacks of a disk, and what mke2fs makes of the same files.

use std::fs::File;

use kiln::format::tar::TarEntryKind;

use super::support::{Disk, Tree, directory, file, link, options, program, read_back};
use crate::suite::store::scratch;

/// Every plain file has the content that debugfs gives it.
pub(super) fn contents(disk: &Disk, tree: &Tree) {
    let place = scratch("ext4-dumped");
    let files: Vec<_> =
        tree.expected().into_iter().filter(|(_, (entry, _))| entry.kind == TarEntryKind::File).collect();
    let commands: String = files
        .iter()
        .enumerate()
        .filter(|(_, (_, (entry, _)))| entry.size > 0)
        .map(|(at, (path, _))| format!("dump {path} {}/{at}\n", place.display()))
        .collect();
    if disk.ask(&commands).is_none() {
        return;
    }
    for (at, (path, (entry, content))) in files.iter().enumerate().filter(|(_, (_, (entry, _)))| entry.size > 0) {
        let dumped = std::fs::read(place.join(at.to_string())).unwrap();
        assert!(dumped == *content, "{path}: {} of {} bytes, or others", dumped.len(), entry.size);
    }
    let said = disk.ask("ea_get /etc/x-capability security.capability\nstat /first\nstat /dev/c4\n").unwrap();
    assert!(said.contains("01 00 00 02 00 20") && said.contains("Links: 3"), "{said}");
    assert!(said.contains("4095:1048575"), "{said}");
    std::fs::remove_dir_all(&place).unwrap();
}

/// The same files, by either writer: the reader finds no difference but times and owners, which `mke2fs -d` takes from a directory.
#[test]
fn mke2fs_makes_the_same_of_the_same_files() {
    let place = scratch("ext4-mke2fs");
    let source = place.join("tree");
    std::fs::create_dir(&source).unwrap();
    let mut tree = Tree::default();
    tree.add(directory(""));
    let mut put = |name: String, content: Vec<u8>| {
        std::fs::write(source.join(&name), &content).unwrap();
        tree.write(file(&name), content);
    };
    let mut holes = vec![0; 3 << 20];
    holes.iter_mut().step_by(64 << 10).for_each(|byte| *byte = 1);
    put("0-holes".to_owned(), holes);
    (0..12).for_each(|at| put(format!("1-large-{at:02}"), vec![7; (1 << 20) + at]));
    (0..1500).for_each(|at| put(format!("2-small-file-with-a-longer-name-{at:04}"), vec![7; at * 5 % 9000]));
    for at in 0..100 {
        let (name, target) = (format!("3-link-{at:02}"), "x".repeat(10 + at));
        std::os::unix::fs::symlink(&target, source.join(&name)).unwrap();
        tree.add(link(&name, &target));
    }
    let theirs = place.join("theirs.raw");
    File::create(&theirs).unwrap().set_len(64 << 20).unwrap();
    let Some(mut mke2fs) = program("mke2fs") else { return };
    let output =
        mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-d"]).arg(&source).arg(&theirs).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let ours = tree.disk("mke2fs-ours", &options(64 << 20)).unwrap();
    let [ours, theirs] = [&ours.0, &theirs].map(|disk| {
        let found = read_back(disk).into_iter();
        found
            .map(|(path, (entry, content))| (path, (entry.kind, entry.size, entry.xattrs, content)))
            .collect::<Vec<_>>()
    });
    assert!(ours == theirs, "{} and {} names", ours.len(), theirs.len());
    std::fs::remove_dir_all(&place).unwrap();
}
