//! File operations whose errors name the path.

#![allow(clippy::disallowed_methods, reason = "this is the door that the ban points to")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

pub use super::context::{context, create_dir_all, random};
use super::context::{is_plain, plain};
pub use super::remove::{remove_file, remove_tree};
use super::{OutputDirectory, WorldError};

/// Opens a plain file for reading. Anything else that may stand there is an error at once: a named pipe that nobody
/// writes to would be waited for, a device may have no end.
pub fn open(path: &Path) -> Result<File, WorldError> {
    // Opening a device may already do something; so it is looked at before, and again when it is open.
    context("open", path, fs::metadata(path).and_then(|found| is_plain(&found)))?;
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY)).open(path);
    plain("open", path, context("open", path, file)?)
}

/// The same; `None` where a directory stands.
pub fn open_unless_directory(path: &Path) -> Result<Option<File>, WorldError> {
    match context("look at", path, fs::metadata(path))?.is_dir() {
        true => Ok(None),
        false => open(path).map(Some),
    }
}

/// Whether nothing has this name. A name of which that cannot be told is taken to be there, so that whoever opens it hears why.
pub fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Creates a file, truncating what was there; a link is not followed.
pub fn create(path: &Path) -> Result<File, WorldError> {
    opened("create", path, fs::OpenOptions::new().write(true).create(true).truncate(true))
}

/// Creates a file in the place of whatever had its name, which keeps its bytes if it has other names.
pub fn create_anew(path: &Path) -> Result<File, WorldError> {
    remove_file(path)?;
    opened("create", path, fs::OpenOptions::new().write(true).create_new(true))
}

/// A file to be written, which must be a plain one that stands at the path itself.
fn opened(verb: &'static str, path: &Path, options: &mut fs::OpenOptions) -> Result<File, WorldError> {
    let file = options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)).open(path);
    if file.as_ref().is_err_and(|error| error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())) {
        return Err(WorldError::Link { path: path.to_owned() });
    }
    plain(verb, path, context(verb, path, file)?)
}

fn flags(flags: OFlags) -> i32 {
    // The same bits, whatever the sign.
    flags.bits() as i32
}

/// Creates a file that nobody but this user may read or write, in a directory of kiln's own: nothing may be there, not
/// even a link.
pub fn create_new(path: &Path) -> Result<File, WorldError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    context("create", path, options.read(true).write(true).create_new(true).mode(0o600).open(path))
}

/// The same, or the named pipe that whoever waits for the file has made in its place: it is written from its beginning to its end.
pub fn create_output(path: &Path) -> Result<File, WorldError> {
    let mut options = fs::OpenOptions::new();
    let nonblocking = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    // A pipe that nobody reads is an error instead of being waited for.
    let opened = match options.write(true).custom_flags(flags(nonblocking)).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return create_new(path),
        opened => context("open", path, opened)?,
    };
    if !context("look at", path, opened.metadata())?.file_type().is_fifo() {
        return create_new(path);
    }
    let waits = rustix::fs::fcntl_setfl(&opened, OFlags::WRONLY).map_err(std::io::Error::from);
    context("open", path, waits)?;
    Ok(opened)
}

/// Memory that is taken for a file before it is read.
const MAX_AT_ONCE: u64 = 1 << 20;

