//! Outputs that are in the store when their last byte is written: a sandbox writes them into a named pipe.
//!
//! A file that a sandbox wrote can only be hashed when nobody is left who could change it. What comes out of a pipe is this
//! process's own at once: it is hashed on its way to a file that no sandbox can reach, and goes to the disk meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::take::{LARGEST, Taking, TransientFile, replaced};
use super::{Output, Store, StoreError};
use crate::base::{Digest, Hasher};
use crate::world::dir::{Dir, HeldEntry};
use crate::world::{WorldError, fs};

/// Bytes that are copied at a time, and that the pipe holds: the most that Linux lets a user have unless told otherwise
/// (`/proc/sys/fs/pipe-max-size`).
const PIECE: usize = 1 << 20;
/// Bytes after which the disk is told to begin.
const SYNC_EVERY: u64 = 16 << 20;

/// An output on its way.
pub struct PipedFile {
    name: String,
    pipe: HeldEntry,
    /// Goes when it did not become an object.
    file: TransientFile,
    reader: JoinHandle<Result<Option<Copied>, Trouble>>,
    /// Closed to say that nobody writes any more.
    ended: PipeWriter,
}

/// An output of which everything that was written is here.
pub struct Arrived {
    name: String,
    pipe: HeldEntry,
    file: TransientFile,
    copied: Option<Copied>,
}

/// What came.
struct Copied {
    pipe: File,
    file: File,
    digest: Digest,
    size: u64,
}

/// Why it did not.
enum Trouble {
    Larger(u64),
    Disk(io::Error),
}

/// Why an output did not come whole.
#[derive(Debug)]
pub enum PipeError {
    /// It has more bytes than it may.
    TooMuch { name: String, limit: u64 },
    /// They could not be kept.
    Store(StoreError),
}

