//! [`crate::plan::Builtin::Fit`]: whether the files of an image fit on its disk, before anything tries to write them.
//!
//! Input: the archive that a file system is made of, and the size of that. Output: what to say when it does not hold them
//! after all. What is refused here is certain not to fit: only what every ext4 file system stores of a file is counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use super::{BuiltinContext, BuiltinError, input};
use crate::base::ByteSize;
use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::format::ext4::{self, BLOCK, Needs, Space};
use crate::format::tar::{TarEntryKind, TarPath, TarReader};
use crate::plan::{Statement, disk};
use crate::recipe::image::SIZES;
use crate::world::fs;

/// Sizes that are proposed are multiples of this.
const STEP: u64 = 64 << 20;
/// What a running system writes before anybody uses it, and what this count leaves out: a part of the files, and blocks.
const MARGIN: (u64, u64) = (16, 2048);

/// Input `root.tar`; output as [`disk::FIT`] names it.
pub(super) fn run(context: &BuiltinContext<'_>, size: u64) -> Result<(), BuiltinError> {
    let needed = needed(fs::open(input(context, "root.tar")?)?)?;
    let shortage = Shortage { size, needed, room: ext4::room(size) };
    if !shortage.room.holds(needed) {
        let failure = StepFailure::recipe(Statement::Size, shortage.message());
        return Err(failure.help(shortage.help()).into());
    }
    let text = format!("error: {}\nhelp: {}\n", shortage.message(), shortage.help());
    Ok(fs::write_atomically(&context.out.join(disk::FIT), text.as_bytes())?)
}

/// What the files of an archive need at least.
fn needed(file: File) -> Result<Space, BuiltinError> {
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 18, file));
    let mut needs = Needs::default();
    // Bytes of the entries of every directory.
    let mut directories = BTreeMap::from([(TarPath::root(), 0)]);
    while let Some(entry) = reader.next_entry()? {
        if interrupt::stopped() {
            return Err(StepFailure::input("interrupted").into());
        }
        match &entry.kind {
            TarEntryKind::File => needs.file(&stretches(&mut reader)?),
            TarEntryKind::Directory => drop(directories.entry(entry.path.clone()).or_default()),
            TarEntryKind::Symlink(target) => needs.link(target.len() as u64),
            TarEntryKind::Hardlink(_) => {}
            TarEntryKind::CharDevice(_) | TarEntryKind::BlockDevice(_) | TarEntryKind::Fifo => needs.special(),
        }
        if let Some(parent) = entry.path.parent() {
            *directories.entry(parent).or_default() += ext4::entry(entry.path.name().len() as u64);
        }
    }
    directories.into_values().for_each(|entries| needs.directory(entries));
    let Space { blocks, inodes } = needs.space();
    // The root is there already, with the first block of its entries.
    Ok(Space { blocks: blocks - 1, inodes: inodes - 1 })
}

/// Stretches of blocks of a file's content that are not all zeros: `mke2fs` leaves holes for the others.
fn stretches(content: &mut impl Read) -> Result<Vec<u64>, BuiltinError> {
    let mut stretches = Vec::new();
    let mut buffer = vec![0; BLOCK as usize];
    let mut before = false;
    loop {
        let filled = fill(content, &mut buffer).map_err(crate::format::tar::TarError::from)?;
        if filled == 0 {
            return Ok(stretches);
        }
        let data = buffer[..filled].iter().any(|byte| *byte != 0);
        match (before, data) {
            (true, true) => *stretches.last_mut().expect("a stretch began") += 1,
            (false, true) => stretches.push(1),
            (_, false) => {}
        }
        before = data;
    }
}