/// A whole file, refused when larger than `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
    let file = open(path)?;
    // Only where memory is taken at once is the size believed: a file may say anything, and may grow.
    let size = context("look at", path, file.metadata())?.len().min(limit).min(MAX_AT_ONCE);
    let mut bytes = Vec::with_capacity(size as usize);
    context("read", path, file.take(limit + 1).read_to_end(&mut bytes))?;
    if bytes.len() as u64 > limit {
        return Err(WorldError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Moves a file into place.
pub fn rename(from: &Path, to: &Path) -> Result<(), WorldError> {
    context("rename", from, fs::rename(from, to))
}

/// Writes a file so that a reader sees the old bytes or the new ones, never a mixture.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    write_with_mode(path, bytes, 0o644)
}

/// The same, with permission bits of the caller's choice whatever the umask.
pub fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WorldError> {
    let (directory, name) = OutputDirectory::holding(path)?;
    directory.write(name, bytes, mode)
}

/// Opens a file to lock it, making it when there is none. Only its owner may open it: whoever can read a file can lock it,
/// and keep others waiting.
pub fn open_lock(path: &Path) -> Result<File, WorldError> {
    use std::os::unix::fs::PermissionsExt;
    let mut options = fs::OpenOptions::new();
    let file = opened("open", path, options.read(true).write(true).create(true).truncate(false).mode(0o600))?;
    let open_to_others = context("look at", path, file.metadata())?.permissions().mode() & 0o077 != 0;
    if open_to_others {
        // One that an earlier kiln made. Somebody else's file stays as it is: whoever owns it may hold it anyway.
        let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    }
    Ok(file)
}

/// Opens a file to go on writing at its end, making it when there is none.
pub fn open_append(path: &Path) -> Result<File, WorldError> {
    opened("open", path, fs::OpenOptions::new().append(true).create(true).mode(0o600))
}

/// Opens a file to read it and then go on writing at its end, making it when there is none.
pub fn open_grow(path: &Path) -> Result<File, WorldError> {
    opened("open", path, fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600))
}

/// Opens a file to read and write anywhere in it, making it when there is none.
pub fn open_edit(path: &Path) -> Result<File, WorldError> {
    opened("open", path, fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
}

/// Adds bytes at the end of a file in one piece, so that several processes may do so at once.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    context("write", path, std::io::Write::write_all(&mut open_append(path)?, bytes))
}

/// The names in a directory, sorted.
pub fn names(path: &Path) -> Result<Vec<std::ffi::OsString>, WorldError> {
    let list = || fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names: Vec<_> = context("list", path, list())?;
    names.sort();
    Ok(names)
}

/// What is known of a file without reading it; a link is not followed.
pub fn metadata(path: &Path) -> Result<fs::Metadata, WorldError> {
    context("look at", path, fs::symlink_metadata(path))
}

/// Sets the mode of a file or directory, and its times, counted from 1970, when given.
pub fn protect(path: &Path, mode: u32, time: Option<std::time::Duration>) -> Result<(), WorldError> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(time) = time {
        let time = std::time::SystemTime::UNIX_EPOCH + time;
        let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
        context("set the times of", path, File::open(path).and_then(|file| file.set_times(times)))?;
    }
    context("set the mode of", path, fs::set_permissions(path, fs::Permissions::from_mode(mode)))
}

/// Sets the times of a file to now.
pub fn touch(path: &Path) -> Result<(), WorldError> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    set_times(path, now, rustix::fs::AtFlags::empty())
}

fn set_times(path: &Path, time: rustix::fs::Timespec, flags: rustix::fs::AtFlags) -> Result<(), WorldError> {
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let set = rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags);
    context("set the times of", path, set.map_err(std::io::Error::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_file_is_an_error_at_once() {
        let directory = std::env::temp_dir().join(format!("kiln-plain-{}", std::process::id()));
        create_dir_all(&directory).unwrap();
        let pipe = directory.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let socket = directory.join("socket");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.join("link")).unwrap();
        for (path, noun) in [
            (pipe.as_path(), "a named pipe"),
            (&socket, "a socket"),
            (&directory, "a directory"),
            (Path::new("/dev/zero"), "a device"),
            (&directory.join("link"), "a device"),
        ] {
            let error = read(path, 1 << 20).unwrap_err().to_string();
            assert!(error.contains(noun) && error.contains("not a regular file"), "{error}");
        }
        assert!(create(&pipe).is_err() && open_append(&pipe).is_err() && open_lock(&pipe).is_err());
        remove_tree(&directory).unwrap();
    }
}
