//! Two FAT file systems, file by file.

use std::io::{self, Read};

use super::disk::Disk;
use super::{Differences, MAX_NESTING, streams};
use crate::format::fat::{self, FatFile};

/// Compares; `false` when they are none, or when no file differs although something does.
pub(super) fn compare((one, two): (&mut Disk, &mut Disk), found: &mut Differences) -> io::Result<bool> {
    let (Some(first), Some(second)) = (files(one)?, files(two)?) else { return Ok(false) };
    let before = found.count();
    for (name, file) in &first {
        match second.get(name) {
            None => found.add(name, "is missing in the second"),
            Some(other) => {
                let (one, two) = (FileReader::new(one, file), FileReader::new(two, other));
                streams(name, (Box::new(one), Box::new(two)), MAX_NESTING, found);
            }
        }
    }
    for name in second.keys().filter(|name| !first.contains_key(*name)) {
        found.add(name, "is missing in the first");
    }
    Ok(found.count() > before)
}

fn files(disk: &mut Disk) -> io::Result<Option<std::collections::BTreeMap<String, FatFile>>> {
    if disk.size() < 512 {
        return Ok(None);
    }
    fat::files(&mut |offset, buffer| disk.read_at(offset, buffer))
}

/// The bytes of a file, in order.
struct FileReader<'a> {
    disk: &'a mut Disk,
    stretches: Vec<(u64, u64)>,
}

impl FileReader<'_> {
    fn new<'a>(disk: &'a mut Disk, file: &FatFile) -> FileReader<'a> {
        let mut stretches = file.stretches.clone();
        stretches.reverse();
        FileReader { disk, stretches }
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((start, length)) = self.stretches.pop() else { return Ok(0) };
        let count = (buffer.len() as u64).min(length);
        self.disk.read_at(start, &mut buffer[..count as usize])?;
        if count < length {
            self.stretches.push((start + count, length - count));
        }
        Ok(count as usize)
    }
}
