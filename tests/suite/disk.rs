//! File systems that kiln writes: read back by its own reader, and judged by e2fsprogs.

mod judged;
mod support;

use std::collections::BTreeMap;

use kiln::format::ext4::write::Ext4WriteError;
use kiln::format::ext4::{self, BLOCK, Space};
use kiln::format::tar::{Device, TarEntry, TarEntryKind};
use proptest::prelude::*;

use support::{Tree, directory, file, link, options, path, read_back};

/// Everything that a tree can have, and what is at the edge of what ext4 can.
fn nasty() -> Tree {
    let mut tree = Tree::default();
    tree.add(TarEntry { uid: 70_000, gid: 4_000_000_000, ..directory("") });
    for name in ["dev", "etc", "many", "deep", "links", "holes"] {
        tree.add(directory(name));
    }
    (0..10_000).for_each(|at| tree.add(file(&format!("many/{at:05}"))));
    let long = "n".repeat(255);
    (0..20).for_each(|at| tree.add(TarEntry { mode: 0o6755, ..file(&format!("etc/{}{at:03}", &long[3..])) }));
    let deep = (0..60).fold("deep".to_owned(), |at, number| {
        let next = format!("{at}/{number:030}");
        tree.add(directory(&next));
        next
    });
    tree.write(file(&format!("{deep}/last")), b"at the end of a long way".to_vec());
    for length in [1, 58, 59, 60, 61, 1000, 4095] {
        tree.add(link(&format!("links/{length}"), &"t".repeat(length)));
    }
    for (at, (major, minor)) in
        [(1, 3), (255, 255), (256, 0), (0, 256), (0xfff, 0xf_ffff), (8, 0)].into_iter().enumerate()
    {
        let device = Device { major, minor };
        tree.add(TarEntry { kind: TarEntryKind::CharDevice(device), ..file(&format!("dev/c{at}")) });
        tree.add(TarEntry { kind: TarEntryKind::BlockDevice(device), ..file(&format!("dev/b{at}")) });
    }
    tree.add(TarEntry { kind: TarEntryKind::Fifo, ..file("dev/pipe") });
    for (name, step, length) in [("four", 2, 8), ("five", 2, 10), ("leaf", 2, 680), ("two", 2, 682), ("deep", 3, 4500)]
    {
        let mut content = vec![0; length * BLOCK as usize];
        content.iter_mut().step_by(step * BLOCK as usize).for_each(|byte| *byte = 7);
        tree.write(file(&format!("holes/{name}")), content);
    }
    tree.write(file("holes/end"), [vec![1; 10], vec![0; 3 * BLOCK as usize]].concat());
    tree.write(file("holes/all"), vec![0; 100_000]);
    for size in [1, 4095, 4096, 4097, 5 << 20] {
        tree.write(file(&format!("etc/size-{size}")), (0..size).map(|at| (at % 251) as u8 + 1).collect());
    }
    tree.write(file("first"), b"one file of three names".to_vec());
    tree.name("links/second", "first");
    tree.name("many/third", "first");
    let xattrs = |list: &[(&str, Vec<u8>)]| -> BTreeMap<Vec<u8>, Vec<u8>> {
        list.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect()
    };
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let acl = [
        &[2, 0, 0, 0, 1, 0, 7, 0][..],
        &[0xff; 4],
        &[2, 0, 5, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0],
        &[0xff; 4],
        &[0x10, 0, 5, 0],
        &[0xff; 4],
        &[0x20, 0, 0, 0],
        &[0xff; 4],
    ]
    .concat();
    let sets = [
        ("capability", vec![("security.capability", capability.clone())]),
        ("list", vec![("system.posix_acl_access", acl.clone())]),
        ("inside", vec![("user.a", vec![1; 20]), ("trusted.b", Vec::new())]),
        ("outside", vec![("user.large", vec![9; 3000])]),
        (
            "both",
            vec![
                ("security.capability", capability),
                ("user.large", vec![8; 1000]),
                ("user.name", b"\xff\x80".to_vec()),
            ],
        ),
        ("full", vec![("user.x", vec![3; 4096 - 32 - 4 - 20])]),
    ];
    for (name, set) in &sets {
        tree.add(TarEntry { xattrs: xattrs(set), ..file(&format!("etc/x-{name}")) });
    }
    tree.add(TarEntry { xattrs: xattrs(&[("system.posix_acl_default", acl)]), ..directory("etc/x-directory") });
    tree.add(TarEntry { xattrs: xattrs(&[("trusted.l", vec![1; 200])]), ..link("etc/x-link", &"x".repeat(100)) });
    for (at, mtime) in [-(1i64 << 31), -1, 0, 1 << 31, (1 << 34) - (1 << 31) - 1].into_iter().enumerate() {
        tree.add(TarEntry { mtime, ..file(&format!("etc/time-{at}")) });
    }
    tree
}

