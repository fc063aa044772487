//! What fits on a disk, judged by mke2fs.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use kiln::exec::builtin::fit::needed;
use kiln::format::tar::{TarEntry, TarPath, TarWriter};
use kiln::format::{ext4, swap};

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

/// `disk.sh` with this machine's programs, over a directory; `None` where it lacks one of them.
fn disk(place: &Path, swap_bytes: u64) -> Option<std::process::Output> {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let there = |program: &str| path.split(':').any(|directory| Path::new(directory).join(program).exists());
    if !["mke2fs", "debugfs", "e2fsck"].into_iter().all(there) {
        return None;
    }
    let own = format!("{}/", place.display());
    let script = include_str!("../../src/plan/image/disk.sh").replace("/kiln/in/", &own);
    std::fs::write(place.join("disk.sh"), script).unwrap();
    std::fs::write(place.join("mke2fs.conf"), include_str!("../../src/plan/image/mke2fs.conf")).unwrap();
    std::fs::write(place.join("fit.txt"), "error: it does not fit\n").unwrap();
    std::fs::write(place.join("swap.page"), swap::first_page(swap_bytes, [7; 16])).unwrap();
    std::fs::create_dir_all(place.join("tree")).unwrap();
    std::fs::write(place.join("tree/file"), "text").unwrap();
    let mut sh = Command::new("/bin/sh");
    sh.current_dir(place).env_clear().env("PATH", path).env("SOURCE_DATE_EPOCH", "1000000");
    sh.env("E2FSPROGS_FAKE_TIME", "1000000").env("KILN_FS_UUID", "01234567-0123-8123-8123-0123456789ab");
    sh.env("KILN_HASH_SEED", "01234567-0123-8123-8123-0123456789ac");
    sh.arg("disk.sh").arg("tree").arg((64u64 << 20).to_string()).arg("fit.txt").arg(swap_bytes.to_string());
    Some(sh.output().unwrap())
}

/// A swap file has a header and no holes, takes no room in the file of the disk, and has the time of the build.
#[test]
fn a_swap_file_is_on_the_disk_or_said_not_to_fit() {
    let place = scratch("swap");
    let Some(output) = disk(&place, 16 << 20) else { return skip("there is no mke2fs, debugfs or e2fsck") };
    assert!(output.status.success(), "{output:?}");
    let raw = place.join("disk.raw");
    let ask = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).arg(&raw).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), output.status.success())
    };
    assert!(ask("e2fsck", &["-fn"]).ends_with("true"));
    let said = ask("debugfs", &["-R", "stat /swapfile"]);
    assert!(
        said.contains("Mode:  0600") && said.contains("Size: 16777216") && said.contains("Blockcount: 32768"),
        "{said}"
    );
    assert!(said.contains("User:     0   Group:     0") && said.contains("mtime: 0x000f4240"), "{said}");
    let held = std::os::unix::fs::MetadataExt::blocks(&raw.metadata().unwrap()) * 512;
    assert!(held < 12 << 20, "{held} bytes are written");
    let first = std::fs::read(&raw).unwrap();
    assert!(first.windows(10).any(|bytes| bytes == b"SWAPSPACE2"));
    let output = disk(&place, 63 << 20).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Could not allocate block") && said.ends_with("error: it does not fit\n"), "{said}");
    kiln::world::fs::remove_tree(&place).unwrap();
}
