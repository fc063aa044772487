//! Makes files in a [`Dir`] out of what somebody else sent: every path is resolved from the directory's descriptor and
//! through no link, nothing that is there is opened or replaced, and nothing is made outside.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::WorldError;
use super::dir::Dir;
use super::fs::context;

/// Below the directory, and through no link at all.
const STRICT: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

impl Dir {
    /// Makes a directory with its parents below this one; those that are there stay.
    pub fn make_below(&self, below: &Path) -> Result<(), WorldError> {
        let mut made = std::path::PathBuf::new();
        for part in below.iter() {
            let parent = self.directory(&made)?;
            made.push(part);
            match rustix::fs::mkdirat(&parent.fd, part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return context("create directory", &self.path.join(&made), Err(error.into())),
            }
        }
        self.directory(below).map(drop)
    }

    /// A new file, with the permission bits that the umask leaves of `mode`; nothing may have its name.
    pub fn create_below(&self, below: &Path, mode: u32) -> Result<File, WorldError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat2(&self.fd, below, flags, Mode::from_raw_mode(mode), STRICT);
        context("create", &self.path.join(below), made.map(File::from).map_err(Into::into))
    }

    /// A new link; nothing may have its name. Nobody here follows it.
    pub fn link_below(&self, below: &Path, target: &std::ffi::OsStr) -> Result<(), WorldError> {
        let (parent, name) = (below.parent().unwrap_or(Path::new("")), below.file_name().unwrap_or_default());
        let made = rustix::fs::symlinkat(target, &self.directory(parent)?.fd, name);
        context("create", &self.path.join(below), made.map_err(Into::into))
    }

    /// Sets the mode of a file or directory in it, whatever the umask is.
    pub fn set_mode_below(&self, below: &Path, mode: u32) -> Result<(), WorldError> {
        let opened = rustix::fs::openat2(&self.fd, below, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), STRICT);
        let set = opened.and_then(|file| rustix::fs::fchmod(file, Mode::from_raw_mode(mode)));
        context("set the mode of", &self.path.join(below), set.map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::fs;

    #[test]
    fn nothing_is_made_through_a_link_or_over_what_is_there() {
        let base = std::env::temp_dir().join(format!("kiln-fill-{}", std::process::id()));
        fs::create_dir_all(&base.join("inside")).unwrap();
        fs::create_dir_all(&base.join("outside")).unwrap();
        let dir = Dir::open(&base.join("inside")).unwrap();
        dir.make_below(Path::new("a/b")).unwrap();
        dir.make_below(Path::new("a/b")).unwrap();
        drop(dir.create_below(Path::new("a/b/file"), 0o644).unwrap());
        dir.create_below(Path::new("a/b/file"), 0o644).unwrap_err();
        dir.link_below(Path::new("out"), "../outside".as_ref()).unwrap();
        dir.link_below(Path::new("out"), "elsewhere".as_ref()).unwrap_err();
        dir.create_below(Path::new("out/file"), 0o644).unwrap_err();
        dir.create_below(Path::new("../outside/file"), 0o644).unwrap_err();
        dir.make_below(Path::new("out/directory")).unwrap_err();
        dir.make_below(Path::new("../outside/directory")).unwrap_err();
        dir.link_below(Path::new("out/link"), "x".as_ref()).unwrap_err();
        assert!(fs::names(&base.join("outside")).unwrap().is_empty());
        fs::remove_tree(&base).unwrap();
    }
}
