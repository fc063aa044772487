//! What fits on a disk, judged by mke2fs.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use kiln::exec::builtin::fit::needed;
use kiln::format::ext4;
use kiln::format::tar::{TarEntry, TarPath, TarWriter};

use super::skip::skip;
use super::store::scratch;

/// A tree with many small files, some large ones, holes and long links, as an archive and as a directory.
fn tree(directory: &Path) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let path = |name: &str| TarPath::new(name).unwrap();
    std::fs::create_dir(directory).unwrap();
    let mut file = |name: String, content: &[u8]| {
        std::fs::write(directory.join(&name), content).unwrap();
        tar.append(&TarEntry::file(path(&name), 0o644, 0, content.len() as u64), content).unwrap();
    };
    let mut holes = vec![0; 3 << 20];
    holes.iter_mut().step_by(64 << 10).for_each(|byte| *byte = 1);
    file("0-holes".to_owned(), &holes);
    (0..12).for_each(|at| file(format!("1-large-{at:02}"), &vec![7; (4 << 20) + at]));
    (0..1500).for_each(|at| file(format!("2-small-file-with-a-longer-name-{at:04}"), &vec![7; at * 5 % 9000]));
    for at in 0..100 {
        let (name, target) = (format!("3-link-{at:02}"), "x".repeat(10 + at));
        std::os::unix::fs::symlink(&target, directory.join(&name)).unwrap();
        tar.append_empty(&TarEntry::symlink(path(&name), target, 0)).unwrap();
    }
    tar.finish().unwrap()
}

/// Whether mke2fs writes the tree; `None` where there is no mke2fs.
fn is_written(directory: &Path, disk: &Path, bytes: u64) -> Option<bool> {
    File::create(disk).unwrap().set_len(bytes).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    mke2fs.env("MKE2FS_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/image/mke2fs.conf"));
    mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "1", "-E", "nodiscard"]);
    let output = mke2fs.arg("-d").arg(directory).arg(disk).output().ok()?;
    if output.status.success() {
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "mke2fs warns: {output:?}");
    }
    Some(output.status.success())
}

/// Around the smallest size that suffices.
#[test]
fn mke2fs_writes_what_fits_and_fails_at_what_is_refused() {
    let place = scratch("fit");
    let (directory, archive, disk) = (place.join("tree"), place.join("tree.tar"), place.join("disk.raw"));
    std::fs::write(&archive, tree(&directory)).unwrap();
    let needed = needed(File::open(&archive).unwrap()).unwrap();
    let (mut refused, mut failed) = (0, 0);
    for bytes in (56..=74).step_by(2).map(|mebibytes| mebibytes << 20) {
        let Some(written) = is_written(&directory, &disk, bytes) else { return skip("there is no mke2fs") };
        let room = ext4::room(bytes);
        assert!(!written || room.holds(needed), "{bytes}: {needed:?} was written, and {room:?} is refused");
        refused += u32::from(!room.holds(needed));
        failed += u32::from(!written);
    }
    assert!(failed - refused <= 1 && refused > 1 && failed < 9, "{failed} of 10 failed, {refused} are refused");
    kiln::world::fs::remove_tree(&place).unwrap();
}
