//! The user's SSH agent: one message there, one back.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::WorldError;
use super::fs::context;

/// How long a user may take to confirm a signature.
const PATIENCE: Duration = Duration::from_secs(120);
/// No answer is longer: OpenSSH's own limit.
const LIMIT: u32 = 256 << 10;

/// Sends a message to the agent at a socket; its answer without the length.
pub fn ask(socket: &Path, message: &[u8]) -> Result<Vec<u8>, WorldError> {
    let asked = (|| {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(message)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > LIMIT {
            return Err(std::io::Error::other("its answer is too long"));
        }
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    })();
    context("ask the SSH agent at", socket, asked)
}