#[test]
fn a_tree_with_everything_reads_back_and_e2fsck_finds_nothing() {
    let tree = nasty();
    let disk = tree.disk("nasty", &options(256 << 20)).unwrap();
    assert_eq!(read_back(&disk.0), tree.expected());
    disk.judge();
    judged::contents(&disk, &tree);
}

#[test]
fn a_file_system_takes_what_it_has_room_for_and_not_a_block_or_an_inode_more() {
    for bytes in [8 << 20, 64 << 20, 127 << 20, 129 << 20, 300 << 20] {
        let room = ext4::room(bytes);
        let full = |blocks: u64, inodes: u64| {
            let mut tree = Tree::default();
            tree.add(directory(""));
            tree.write(file("data"), vec![1; (blocks * BLOCK) as usize]);
            (1..inodes).for_each(|at| tree.add(link(&format!("{at:06}"), "x")));
            tree.disk(&format!("full-{bytes}"), &options(bytes))
        };
        full(room.blocks, 1).unwrap().judge();
        let refused = |blocks, inodes| match full(blocks, inodes).err().unwrap() {
            Ext4WriteError::Full { needed, room } => (needed, room),
            other => panic!("{other}"),
        };
        let (needed, found) = refused(room.blocks + 1, 1);
        assert_eq!((needed, found), (Space { blocks: room.blocks + 1, inodes: 1 }, room));
        if bytes <= 64 << 20 {
            full(1, room.inodes).unwrap().judge();
            let (needed, found) = refused(1, room.inodes + 1);
            assert!(needed.inodes == room.inodes + 1 && found.blocks >= needed.blocks, "{needed:?} {found:?}");
        }
    }
}

#[test]
fn file_systems_of_all_sizes_are_sound_and_have_the_room_that_is_said() {
    for bytes in [8 << 20, 16 << 20, 100 << 20, 1 << 30, 3 << 30, 20 << 30, 40 << 30, 100 << 30, 1 << 40] {
        let mut tree = Tree::default();
        tree.add(directory(""));
        tree.write(file("x"), b"x".to_vec());
        let disk = tree.disk(&format!("size-{bytes}"), &options(bytes)).unwrap();
        assert_eq!(read_back(&disk.0), tree.expected());
        disk.judge();
        disk.has_room(Space { blocks: ext4::room(bytes).blocks - 1, inodes: ext4::room(bytes).inodes - 1 });
    }
}

#[test]
fn a_file_system_grows_when_it_is_asked_to() {
    let mut tree = Tree::default();
    tree.add(directory(""));
    tree.write(file("x"), vec![5; 1 << 20]);
    for (from, to) in [(64 << 20, 5 << 30), (300 << 20, 40 << 30), (3 << 30, 4 << 30)] {
        let disk = tree.disk(&format!("grown-{from}"), &options(from)).unwrap();
        if !disk.grow(to) {
            return;
        }
        disk.judge();
        assert_eq!(read_back(&disk.0), tree.expected());
    }
}