impl From<PipeError> for StoreError {
    fn from(error: PipeError) -> StoreError {
        match error {
            PipeError::TooMuch { name, limit } => {
                StoreError::Output(format!("its output {name} has more than {limit} bytes"))
            }
            PipeError::Store(error) => error,
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Disk(error)
    }
}

impl Store {
    /// Makes a pipe for an output in a directory that a sandbox is about to get; more than `limit` bytes are refused, and more than
    /// [`LARGEST`] as in any other output.
    pub fn pipe(&self, directory: &Dir, name: &str, limit: u64) -> Result<PipedFile, StoreError> {
        let limit = limit.min(LARGEST);
        let failed = |error: WorldError| self.failure(error);
        let (held, pipe) = directory.make_pipe(name).map_err(failed)?;
        // Where the kernel gives less, the writer waits more often.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIECE);
        let path = self.session.path("piped");
        let to = fs::create_new(&path).map_err(failed)?;
        let file = TransientFile::at(path);
        let made = fs::context("make a pipe for", file.path(), io::pipe());
        let (closed, ended) = made.map_err(failed)?;
        let reader = std::thread::Builder::new().spawn(move || copy(pipe, &closed, to, limit));
        let reader = fs::context("start a thread for", file.path(), reader).map_err(failed)?;
        Ok(PipedFile { name: name.to_owned(), pipe: held, file, reader, ended })
    }
}

impl PipedFile {
    /// Waits for the last byte, now that nobody writes any more.
    pub fn end(self, store: &Store) -> Result<Arrived, PipeError> {
        let PipedFile { name, pipe, file, reader, ended } = self;
        drop(ended);
        let copied = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let copied = copied.map_err(|trouble| match trouble {
            Trouble::Larger(limit) => PipeError::TooMuch { name: name.clone(), limit },
            Trouble::Disk(error) => {
                let told: Result<(), WorldError> = fs::context("write", file.path(), Err(error));
                let full = || StoreError::Full(store.root.clone());
                PipeError::Store(told.map_or_else(|error| store.failure(error), |()| full()))
            }
        })?;
        Ok(Arrived { name, pipe, file, copied })
    }
}

impl Arrived {
    /// The name of the output.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes it into the store; `None` when nobody wrote into the pipe, which is gone from the directory then.
    pub fn take(self, store: &Store, from: &Dir, taking: Taking<'_>) -> Result<Option<Output>, StoreError> {
        let Arrived { name, pipe, file, copied } = self;
        let found = from.look(&name).map_err(|error| store.failure(error))?;
        let is_there = found.is_some_and(|found| found.is(pipe.stat()));
        if is_there {
            from.remove(&name).map_err(|error| store.failure(error))?;
        }
        let Some(Copied { pipe, file: open, digest, size }) = copied else { return Ok(None) };
        if !is_there || is_unread(&pipe) {
            return Err(replaced(Path::new(&name)));
        }
        if (taking.stop)() {
            return Err(StoreError::Interrupted);
        }
        store.finish(&open, file.path(), (digest, taking.private))?;
        Ok(Some(Output::File { digest, size, executable: false }))
    }
}

/// Whether somebody wrote once more after the first who wrote had closed it.
fn is_unread(mut pipe: &File) -> bool {
    matches!(pipe.read(&mut [0]), Ok(1))
}

/// Copies what comes until the first writer has closed the pipe; `None` when `closed` comes first.
fn copy(pipe: File, closed: &impl AsFd, to: File, limit: u64) -> Result<Option<Copied>, Trouble> {
    let twin = to.try_clone()?;
    let (disk, told) = sync_channel(1);
    let (copied, synced) = std::thread::scope(|scope| {
        let syncing = scope.spawn(move || sync(&twin, &told));
        let copied = fill(&pipe, closed, Hasher::new(&to), limit, &mut || {
            // Where one is still at it, the next one takes more.
            let _ = disk.try_send(());
        });
        drop(disk);
        (copied, syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // The system tells an error once, and whoever syncs next would hear nothing of it.
    synced?;
    let Some((digest, size)) = copied? else { return Ok(None) };
    Ok(Some(Copied { pipe, file: to, digest, size }))
}

fn sync(file: &File, told: &Receiver<()>) -> io::Result<()> {
    told.iter().try_for_each(|()| file.sync_data())
}

fn fill(
    mut pipe: &File,
    closed: &impl AsFd,
    mut to: Hasher<&File>,
    limit: u64,
    written: &mut dyn FnMut(),
) -> Result<Option<(Digest, u64)>, Trouble> {
    let mut buffer = vec![0; PIECE];
    let mut synced = 0;
    while wait(pipe, closed)? {
        match pipe.read(&mut buffer) {
            Ok(0) => {
                let (_, digest, size) = to.finish();
                return Ok(Some((digest, size)));
            }
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        if to.count() > limit {
            return Err(Trouble::Larger(limit));
        }
        if to.count() - synced >= SYNC_EVERY {
            synced = to.count();
            written();
        }
    }
    Ok(None)
}

/// Waits until there is something to read or the writer has gone; `false` when there will be none.
fn wait(pipe: &File, closed: &impl AsFd) -> io::Result<bool> {
    let mut ready = [PollFd::new(pipe, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut ready, None) {
            // What was written before the end is there to be read.
            Ok(_) => return Ok(!ready[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A store and a directory as a sandbox has it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> (Scratch, Store, Dir) {
            let root = std::env::temp_dir().join(format!("kiln-piped-{name}-{}", std::process::id()));
            let store = Store::open(&root.join("store")).unwrap();
            let directory = Dir::make(&root.join("out"), 0o755).unwrap();
            (Scratch(root), store, directory)
        }

        fn out(&self, name: &str) -> PathBuf {
            self.0.join("out").join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_tree(&self.0).unwrap();
        }
    }

    fn write(path: &Path, bytes: &[u8]) {
        fs::create_output(path).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn what_was_written_is_an_object() {
        let (scratch, store, directory) = Scratch::new("object");
        for bytes in [Vec::new(), b"short".to_vec(), (0..9_000_000_u32).map(|byte| byte as u8).collect()] {
            let piped = store.pipe(&directory, "base.tar", u64::MAX).unwrap();
            write(&scratch.out("base.tar"), &bytes);
            let arrived = piped.end(&store).unwrap();
            assert_eq!(arrived.name(), "base.tar");
            let private = Taking { private: true, stop: &|| false };
            let taken = arrived.take(&store, &directory, private).unwrap();
            let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
            assert_eq!(taken, Some(Output::File { digest, size, executable: false }));
            let path = store.path(&digest).unwrap();
            assert_eq!(fs::read(&path, 1 << 30).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
            assert!(directory.look("base.tar").unwrap().is_none());
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_pipe_is_taken_as_one() {
        let (scratch, store, directory) = Scratch::new("file");
        let piped = store.pipe(&directory, "named.tar", u64::MAX).unwrap();
        fs::write_atomically(&scratch.out("named.tar"), b"").unwrap();
        let arrived = piped.end(&store).unwrap();
        assert_eq!(arrived.take(&store, &directory, Taking::PUBLIC).unwrap(), None);
        let taken = store.take(&directory, "named.tar", Taking::PUBLIC).unwrap();
        assert_eq!(taken, Output::File { digest: Digest::of(b""), size: 0, executable: false });
        // And where nobody wrote there is nothing.
        let piped = store.pipe(&directory, "named.tar", u64::MAX).unwrap();
        assert_eq!(piped.end(&store).unwrap().take(&store, &directory, Taking::PUBLIC).unwrap(), None);
        let error = store.take(&directory, "named.tar", Taking::PUBLIC).unwrap_err();
        assert!(error.to_string().contains("produced no named.tar"), "{error}");
    }

    #[test]
    fn too_much_and_too_often_and_another_pipe_are_refused() {
        let (scratch, store, directory) = Scratch::new("refused");
        let piped = store.pipe(&directory, "root.tar", 4096).unwrap();
        let mut out = fs::create_output(&scratch.out("root.tar")).unwrap();
        // Who writes hears of it as soon as nobody reads any more.
        let refused = std::iter::repeat_with(|| out.write_all(&[1; 4096])).take(100_000).find_map(Result::err);
        assert_eq!(refused.unwrap().kind(), ErrorKind::BrokenPipe);
        drop(out);
        let error = StoreError::from(piped.end(&store).map(|_| ()).unwrap_err());
        assert!(error.to_string().contains("root.tar has more than 4096 bytes"), "{error}");
        std::fs::remove_file(scratch.out("root.tar")).unwrap();

        let piped = store.pipe(&directory, "root.tar", u64::MAX).unwrap();
        write(&scratch.out("root.tar"), b"one");
        while !piped.reader.is_finished() {
            std::thread::yield_now();
        }
        let arrived = {
            let mut late = File::from(
                rustix::fs::open(
                    scratch.out("root.tar"),
                    rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK,
                    rustix::fs::Mode::empty(),
                )
                .unwrap(),
            );
            late.write_all(b"two").unwrap();
            piped.end(&store).unwrap()
        };
        let error = arrived.take(&store, &directory, Taking::PUBLIC).unwrap_err();
        assert!(error.to_string().contains("was replaced"), "{error}");

        let piped = store.pipe(&directory, "root.tar", u64::MAX).unwrap();
        write(&scratch.out("root.tar"), b"one");
        std::fs::remove_file(scratch.out("root.tar")).unwrap();
        write(&scratch.out("root.tar"), b"another");
        let error = piped.end(&store).unwrap().take(&store, &directory, Taking::PUBLIC).unwrap_err();
        assert!(error.to_string().contains("was replaced"), "{error}");
    }

    #[test]
    fn nobody_is_waited_for_who_reads_no_more() {
        let (scratch, store, directory) = Scratch::new("nobody");
        let piped = store.pipe(&directory, "base.tar", u64::MAX).unwrap();
        drop(piped.end(&store).unwrap());
        let error = fs::create_output(&scratch.out("base.tar")).unwrap_err();
        assert!(error.to_string().contains("base.tar"), "{error}");
    }
}
