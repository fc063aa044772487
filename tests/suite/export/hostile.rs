//! File systems that were damaged or prepared: an error or an archive, at once, and no file of the reader's own.

use std::io::Read;
use std::process::Stdio;

use kiln::format::disk::{DiskReader, ReadAt, pieces};
use kiln::format::ext4::{BlockPlace, Ext4Layout, Ext4Reader, number};
use kiln::format::tar::TarEntryKind;

use super::{FILES, Lab, disk, unsealed};
use crate::suite::failure_support::{refused, text};
use crate::suite::live::{Scratch, judge};
use crate::suite::patience::until;

struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size());
        let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(())
    }
}

/// Reads everything; how many names there are.
fn read(bytes: &[u8]) -> Result<usize, String> {
    let mut reader = Ext4Reader::new(Bytes(bytes)).map_err(|error| error.to_string())?;
    let names = reader.names(&|| false).map_err(|error| error.to_string())?;
    let count = names.len();
    for (path, number) in names {
        let inode = reader.inode(number).map_err(|error| error.to_string())?;
        let entry = reader.entry(path, &inode).map_err(|error| error.to_string())?;
        if entry.kind == TarEntryKind::File {
            let content = reader.content(&inode).map_err(|error| error.to_string())?;
            // A hole of terabytes costs its maker nothing; who writes archives counts.
            std::io::copy(&mut content.take(4 << 20), &mut std::io::sink()).map_err(|error| error.to_string())?;
        }
    }
    Ok(count)
}

#[test]
fn a_file_system_with_any_byte_changed_is_read_or_refused() {
    let whole = unsealed();
    let expected = read(&whole).unwrap();
    assert!(expected > 300);
    // Superblock, descriptors, inodes, directories: some of what is not zeros.
    let (mut refused, mut tried) = (0, 0);
    let mut changed = whole.clone();
    for at in (1024..whole.len()).filter(|at| whole[*at] != 0).step_by(499) {
        for value in [0x00, 0xff, whole[at] ^ 0x80] {
            changed[at] = value;
            tried += 1;
            refused += usize::from(read(&changed).is_err());
        }
        changed[at] = whole[at];
    }
    assert!(tried > 100 && refused > 5 && refused < tried, "{refused} of {tried}");
    for end in [0, 100, 1024, 2047, 4096, 100_000, whole.len() / 2] {
        assert!(read(&whole[..end]).is_err(), "{end}");
    }
}

/// Where each kind of structure is that has a checksum, and what an error says of it.
fn structures(whole: &[u8]) -> Vec<(usize, String)> {
    let layout = Ext4Layout::read(&mut Bytes(whole)).unwrap();
    let large = inode_at(whole, "/var/large");
    let names = Ext4Reader::new(Bytes(whole)).unwrap().names(&|| false).unwrap();
    let of = |path: &str| names.iter().find(|(name, _)| name.to_string() == path).map(|(_, inode)| *inode).unwrap();
    let many = inode_at(whole, "/many");
    let first_block = |inode: usize| u32::from_le_bytes(whole[inode + 0x3c..inode + 0x40].try_into().unwrap()) as usize;
    vec![
        (1024 + 0x78, "its superblock".to_owned()),
        (layout.descriptors as usize + 0x0c, "the descriptor of group 0".to_owned()),
        (large + 0x10, format!("inode {}", of("/var/large"))),
        (many + 0x9c, format!("inode {}", of("/many"))),
        (first_block(many) * BLOCK + 4, format!("block 0 of directory inode {}", of("/many"))),
        ((first_block(many) + 1) * BLOCK + BLOCK - 4, format!("block 1 of directory inode {}", of("/many"))),
    ]
}

