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
pub(super) fn run(
    context: &BuiltinContext<'_>,
    (size, swap): (u64, u64),
    mount: Option<&str>,
) -> Result<(), BuiltinError> {
    let mut needed = needed(fs::open(input(context, "root.tar")?)?)?;
    needed.blocks += swap / BLOCK;
    needed.inodes += u64::from(swap > 0);
    let shortage = Shortage { mount, size, swap, needed, room: ext4::room(size) };
    if !shortage.room.holds(needed) {
        let failure = StepFailure::recipe(shortage.about(), shortage.message());
        return Err(failure.help(shortage.help()).into());
    }
    let text = format!("error: {}\nhelp: {}\n", shortage.message(), shortage.help());
    Ok(fs::write_atomically(&context.out.join(disk::FIT), text.as_bytes())?)
}

/// What the files of an archive need at least.
pub fn needed(file: File) -> Result<Space, BuiltinError> {
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
struct Shortage<'a> {
    /// The partition, if that is not the root.
    mount: Option<&'a str>,
    size: u64,
    /// Bytes of what is needed that are a swap file.
    swap: u64,
    needed: Space,
    room: Space,
}

impl Shortage<'_> {
    fn about(&self) -> Statement {
        self.mount.map_or(Statement::Size, |mount| Statement::Partition(mount.to_owned()))
    }

    fn message(&self) -> String {
        let Shortage { mount, size, swap, needed, room } = self;
        let whose = mount.map_or("of this image".to_owned(), |mount| format!("below `{mount}`"));
        let size = ByteSize(*size);
        if room.blocks >= needed.blocks && room.inodes < needed.inodes {
            return format!(
                "{} has {} files and directories, and a file system of {size} has room for {}",
                mount.map_or("the image".to_owned(), |mount| format!("`{mount}`")),
                needed.inodes,
                room.inodes
            );
        }
        format!(
            "the files {whose}{} take {} MiB, and a file system of {size} has room for {} MiB",
            if *swap > 0 { " and its swap file" } else { "" },
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
            let shortage =
                Shortage { mount: None, size, swap: 0, needed: Space { blocks, inodes }, room: ext4::room(size) };
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
}
