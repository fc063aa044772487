//! Contents of files, where they lie; and which of their blocks are not all zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::super::BLOCK;

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// A file with contents of files in it, read at any place by several at a time.
pub trait ContentSource: Sync {
    /// Fills `buffer` from `offset` on.
    fn read_content(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ContentSource for File {
    fn read_content(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

/// Blocks of a file that are not all zeros, beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first block within the file.
    pub(super) first: u64,
    pub(super) blocks: u64,
}

/// The stretches of a content of so many bytes.
pub(super) fn stretches(
    source: &dyn ContentSource,
    (mut offset, mut left): (u64, u64),
    go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<Vec<Stretch>> {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let mut found: Vec<Stretch> = Vec::new();
    let mut buffer = vec![0; left.min(CHUNK as u64) as usize];
    let mut block = 0;
    while left > 0 {
        go_on()?;
        let count = left.min(CHUNK as u64) as usize;
        source.read_content(&mut buffer[..count], offset)?;
        for bytes in buffer[..count].chunks(BLOCK as usize) {
            if *bytes != ZEROS[..bytes.len()] {
                match found.last_mut().filter(|last| last.first + last.blocks == block) {
                    Some(last) => last.blocks += 1,
                    None => found.push(Stretch { first: block, blocks: 1 }),
                }
            }
            block += 1;
        }
        (offset, left) = (offset + count as u64, left - count as u64);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ContentSource for Vec<u8> {
        fn read_content(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let bytes = self.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        }
    }

    #[test]
    fn blocks_of_zeros_are_holes() {
        let mut content = vec![0; 100 * BLOCK as usize + 1];
        for block in [0, 1, 4, 63, 64, 100] {
            content[block * BLOCK as usize] = 1;
        }
        let found = |content: &Vec<u8>| {
            let found = stretches(content, (0, content.len() as u64), &|| Ok(())).unwrap();
            found.iter().map(|stretch| (stretch.first, stretch.blocks)).collect::<Vec<_>>()
        };
        assert_eq!(found(&content), [(0, 2), (4, 1), (63, 2), (100, 1)]);
        assert!(found(&vec![0; 5000]).is_empty() && found(&Vec::new()).is_empty());
        assert!(stretches(&vec![1; 10], (5, 6), &|| Ok(())).is_err());
    }
}