fn fill(content: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Files and a file system that does not hold them.
struct Shortage {
    size: u64,
    needed: Space,
    room: Space,
}

impl Shortage {
    fn message(&self) -> String {
        let Shortage { size, needed, room } = self;
        let size = ByteSize(*size);
        if room.blocks >= needed.blocks && room.inodes < needed.inodes {
            return format!(
                "the image has {} files and directories, and a file system of {size} has room for {}",
                needed.inodes, room.inodes
            );
        }
        format!(
            "the files of this image take {} MiB, and a file system of {size} has room for {} MiB",
            (needed.blocks * BLOCK).div_ceil(1 << 20),
            (room.blocks * BLOCK) >> 20
        )
    }

    fn help(&self) -> String {
        let margin = |number: u64| number + number / MARGIN.0 + MARGIN.1;
        let wanted = Space { blocks: margin(self.needed.blocks), inodes: margin(self.needed.inodes) };
        match ext4::smallest(wanted, STEP, *SIZES.end()) {
            // What was tried does not suffice, whatever was counted.
            Some(bytes) => format!("write `size = {}` or more", ByteSize(bytes.max((self.size + STEP) / STEP * STEP))),
            None => format!("no disk of at most {} holds them: leave files out", ByteSize(*SIZES.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_zeros_are_holes() {
        let mut content = vec![0; 10 * BLOCK as usize + 1];
        for block in [0, 1, 4, 10] {
            content[block * BLOCK as usize] = 1;
        }
        assert_eq!(stretches(&mut content.as_slice()).unwrap(), [2, 1, 1]);
        assert!(stretches(&mut [0; 5000].as_slice()).unwrap().is_empty());
    }

    #[test]
    fn a_shortage_says_what_is_short_and_what_suffices() {
        let shortage = |size: u64, blocks: u64, inodes: u64| {
            let shortage = Shortage { size, needed: Space { blocks, inodes }, room: ext4::room(size) };
            [shortage.message(), shortage.help()]
        };
        assert_eq!(
            shortage(64 << 20, 20_000, 10),
            [
                "the files of this image take 79 MiB, and a file system of 64MiB has room for 58 MiB",
                "write `size = 128MiB` or more"
            ]
        );
        assert_eq!(
            shortage(64 << 20, 10, 5000),
            [
                "the image has 5000 files and directories, and a file system of 64MiB has room for 4085",
                "write `size = 128MiB` or more"
            ]
        );
        // It was tried, and did not suffice after all.
        assert_eq!(shortage(128 << 20, 10, 10)[1], "write `size = 192MiB` or more");
        assert_eq!(shortage(64 << 20, 1 << 40, 10)[1], "no disk of at most 2TiB holds them: leave files out");
    }

    /// A tree with many small files, some large ones, holes and long links, as an archive and as a directory.
    fn tree(directory: &std::path::Path) -> Vec<u8> {
        use crate::format::tar::{TarEntry, TarWriter};
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

    /// What fits is never refused, and what is not refused and does not fit is a narrow matter.
    #[test]
    fn mke2fs_writes_what_fits_and_fails_at_what_is_refused() {
        let place = std::env::temp_dir().join(format!("kiln-fit-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let (directory, archive, disk) = (place.join("tree"), place.join("tree.tar"), place.join("disk.raw"));
        std::fs::write(&archive, tree(&directory)).unwrap();
        let needed = needed(fs::open(&archive).unwrap()).unwrap();
        let written = |bytes: u64| {
            File::create(&disk).unwrap().set_len(bytes).unwrap();
            let mut mke2fs = std::process::Command::new("mke2fs");
            mke2fs.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            mke2fs.env("MKE2FS_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/image/mke2fs.conf"));
            mke2fs.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "1", "-E", "nodiscard"]);
            mke2fs.arg("-d").arg(&directory).arg(&disk).output().map(|output| output.status.success())
        };
        let (mut refused, mut full) = (0, 0);
        for bytes in (56..=74).step_by(2).map(|mebibytes| mebibytes << 20) {
            let Ok(fits) = written(bytes) else {
                let required = std::env::var("KILN_REQUIRE").is_ok_and(|value| value == "1");
                assert!(!required, "KILN_REQUIRE=1, and this machine has no mke2fs");
                println!("skipped: no mke2fs");
                break;
            };
            let room = ext4::room(bytes);
            assert!(!fits || room.holds(needed), "{bytes}: {needed:?} in {room:?} was written, and is refused");
            refused += u32::from(!room.holds(needed));
            full += u32::from(!fits);
        }
        assert!(full - refused <= 1, "{full} were too small, {refused} are refused");
        let judged = full > 0;
        assert!(!judged || refused > 2 && full < 9, "{full} of 10 were too small, {refused} are refused");
        crate::world::fs::remove_tree(&place).unwrap();
    }
}