#[test]
fn damage_of_what_has_a_checksum_is_named() {
    let whole = disk();
    assert!(read(&whole).unwrap() > 300);
    for (at, what) in structures(&whole) {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        let said = read(&changed).unwrap_err();
        assert_eq!(said, format!("the file system is damaged: {what} does not have its checksum"), "{at}");
    }
    // With them, hardly a byte of a structure can be another one: what is not found is in a file, a bitmap or the journal.
    let layout = Ext4Layout::read(&mut Bytes(&whole)).unwrap();
    let mut changed = whole.clone();
    for at in (1024..2048).chain(layout.descriptors as usize..(layout.descriptors + layout.descriptor_size) as usize) {
        changed[at] ^= 0x01;
        assert!(read(&changed).is_err(), "{at}");
        changed[at] = whole[at];
    }
    let lab = Lab::new("damaged");
    let mut damaged = whole.clone();
    damaged[inode_at(&whole, "/var/large") + 0x10] ^= 0x40;
    lab.deliver(&[("d.raw", &damaged)]);
    refused(&lab.export("tar", &["-o", "out"]), 5, &["does not have its checksum"]);
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

/// A file system of `mke2fs` and `e2fsck` with an index of names, and a file with more stretches than an inode has room for.
fn indexed() -> Option<Vec<u8>> {
    if !judge("mke2fs") || !judge("e2fsck") {
        return None;
    }
    let scratch = Scratch::new("export-indexed");
    let (files, image) = (scratch.path("files"), scratch.path("image"));
    std::fs::create_dir_all(files.join("many")).unwrap();
    for number in 0..400 {
        std::fs::write(files.join(format!("many/a-name-that-takes-some-room-{number}")), "").unwrap();
    }
    let holes = std::fs::File::create(files.join("holes")).unwrap();
    for number in 0..30 {
        std::os::unix::fs::FileExt::write_all_at(&holes, &[1; BLOCK], number * 2 * BLOCK as u64).unwrap();
    }
    let mut mke2fs = std::process::Command::new("mke2fs");
    mke2fs.args([
        "-q",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-I",
        "256",
        "-O",
        "metadata_csum,64bit,dir_index,^orphan_file,^inline_data",
        "-d",
    ]);
    assert!(mke2fs.arg(&files).arg(&image).arg("32M").status().unwrap().success());
    // 1: it was changed.
    let checked = std::process::Command::new("e2fsck").arg("-fyD").arg(&image).output().unwrap();
    assert!(checked.status.code().is_some_and(|code| code <= 1), "{}", text(&checked));
    Some(std::fs::read(&image).unwrap())
}

#[test]
fn damage_of_an_index_and_of_extents_in_blocks_of_their_own_is_named() {
    let Some(whole) = indexed() else { return };
    assert!(read(&whole).unwrap() > 400);
    let block = |inode: usize, at: usize| number(&whole, inode + EXTENTS + at, 4) as usize * BLOCK;
    let (many, holes) = (inode_at(&whole, "/many"), inode_at(&whole, "/holes"));
    assert_eq!((number(&whole, many + 0x20, 4) & 0x1000, number(&whole, holes + EXTENTS + 6, 2)), (0x1000, 1));
    for (at, what) in [
        // How many entries an index has, and the first stretch of a file.
        (block(many, 20) + 34, "block 0 of directory inode"),
        (block(holes, 16) + 12, "the extents of inode"),
    ] {
        let mut changed = whole.clone();
        changed[at] ^= 0x01;
        let said = read(&changed).unwrap_err();
        assert!(said.contains(what) && said.contains("does not have its checksum"), "{said}");
    }
}

#[test]
fn features_that_kiln_does_not_read_are_named() {
    let with = |features: u32| {
        let mut changed = unsealed();
        changed[1024 + 0x60..1024 + 0x64].copy_from_slice(&features.to_le_bytes());
        read(&changed).unwrap_err()
    };
    assert!(with(0x2c2 | 0x4).contains("in use when it was copied"));
    assert!(with(0x2c2 | 0x8000).contains("features 0x8000"));
}

#[test]
fn a_disk_that_is_none_is_an_error_and_leaves_nothing() {
    let lab = Lab::new("none");
    for (bytes, words) in [(&b"QFI\xfbnone"[..], "read"), (&FILES[..3000], "read")] {
        lab.deliver(&[("d.qcow2", bytes)]);
        for format in ["raw", "tar"] {
            refused(&lab.export(format, &["-o", "out"]), 4, &["d.qcow2", words]);
        }
    }
    lab.deliver(&[("d.img", FILES)]);
    refused(&lab.export("raw", &["-o", "out"]), 5, &["neither a disk nor an archive"]);
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

/// Starts an export, and ends it with Ctrl-C's signal while it writes; nothing may be left.
fn interrupted(lab: &Lab, format: &str) {
    let mut export = lab.kiln(&["export", "build", "--format", format, "-o", "out"]);
    let mut child = export.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let begun = || {
        let entries = std::fs::read_dir(lab.path("")).unwrap().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".kiln-"))
            .any(|entry| entry.metadata().is_ok_and(|found| found.len() > 8 << 20))
    };
    until("8 MiB are written", &mut child, begun);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{format}: {}", text(&output));
    assert!(lab.names().is_empty(), "{format}: {:?}, {}", lab.names(), text(&output));
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let lab = Lab::new("interrupted");
    // A file with a hole of more than a gigabyte: seconds of zeros.
    let mut endless = unsealed();
    let note = endless.windows(14).position(|found| found == b"after the hole").unwrap() / 4096;
    let inode = (0..endless.len() - 256).step_by(256).find(|at| {
        let word = |from: usize| u32::from_le_bytes(endless[at + from..at + from + 4].try_into().unwrap());
        word(4) == (1 << 20) + 8192 && word(0x28) & 0xffff == 0xf30a
    });
    let inode = inode.unwrap_or_else(|| panic!("the inode of the file at block {note}"));
    endless[inode + 7] = 0x50;
    lab.deliver(&[("d.raw", &endless)]);
    interrupted(&lab, "tar");
    // More than anybody's disk has is refused before it is written.
    endless[inode + 0x6c] = 1;
    lab.deliver(&[("d.raw", &endless)]);
    refused(&lab.export("tar", &["-o", "out"]), 5, &["its files have more than"]);
}

