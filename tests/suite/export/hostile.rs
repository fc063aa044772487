//! File systems that were damaged or prepared: an error or an archive, at once, and no file of the reader's own.

use std::io::Read;
use std::process::Stdio;

use kiln::format::disk::ReadAt;
use kiln::format::ext4::Ext4Reader;
use kiln::format::tar::TarEntryKind;

use super::{FILES, Lab, disk};
use crate::suite::failure_support::{refused, text};

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
    let whole = disk();
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

#[test]
fn features_that_kiln_does_not_read_are_named() {
    let with = |features: u32| {
        let mut changed = disk();
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

#[test]
fn an_interrupted_export_leaves_nothing() {
    let lab = Lab::new("interrupted");
    // A file with a hole of 512 GiB: minutes of zeros.
    let mut endless = disk();
    let note = endless.windows(14).position(|found| found == b"after the hole").unwrap() / 4096;
    let inode = (0..endless.len() - 256).step_by(256).find(|at| {
        let word = |from: usize| u32::from_le_bytes(endless[at + from..at + from + 4].try_into().unwrap());
        word(4) == (1 << 20) + 8192 && word(0x28) & 0xffff == 0xf30a
    });
    let inode = inode.unwrap_or_else(|| panic!("the inode of the file at block {note}"));
    endless[inode + 0x6c] = 128;
    lab.deliver(&[("d.raw", &endless)]);
    let mut export = lab.kiln(&["export", "build", "--format", "tar", "-o", "out"]);
    let child = export.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let begun = || {
        let entries = std::fs::read_dir(lab.path("")).unwrap().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".kiln-"))
            .any(|entry| entry.metadata().is_ok_and(|found| found.len() > 8 << 20))
    };
    while !begun() {
        std::thread::yield_now();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(lab.names().is_empty(), "{:?}", lab.names());
    // More than anybody's disk has is refused before it is written.
    endless[inode + 0x6d] = 4;
    lab.deliver(&[("d.raw", &endless)]);
    refused(&lab.export("tar", &["-o", "out"]), 5, &["its files have more than"]);
}
