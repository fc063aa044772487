//! Copies of files that keep the holes.
//!
//! A hole reads as zeros, so nothing here changes what a reader sees; it is space and time that differ.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{SeekFrom, seek};

use crate::base::holes::next_data;

/// Bytes that are copied at a time.
const PIECE: u64 = 64 << 20;

/// Copies a whole file to an empty one. Holes stay holes, and blocks are shared where the file system can.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    copy_while(from, to, &|| Ok(()))
}

/// Copies a whole file to an empty one, as long as `go_on` has no error.
pub fn copy_while(from: &File, to: &File, go_on: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = rustix::fs::fstat(from)?.st_size.unsigned_abs();
    let mut at = 0;
    while let Some(data) = next_data(from, at, size)? {
        go_on()?;
        seek(from, SeekFrom::Start(data.start))?;
        seek(to, SeekFrom::Start(data.start))?;
        let copied = io::copy(&mut from.take((data.end - data.start).min(PIECE)), &mut &*to)?;
        if copied == 0 {
            break;
        }
        at = data.start + copied;
    }
    to.set_len(size)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;
    use crate::world::fs;

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_holes() {
        let directory = std::env::temp_dir().join(format!("kiln-sparse-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (one, two) = (directory.join("one"), directory.join("two"));
        let from = fs::create_new(&one).unwrap();
        from.write_all_at(b"first", 0).unwrap();
        from.write_all_at(&[7; 70_000], 3 << 20).unwrap();
        from.set_len(64 << 20).unwrap();
        let to = fs::create_new(&two).unwrap();
        copy(&from, &to).unwrap();
        assert!(fs::read(&one, 64 << 20).unwrap() == fs::read(&two, 64 << 20).unwrap());
        // Blocks of 512 bytes, whatever the file system's own are.
        let (whole, used) = (to.metadata().unwrap().size(), to.metadata().unwrap().blocks() * 512);
        assert_eq!(whole, 64 << 20);
        assert!(used < 1 << 20, "{used} bytes on the disk");
        assert_eq!(next_data(&to, 4 << 20, whole).unwrap(), None);
        fs::remove_tree(&directory).unwrap();
    }
}
