//! What to say when the files of an image do not fit on its disk.
//!
//! Input: the size of a file system, what the files need of it, and what it has. Output: the mistake in the recipe.

use crate::base::ByteSize;
use crate::exec::failure::StepFailure;
use crate::format::ext4::{self, BLOCK, Space};
use crate::plan::Statement;
use crate::recipe::image::SIZES;

/// Sizes that are proposed are multiples of this.
const STEP: u64 = 64 << 20;
/// What a running system writes before anybody uses it: a part of the files, and blocks.
const MARGIN: (u64, u64) = (16, 2048);

/// Files and a file system that does not hold them.
pub(super) struct Shortage<'a> {
    /// The partition, if that is not the root.
    pub(super) mount: Option<&'a str>,
    pub(super) size: u64,
    /// Bytes of what is needed that are a swap file.
    pub(super) swap: u64,
    pub(super) needed: Space,
    pub(super) room: Space,
}

impl Shortage<'_> {
    pub(super) fn failure(&self) -> StepFailure {
        StepFailure::recipe(self.about(), self.message()).help(self.help())
    }

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
            Some(bytes) => format!("write `size = {}` or more", ByteSize(bytes)),
            None => format!("no disk of at most {} holds them: leave files out", ByteSize(*SIZES.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(shortage(64 << 20, 1 << 40, 10)[1], "no disk of at most 2TiB holds them: leave files out");
    }
}
