//! The archive of a root file system: every kind of file as the file system has it, and partitions where they are mounted.

use std::io::Cursor;
use std::process::Command;

use kiln::format::gpt::{self, Guid, Partition, Table};
use kiln::format::tar::{Device, TarEntryKind, TarPath};

use super::{Lab, disk, entries, unsealed};
use crate::suite::failure_support::{refused, text};
use crate::suite::live::judge;

#[test]
fn every_kind_of_file_is_as_the_file_system_has_it() {
    let lab = Lab::new("kinds");
    let archive = lab.exported("tar", "root.tar");
    let found = entries(&archive);
    let kind = |path: &str| found[path].0.kind.clone();
    let owner = |path: &str| (found[path].0.mode, found[path].0.uid, found[path].0.gid, found[path].0.mtime);
    assert_eq!(found["/etc/hostname"].1, b"fixture\n");
    assert_eq!(owner("/etc/hostname"), (0o644, 0, 0, 1_700_000_000));
    assert_eq!(owner("/usr/bin/su"), (0o4755, 0, 0, 1_700_000_000));
    assert_eq!(owner("/home/user/note"), (0o600, 70_000, 1001, 1_600_000_000));
    assert_eq!(owner("/many"), (0o1777, 0, 0, 1_700_000_000));
    assert_eq!(found.keys().filter(|path| path.starts_with("/many/")).count(), 300, "a directory with an index");
    assert_eq!(kind("/usr/short"), TarEntryKind::Symlink(b"../etc/hostname".to_vec()));
    assert_eq!(kind("/usr/long"), TarEntryKind::Symlink(format!("/{}target", "long/".repeat(20)).into_bytes()));
    assert_eq!(kind("/dev/null"), TarEntryKind::CharDevice(Device { major: 1, minor: 3 }));
    assert_eq!(kind("/dev/large"), TarEntryKind::BlockDevice(Device { major: 259, minor: 3000 }));
    assert_eq!((kind("/dev/pipe"), owner("/dev/pipe").0), (TarEntryKind::Fifo, 0o640));
    assert_eq!(owner("/dev/null"), (0o666, 0, 5, 1_700_000_000));
    // The first name in the archive has the content.
    assert_eq!((kind("/etc/third"), &found["/etc/third"].1[..]), (TarEntryKind::File, &b"many names"[..]));
    for other in ["/usr/bin/first", "/usr/bin/second"] {
        assert_eq!(kind(other), TarEntryKind::Hardlink(TarPath::new("etc/third").unwrap()), "{other}");
    }
    let sparse = &found["/var/sparse"].1;
    assert_eq!(sparse.len(), (1 << 20) + 8192);
    assert!(sparse[1 << 20..].starts_with(b"after the hole") && sparse[..1 << 20].iter().all(|byte| *byte == 0));
    let large: Vec<u8> = (0..600u32).flat_map(|at| [(at % 251) as u8; 512]).collect();
    assert!(found["/var/large"].1 == large);
    let attributes = |path: &str| found[path].0.xattrs.clone();
    assert_eq!(attributes("/usr/bin/su")[&b"security.capability"[..]][..6], [1, 0, 0, 2, 0, 32]);
    assert_eq!(attributes("/home/user/note")[&b"user.small"[..]], b"value");
    assert_eq!(attributes("/home/user/note")[&b"user.large"[..]], vec![b'v'; 2000]);
    let list = &attributes("/home/user")[&b"system.posix_acl_access"[..]];
    assert_eq!((list.len(), &list[..8]), (44, &[2, 0, 0, 0, 1, 0, 7, 0][..]));
    assert!(!found.contains_key("/lost+found") && !found.contains_key("/swapfile"));
    assert!(Lab::new("kinds-again").exported("tar", "again.tar") == archive, "the same file everywhere");
}

#[test]
fn gnu_tar_lists_what_was_exported() {
    if !judge("tar") {
        return;
    }
    let lab = Lab::new("gnu");
    lab.exported("tar", "root.tar");
    let mut list = Command::new("tar");
    list.args(["--numeric-owner", "--utc", "-tvf", "root.tar"]).current_dir(lab.path(""));
    let output = list.output().unwrap();
    let listed = text(&output);
    assert!(output.status.success(), "{listed}");
    let line = |end: &str| listed.lines().find(|line| line.ends_with(end)).unwrap_or_else(|| panic!("{end}: {listed}"));
    assert!(line("usr/bin/su").starts_with("-rwsr-xr-x 0/0"));
    assert!(line("home/user/note").starts_with("-rw------- 70000/1001"));
    assert!(line("dev/large").starts_with("brw------- 0/0") && line("dev/large").contains("259,3000"));
    assert!(line("usr/bin/second link to etc/third").starts_with('h'));
}

