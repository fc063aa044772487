//! What is done to single files of a tree by their paths.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Go, Place, Stat, Tree, TreeError, place};

/// Most bytes of a text file that kiln edits (`passwd`, `status`, ...).
const TEXT_LIMIT: u64 = 64 << 20;

impl Tree {
    fn place(&self, verb: &'static str, path: impl AsRef<Path>) -> Result<Place, TreeError> {
        self.at(&path).map_err(|source| TreeError::file(verb, path, source))
    }

    /// Writes a new file with these permissions, whatever the umask; replaces what was there, also a link.
    pub(crate) fn put(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), TreeError> {
        self.copy(&mut &*bytes, path, mode)
    }

    /// The same with everything that `from` has.
    pub(crate) fn copy(&self, from: &mut dyn Read, path: impl AsRef<Path>, mode: u32) -> Result<(), TreeError> {
        let place = self.place("write", path)?;
        if place.is_kept() {
            return Ok(());
        }
        let mut write = || {
            match place.unlink() {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = place.create()?;
            io::copy(from, &mut file)?;
            file.set_permissions(Permissions::from_mode(mode))
        };
        place.context("write", write())
    }

    /// What is at a path, without following it; `None` when nothing is.
    pub(crate) fn stat(&self, path: impl AsRef<Path>) -> Result<Option<Stat>, TreeError> {
        absent(self.at(&path).and_then(|place| place.stat())).map_err(|error| TreeError::file("read", path, error))
    }

    /// What is at a path after all links, which are followed within the tree; `None` when nothing is.
    pub(crate) fn find(&self, path: impl AsRef<Path>) -> Result<Option<Stat>, TreeError> {
        let find = || {
            let opened = self.resolve(&super::relative(path.as_ref())?, OFlags::PATH)?;
            Ok(Stat::new(&rustix::fs::fstat(opened)?))
        };
        absent(find()).map_err(|error| TreeError::file("read", &path, error))
    }

    /// Whether something is at a path after all links.
    pub(crate) fn has(&self, path: impl AsRef<Path>) -> Result<bool, TreeError> {
        Ok(self.find(path)?.is_some())
    }

    /// A text file; `None` when there is none.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Result<Option<String>, TreeError> {
        match self.at(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TreeError::file("read", path, error)),
            Ok(place) => place.text(),
        }
    }

    /// A file, refused when larger than `limit`; `None` when there is none.
    pub(crate) fn bytes(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, TreeError> {
        match self.at(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TreeError::file("read", path, error)),
            Ok(place) => place.bytes(limit),
        }
    }

    /// Changes the content of a text file in place, so that owner and permissions stay; nothing when there is none.
    pub(crate) fn edit(&self, path: impl AsRef<Path>, change: impl FnOnce(&str) -> String) -> Result<(), TreeError> {
        let Some(before) = self.text(&path)? else { return Ok(()) };
        let after = change(&before);
        if after == before {
            return Ok(());
        }
        let place = self.place("write", path)?;
        if place.is_kept() {
            return Ok(());
        }
        let write = || {
            let (mut file, _) = place.change()?;
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(after.as_bytes())
        };
        place.context("write", write())
    }

    /// Removes a file, link or whole directory, if there is one.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) -> Result<(), TreeError> {
        match self.at(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(TreeError::file("remove", path, error)),
            Ok(place) => place.remove(),
        }
    }

    /// Removes what is in a directory, and keeps the directory as it is.
    pub(crate) fn empty(&self, path: impl AsRef<Path>) -> Result<(), TreeError> {
        self.list(path)?.iter().try_for_each(Place::remove)
    }

    /// Makes a symbolic link in the place of whatever is there.
    pub(crate) fn link(&self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) -> Result<(), TreeError> {
        let place = self.place("link", path)?;
        if place.is_kept() {
            return Ok(());
        }
        place.remove()?;
        place.context("link", place.make_link(target))
    }

    /// Makes a directory and its parents with mode 0755, whatever the umask; existing ones stay as they are, and links to
    /// directories of the tree count as such.
    pub(crate) fn directory(&self, path: impl AsRef<Path>) -> Result<(), TreeError> {
        let path = path.as_ref();
        if self.find(path)?.is_some_and(|stat| stat.directory()) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        let place = self.place("create directory", path)?;
        place.context("create directory", place.make_directory().and_then(|()| place.permit(0o755)))
    }

    /// Sets permission bits. A link is followed within the tree: it has none itself.
    pub(crate) fn permit(&self, path: impl AsRef<Path>, mode: u32) -> Result<(), TreeError> {
        let opened = super::relative(path.as_ref()).and_then(|path| self.resolve(&path, OFlags::PATH));
        let changed = opened.and_then(|opened| place::permit(&opened, mode));
        changed.map_err(|error| TreeError::file("change mode of", path, error))
    }

    /// Gives a file capabilities, in the form in which the kernel keeps them.
    pub(crate) fn empower(&self, path: impl AsRef<Path>, attribute: &[u8]) -> Result<(), TreeError> {
        let place = self.place("give capabilities to", path)?;
        let given = place.read().and_then(|(file, _)| super::set_capability(&file, attribute));
        place.context("give capabilities to", given)
    }

    /// Gives everything in the tree, and the tree itself, one time.
    pub(crate) fn set_times(&self, mtime: i64) -> Result<(), TreeError> {
        self.visit("", &mut |place, _| {
            place.context("set the time of", place.set_time(mtime))?;
            Ok::<Go, TreeError>(Go::Down)
        })?;
        let root = self.place("set the time of", "")?;
        root.context("set the time of", root.set_time(mtime))
    }

    /// Changes the owner, also of a link itself.
    pub(crate) fn own(&self, path: impl AsRef<Path>, (uid, gid): (u32, u32)) -> Result<(), TreeError> {
        let place = self.place("change owner of", path)?;
        place.context("change owner of", place.own(Some(uid), Some(gid)))
    }
}

impl Place {
    /// A text file; `None` when there is none.
    pub(crate) fn text(&self) -> Result<Option<String>, TreeError> {
        let Some(bytes) = self.bytes(TEXT_LIMIT)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map(Some);
        self.context("read", text.map_err(|_| io::Error::other("it is not UTF-8")))
    }

    /// A file, refused when larger than `limit`; `None` when there is none.
    pub(crate) fn bytes(&self, limit: u64) -> Result<Option<Vec<u8>>, TreeError> {
        let read = || {
            let mut bytes = Vec::new();
            self.read()?.0.take(limit + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > limit {
                return Err(io::Error::other(format!("it is larger than {limit} bytes")));
            }
            Ok(bytes)
        };
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // What `O_NOFOLLOW` says of a link, and a socket of itself.
            Err(error)
                if [Errno::LOOP, Errno::NXIO]
                    .map(|error| Some(error.raw_os_error()))
                    .contains(&error.raw_os_error()) =>
            {
                self.context("read", Err(io::Error::other("it is not a regular file")))
            }
            result => self.context("read", result.map(Some)),
        }
    }
}

/// Nothing there is no error; so is a file in the place of a directory, and links that lead nowhere.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Ok(None),
        result => result.map(Some),
    }
}
