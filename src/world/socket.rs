//! Sockets in directories that somebody else writes.
//!
//! Input: an entry that is held by descriptor. Output: a connection to that very socket, whatever its name means by now:
//! whoever writes the directory cannot put a link to another socket in its place.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::WorldError;
use super::dir::{HeldEntry, noun};
use super::fs::context;

/// How often a socket is asked again whose queue is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

impl HeldEntry {
    /// Connects to it, waiting no longer than `patience` for its queue to have room.
    pub fn connect(&self, patience: Duration) -> Result<UnixStream, WorldError> {
        context("connect to", self.path(), self.try_connect(patience))
    }

    fn try_connect(&self, patience: Duration) -> std::io::Result<UnixStream> {
        if self.kind() != FileType::Socket {
            return Err(std::io::Error::other(format!("it is {}, not a socket", noun(self.kind()))));
        }
        // A path of the kernel's own, which also fits where that of the socket is too long for an address.
        let address = SocketAddrUnix::new(self.held())?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        #[allow(clippy::disallowed_methods, reason = "patience with a program is a duration, not a bit")]
        let start = Instant::now();
        while let Err(error) = rustix::net::connect(&socket, &address) {
            match error {
                Errno::AGAIN if start.elapsed() < patience => std::thread::sleep(RETRY_INTERVAL),
                Errno::INTR => {}
                other => return Err(other.into()),
            }
        }
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::world::dir::Dir;

    #[test]
    fn only_a_socket_that_lies_there_itself_is_connected_to() {
        let directory = std::env::temp_dir().join(format!("kiln-socket-{}", std::process::id()));
        crate::world::fs::create_dir_all(&directory.join("below")).unwrap();
        let _listener = UnixListener::bind(directory.join("other")).unwrap();
        std::os::unix::fs::symlink("../other", directory.join("below/link")).unwrap();
        crate::world::fs::write_atomically(&directory.join("below/file"), b"").unwrap();
        let held = Dir::open(&directory).unwrap();
        let connect = |name: &str| held.look(name).and_then(|entry| entry.unwrap().connect(Duration::ZERO));
        connect("other").unwrap();
        for name in ["below/link", "below/file", "below"] {
            let error = connect(name).unwrap_err().to_string();
            assert!(error.contains("not a socket"), "{error}");
        }
        crate::world::fs::remove_tree(&directory).unwrap();
    }
}