const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
const DATA: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
const BOOT: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// A disk with partitions of these kinds: the content of each, or nothing.
fn partitioned(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut partitions, mut first) = (Vec::new(), 2048);
    for (number, (kind, bytes)) in (1..).zip(parts) {
        let sectors = (bytes.len() as u64 / 512).max(2048);
        let (kind, id) = (Guid::parse(kind).unwrap(), Guid([number as u8; 16]));
        partitions.push(Partition { number, kind, id, name: format!("p{number}"), first, sectors });
        first += sectors.next_multiple_of(2048);
    }
    let sectors = first + 2048;
    let mut out = Cursor::new(vec![0; sectors as usize * 512]);
    gpt::write(&mut out, &Table { disk: Guid([9; 16]), sectors, partitions: partitions.clone() }, &[]).unwrap();
    let mut disk = out.into_inner();
    for (partition, (_, bytes)) in partitions.iter().zip(parts) {
        disk[partition.first as usize * 512..][..bytes.len()].copy_from_slice(bytes);
    }
    disk
}

/// The fixture with another text in `/etc/hostname`'s place, under the name that `/etc/fstab` has.
fn root_with_table(table: &str) -> Vec<u8> {
    let mut root = unsealed();
    let place = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|found| found == text).unwrap();
    // Eight bytes of text in a block of their own: the size stands in the inode.
    let name = place(&root, b"\x08\x01hostname") + 2;
    root[name..name + 8].copy_from_slice(b"fstab\0\0\0");
    root[name - 2] = 5;
    let text = place(&root, b"fixture\n");
    root[text..text + table.len()].copy_from_slice(table.as_bytes());
    let mut inode = None;
    for at in (0..root.len() - 256).step_by(256) {
        let word = |from: usize| u32::from_le_bytes(root[at + from..at + from + 4].try_into().unwrap());
        let is_file = root[at..at + 2] == [0xa4, 0x81] && word(4) == 8 && word(0x28) & 0xffff == 0xf30a;
        if is_file && u64::from(word(0x3c)) * 4096 == text as u64 {
            inode = Some(at);
        }
    }
    let inode = inode.expect("the inode of the file");
    root[inode + 4..inode + 8].copy_from_slice(&(table.len() as u32).to_le_bytes());
    root
}

#[test]
fn partitions_are_where_the_table_mounts_them() {
    let lab = Lab::new("partitions");
    let root = root_with_table("# kiln\nUUID=x / ext4\nUUID=AAAAAAAA-2222-8333-8444-555555555555\t/srv\text4\n");
    let mut data = unsealed();
    data[1024 + 0x68..1024 + 0x6c].copy_from_slice(&[0xaa; 4]);
    let refusal = "/srv, where a partition is mounted, is no empty directory";
    lab.deliver(&[("m.raw", &partitioned(&[(BOOT, &[0xeb; 512]), (DATA, &data), (ROOT, &root)]))]);
    refused(&lab.export("tar", &["-o", "a.tar"]), 5, &["m.raw", refusal]);
    // `lost+found` is the only empty directory of the fixture.
    let mut root = root_with_table("PARTUUID=02020202-0202-0202-0202-020202020202 /none ext4 x 0 2\n");
    let name = root.windows(12).position(|found| found == b"\x0a\x02lost+found").unwrap() + 2;
    root[name..name + 10].copy_from_slice(b"none\0\0\0\0\0\0");
    root[name - 2] = 4;
    lab.deliver(&[("m.raw", &partitioned(&[(BOOT, &[0xeb; 512]), (DATA, &data), (ROOT, &root)]))]);
    let found = entries(&lab.exported("tar", "a.tar"));
    assert_eq!(found["/none/etc/hostname"].1, b"fixture\n");
    assert_eq!(found["/none/usr/bin/first"].0.kind, TarEntryKind::Hardlink(TarPath::new("none/etc/third").unwrap()));
    assert!(found.contains_key("/etc/fstab") && !found.contains_key("/none/lost+found"));
}

#[test]
fn a_disk_without_a_root_or_with_what_nothing_mounts_is_refused() {
    let lab = Lab::new("rootless");
    let disk = disk();
    let refuses = |bytes: &[u8], words: &[&str]| {
        lab.deliver(&[("m.raw", bytes)]);
        refused(&lab.export("tar", &["-o", "a.tar"]), 5, words);
        assert!(lab.names().is_empty(), "{:?}", lab.names());
    };
    refuses(&vec![0; 1 << 20], &["neither an ext4 file system nor a partition table"]);
    refuses(&partitioned(&[(BOOT, &[0xeb; 512])]), &["no root partition"]);
    refuses(&partitioned(&[(ROOT, &disk), (ROOT, &disk)]), &["two root partitions"]);
    refuses(&partitioned(&[(ROOT, &disk), (DATA, &disk)]), &["/etc/fstab mounts partition 2"]);
    assert!(lab.export("raw", &["-o", "a.raw"]).status.success(), "a disk is a disk, whatever is on it");
}