#[test]
fn an_interrupted_conversion_of_a_raw_disk_leaves_nothing() {
    let lab = Lab::new("converting");
    // Behind the file system: what no compressor makes smaller, then zeros that nobody left out, which are read and not written.
    let mut raw = disk();
    let mut state = 1u64;
    for _ in 0..(24 << 20) / 8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        raw.extend(state.to_le_bytes());
    }
    raw.resize(raw.len() + (1 << 29), 0);
    lab.deliver(&[("d.raw", &raw)]);
    interrupted(&lab, "containerdisk");
}

/// Where the inode of a path is in a file system.
fn inode_at(bytes: &[u8], path: &str) -> usize {
    let names = Ext4Reader::new(Bytes(bytes)).unwrap().names(&|| false).unwrap();
    let (_, wanted) = names.into_iter().find(|(name, _)| name.to_string() == path).unwrap();
    let layout = Ext4Layout::read(&mut Bytes(bytes)).unwrap();
    let block = (0..layout.blocks).find_map(|block| match layout.place(block) {
        BlockPlace::Inodes(first) if (first..first + 16).contains(&wanted) => {
            Some(block * 4096 + (wanted - first) * 256)
        }
        _ => None,
    });
    block.unwrap() as usize
}

const BLOCK: usize = 4096;
/// `i_block` in an inode.
const EXTENTS: usize = 0x28;

/// The head of a node of extents, and entries that all are this child.
fn node(count: u16, depth: u16, child: u32) -> Vec<u8> {
    let head = [0xf30a, count, 340, depth, 0, 0].map(u16::to_le_bytes).concat();
    let entry = [&0u32.to_le_bytes()[..], &child.to_le_bytes(), &[0; 4]].concat();
    [head, entry.repeat(usize::from(count))].concat()
}

/// The fixture with a tree of extents for one file: its root, and nodes from a block on.
fn with_tree(root: &[u8], first: usize, nodes: &[Vec<u8>]) -> Vec<u8> {
    let mut disk = unsealed();
    let inode = inode_at(&disk, "/var/large");
    disk[inode + EXTENTS..inode + EXTENTS + root.len()].copy_from_slice(root);
    for (at, node) in nodes.iter().enumerate() {
        let block = (first + at) * BLOCK;
        disk[block..block + BLOCK].fill(0);
        disk[block..block + node.len()].copy_from_slice(node);
    }
    disk
}

#[test]
fn a_tree_of_extents_that_never_ends_is_refused_at_once() {
    // Five blocks, through which there are 340^5 ways.
    let first = 2043;
    let level = |at: u32| node(340, 4 - at as u16, first + at + 1);
    let endless = with_tree(&node(1, 5, first), first as usize, &(0..5).map(level).collect::<Vec<_>>());
    assert!(read(&endless).unwrap_err().contains("used twice"));
    let root = node(1, 1, first);
    // A node that refers to itself, one without entries, and one that is deeper than its parent says.
    for (node, words) in [
        (node(1, 1, first), "a node of its extents is invalid"),
        (node(0, 0, 0), "a node of its extents is invalid"),
        (node(1, 2, first), "a node of its extents is invalid"),
    ] {
        let found = read(&with_tree(&root, first as usize, &[node]));
        assert!(found.as_ref().is_err_and(|error| error.contains(words)), "{found:?}");
    }
    let lab = Lab::new("endless");
    lab.deliver(&[("d.raw", &endless)]);
    refused(&lab.export("tar", &["-o", "out"]), 5, &["used twice"]);
    assert!(lab.names().is_empty(), "{:?}", lab.names());
}

