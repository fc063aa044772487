//! A writer that remembers why it failed. Who copies through readers and compressors gets one error for all of them, and should not say of
//! what was read that it is damaged when the disk that was written to is full.

use std::io::{self, Write};
use std::path::Path;

use super::WorldError;

/// Notes errors of writing.
pub struct NotedWriter<W> {
    inner: W,
    failed: Option<io::Error>,
}

impl<W: Write> NotedWriter<W> {
    /// Nothing has failed.
    pub fn new(inner: W) -> NotedWriter<W> {
        NotedWriter { inner, failed: None }
    }

    /// What came of writing to a path: its own error, if it had one, instead of what was made of it.
    pub fn blame<T, E: From<WorldError>>(self, path: &Path, result: Result<T, E>) -> Result<T, E> {
        match (result, self.failed) {
            (Err(_), Some(source)) => Err(WorldError::File { verb: "write", path: path.to_owned(), source }.into()),
            (result, _) => result,
        }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error));
        }
        result
    }
}

impl<W: Write> Write for NotedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(rustix::io::Errno::NOSPC.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_named_and_not_what_was_read() {
        let damaged = || WorldError::Link { path: "what was read".into() };
        let mut full = NotedWriter::new(Full);
        full.write_all(b"x").unwrap_err();
        let said = full.blame(Path::new("out"), Err::<(), _>(damaged())).unwrap_err().to_string();
        assert!(said.starts_with("cannot write out: No space left"), "{said}");
        let fine = NotedWriter::new(io::sink()).blame(Path::new("out"), Err::<(), _>(damaged())).unwrap_err();
        assert_eq!(fine.to_string(), damaged().to_string());
    }
}
