//! Standard output, pipes and devices as what a path leads to: they take bytes as they come, and have no name to give away.
//!
//! Input: a path that the user spelled out. Output: what stands there, and bytes written to it.

use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use super::WorldError;
use super::context::context;

/// What a path that is to be written to leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has the name.
    Free,
    /// A file, or a link to one or to nothing.
    File,
    /// A directory, or a link to one.
    Directory,
    /// Standard output: `-`, or a link such as `/dev/stdout`.
    StandardOutput,
    /// A pipe, a terminal or another device.
    Stream,
}

impl Standing {
    /// What is there now.
    pub fn of(path: &Path) -> Standing {
        if path == Path::new("-") {
            return Standing::StandardOutput;
        }
        let Ok(own) = path.symlink_metadata() else {
            // Whatever is made there, `new/` asks for a directory.
            let is_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
            return if is_directory { Standing::Directory } else { Standing::Free };
        };
        match path.metadata() {
            Ok(found) if own.is_symlink() && is_standard_output(&found) => Standing::StandardOutput,
            Ok(found) if found.is_dir() => Standing::Directory,
            Ok(found) if !found.is_file() => Standing::Stream,
            _ => Standing::File,
        }
    }
}

fn is_standard_output(found: &Metadata) -> bool {
    let own = Path::new("/proc/self/fd/1").metadata();
    own.is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// Writes to a pipe or a device. One that is a file by now keeps its bytes, and a pipe that nobody reads is an error at once.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    let opened = || {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let outlet = rustix::fs::open(path, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&outlet)?.st_mode).is_file() {
            return Err(rustix::io::Errno::EXIST);
        }
        // Readers may be slow.
        rustix::fs::fcntl_setfl(&outlet, rustix::fs::fcntl_getfl(&outlet)? - OFlags::NONBLOCK)?;
        Ok(File::from(outlet))
    };
    let mut outlet = context("open", path, opened().map_err(Into::into))?;
    context("write", path, outlet.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::world::fs;

    #[test]
    fn a_path_leads_to_a_file_a_directory_a_stream_or_nothing() {
        let directory = std::env::temp_dir().join(format!("kiln-outlet-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let at = |name: &str| directory.join(name);
        fs::write_atomically(&at("file"), b"old").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for (name, to) in [("to-file", "file"), ("to-nothing", "none"), ("to-here", "."), ("to-null", "/dev/null")] {
            std::os::unix::fs::symlink(to, at(name)).unwrap();
        }
        for (name, standing) in [
            ("none", Standing::Free),
            ("none/", Standing::Directory),
            ("file", Standing::File),
            ("to-file", Standing::File),
            ("to-nothing", Standing::File),
            (".", Standing::Directory),
            ("to-here", Standing::Directory),
            ("pipe", Standing::Stream),
            ("to-null", Standing::Stream),
        ] {
            assert_eq!(Standing::of(&at(name)), standing, "{name}");
        }
        assert_eq!(Standing::of(Path::new("-")), Standing::StandardOutput);
        assert_eq!(Standing::of(Path::new("./-")), Standing::Free);
        assert!(write(&at("pipe"), b"x").is_err(), "nobody reads it");
        assert!(write(&at("file"), b"x").is_err());
        assert_eq!(fs::read(&at("file"), 10).unwrap(), b"old");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let reader = rustix::fs::open(at("pipe"), flags, Mode::empty()).unwrap();
        write(&at("pipe"), b"bytes").unwrap();
        let mut read = Vec::new();
        File::from(reader).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"bytes");
        fs::remove_tree(&directory).unwrap();
    }
}