#[test]
fn a_swap_file_has_its_blocks_and_no_holes() {
    let mut tree = Tree::default();
    tree.add(directory(""));
    let swap = ext4::write::SwapFile { path: path("swapfile"), bytes: 200 << 20, page: vec![9; 4096] };
    let disk = tree.disk("swap", &ext4::write::Ext4Options { swap: Some(swap), ..options(512 << 20) }).unwrap();
    disk.judge();
    let found = read_back(&disk.0);
    let (entry, content) = &found[&path("swapfile")];
    assert_eq!((entry.size, entry.mode, &content[..4096]), (200 << 20, 0o600, vec![9; 4096].as_slice()));
    assert!(content[4096..].iter().all(|byte| *byte == 0));
    let Some(said) = disk.ask("stat /swapfile") else { return };
    assert!(said.contains("Blockcount: 409600"), "{said}");
    assert!(support::held(&disk.0) < 2 << 20);
}

/// Another file that a build makes moves no block of what packages bring.
#[test]
fn files_of_packages_stay_where_they_are() {
    let tree = |more: bool| {
        let mut tree = Tree::default();
        tree.add(directory(""));
        for (name, size) in [("a", 10_000), ("m", 50_000), ("z", 3)] {
            tree.write(file(name), vec![name.as_bytes()[0]; size]);
        }
        let built = |name: &str| TarEntry { mtime: support::EPOCH, ..file(name) };
        tree.write(built("b"), vec![1; 5000]);
        if more {
            tree.write(built("c"), vec![2; 9000]);
        }
        tree
    };
    let [one, two] = [false, true].map(|more| {
        let disk = tree(more).disk(&format!("moved-{more}"), &options(64 << 20)).unwrap();
        std::fs::read(&disk.0).unwrap()
    });
    let place = |disk: &[u8], byte: u8| {
        disk.chunks(4096).position(|block| block.iter().filter(|found| **found == byte).count() > 2000)
    };
    for byte in [b'a', b'm', 1] {
        assert!(place(&one, byte).is_some());
        assert_eq!(place(&one, byte), place(&two, byte), "{byte}");
    }
    assert!(place(&two, 2) > place(&two, b'm'));
}

fn entries() -> impl Strategy<Value = Tree> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "dd",
        "é",
        "x y",
        "-",
        "lost",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ]);
    let value = prop::collection::vec(any::<u8>(), 0..120);
    let xattrs = prop::collection::btree_map(
        prop::sample::select(vec!["user.a", "user.bb", "trusted.c", "security.capability"]),
        value,
        0..4,
    );
    let content = prop::collection::vec((0u64..40, any::<u8>()), 0..12);
    let one =
        (prop::collection::vec(name, 1..5), 0u8..8, 0u32..0o10000, any::<u32>(), 0i64..2_000_000_000, xattrs, content);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let mut tree = Tree::default();
        tree.add(directory(""));
        for (parts, kind, mode, owner, mtime, xattrs, content) in all {
            let at = parts.join("/");
            if !(1..parts.len()).all(|length| tree.ensure_directory(&parts[..length].join("/"))) || tree.has(&at) {
                continue;
            }
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
            let entry = TarEntry { mode, uid: owner, gid: owner / 2, mtime, xattrs, ..file(&at) };
            match kind {
                0 => tree.add(TarEntry { kind: TarEntryKind::Directory, ..entry }),
                1 => tree.add(TarEntry { kind: TarEntryKind::Symlink(vec![b't'; 1 + mtime as usize % 300]), ..entry }),
                2 => tree.add(TarEntry { kind: TarEntryKind::Fifo, ..entry }),
                3 => tree.name_any(&at, mtime as usize),
                _ => {
                    let mut bytes =
                        vec![0; content.iter().map(|(block, _)| *block as usize * 4096 + 77).max().unwrap_or(0)];
                    content.iter().for_each(|(block, byte)| bytes[*block as usize * 4096 + 50] = *byte);
                    tree.write(entry, bytes);
                }
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_written_is_read_back_and_sound(tree in entries()) {
        let disk = tree.disk("random", &options(16 << 20)).unwrap();
        prop_assert_eq!(read_back(&disk.0), tree.expected());
        disk.judge();
        let again = tree.disk("random-again", &options(16 << 20)).unwrap();
        prop_assert!(std::fs::read(&disk.0).unwrap() == std::fs::read(&again.0).unwrap());
    }
}