#[test]
fn files_do_not_share_blocks() {
    let mut shared = unsealed();
    let (one, two) = (inode_at(&shared, "/var/large"), inode_at(&shared, "/var/sparse"));
    shared.copy_within(one + EXTENTS..one + 0x64, two + EXTENTS);
    assert!(read(&shared).unwrap_err().contains("it has a block that is used twice"));
}

/// A qcow2 with clusters of 64 KiB, whose tables have the same entry throughout.
fn repeated(size: u64, entry: u64) -> Vec<u8> {
    let cluster = 64 << 10;
    let tables = (size.div_ceil(1 << 29)).min(4 << 20);
    let mut image = FILES[..112].to_vec();
    image.resize(cluster, 0);
    image[20..24].copy_from_slice(&16u32.to_be_bytes());
    image[24..32].copy_from_slice(&size.to_be_bytes());
    image[36..40].copy_from_slice(&(tables as u32).to_be_bytes());
    image[40..48].copy_from_slice(&(3 * cluster as u64).to_be_bytes());
    image.extend(entry.to_be_bytes().repeat(cluster / 8));
    image.extend([0x55].repeat(cluster));
    image.extend((cluster as u64).to_be_bytes().repeat(tables as usize));
    image
}

#[test]
fn a_disk_with_more_than_its_file_holds_is_refused_before_a_byte_is_written() {
    let lab = Lab::new("repeated");
    let data = 2 * (64 << 10);
    for (size, entry, words) in
        [(1 << 41, data, "far more than its file can hold"), (1 << 45, data, "than any that kiln makes")]
    {
        lab.deliver(&[("d.qcow2", &repeated(size, entry))]);
        for format in ["raw", "tar", "vmdk"] {
            refused(&lab.export(format, &["-o", "out"]), 4, &["d.qcow2", words]);
        }
        assert!(lab.names().is_empty(), "{:?}", lab.names());
    }
    // Few enough are written: what is the same is no fault.
    lab.deliver(&[("d.qcow2", &repeated(32 << 20, data))]);
    assert!(lab.exported("raw", "out") == vec![0x55; 32 << 20]);
}

#[test]
fn tables_without_clusters_are_read_no_longer_than_the_user_wants() {
    let lab = Lab::new("tables");
    std::fs::write(lab.path("d.qcow2"), repeated(1 << 41, 0)).unwrap();
    let mut disk = DiskReader::qcow2(std::fs::File::open(lab.path("d.qcow2")).unwrap()).unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        if asked.get() < 1000 { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
    };
    let ended = pieces(&mut disk, 64 << 10, &|_| stop(), &mut |_, _| panic!("there is no content"));
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    asked.set(0);
    assert!(disk.check_content(&stop).is_err());
}

#[test]
fn no_change_of_a_directory_loses_files_in_silence() {
    let whole = unsealed();
    let find = |bytes: &[u8]| whole.windows(bytes.len()).position(|found| found == bytes).unwrap();
    let refuses = |at: usize, value: &[u8], words: &str| {
        let mut changed = whole.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        let found = read(&changed);
        assert!(found.as_ref().is_err_and(|error| error.contains(words)), "{words}: {found:?}");
    };
    // The kind of an entry: of the directory `many`, and of the file `hostname`.
    for name in [&b"\x04\x02many"[..], b"\x08\x01hostname"] {
        for kind in (1..=255).filter(|kind| *kind != name[1]) {
            refuses(find(name) + 1, &[kind], "a directory says that it is of");
        }
    }
    // An entry that says nothing is what its inode is.
    let mut unknown = whole.clone();
    unknown[find(b"\x04\x02many") + 1] = 0;
    assert_eq!(read(&unknown), read(&whole));
    // The kind of an inode, its size, and its blocks.
    let many = inode_at(&whole, "/many");
    let size = number(&whole, many + 4, 4) as u32;
    assert!(size > 4096, "a directory with more than one block");
    refuses(many + 1, &[0x83], "a directory says that it is of another kind");
    for size in [0, 1, size - 4096, size - 1, size + 4096] {
        refuses(many + 4, &size.to_le_bytes(), "do not have the size of this directory");
    }
    refuses(many + EXTENTS + 2, &[0], "do not have the size of this directory");
    // Lengths of entries.
    for length in [0u16, 4, 6, 0xffff] {
        refuses(find(b"\x08\x01hostname") - 2, &length.to_le_bytes(), "an entry of this directory is invalid");
    }
}
