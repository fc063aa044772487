//! Programs that keep logins: docker's credential helpers (`docker-credential-NAME get`).
//!
//! Input: the name of a program, which the user's own configuration gives, and a server. Output: what it said. It runs as the user, outside
//! of any sandbox, as it does when docker asks it, and may ask the user for a passphrase itself.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Bytes of an answer: a token of a cloud has a few thousand.
const LIMIT: u64 = 64 << 10;
/// Somebody may have to look for a passphrase, or touch a key.
const PATIENCE: Duration = Duration::from_secs(120);

/// What such a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperAnswer {
    /// Whether it has a login.
    pub found: bool,
    /// The login, or why there is none.
    pub text: Vec<u8>,
}

/// Asks one for the login of a server.
pub(super) fn ask(program: &str, server: &str) -> io::Result<KeeperAnswer> {
    ask_within(program, server, PATIENCE)
}

fn ask_within(program: &str, server: &str, patience: Duration) -> io::Result<KeeperAnswer> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut keeper = Keeper(command.spawn()?);
    if let Some(mut input) = keeper.0.stdin.take() {
        // One that does not read it has something to say all the same.
        let _ = writeln!(input, "{server}");
    }
    let output = keeper.0.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let (heard, hears) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read = output.take(LIMIT + 1).read_to_end(&mut text);
        // Nobody waits any more where it took too long.
        let _ = heard.send(read.map(|_| text));
    })?;
    let text = hears.recv_timeout(patience).map_err(|_| {
        io::Error::new(ErrorKind::TimedOut, format!("it has said nothing for {} seconds", patience.as_secs()))
    })??;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it says more than {LIMIT} bytes")));
    }
    // Its output is closed, so that it has nothing left to do.
    let found = keeper.0.wait()?.success();
    Ok(KeeperAnswer { found, text })
}

/// Ends with whoever asked.
struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::world::{executable, fs};

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_tree(&self.0).unwrap();
        }
    }

    fn said(name: &str, script: &str, patience: Duration) -> io::Result<KeeperAnswer> {
        let scratch = Scratch(std::env::temp_dir().join(format!("kiln-keeper-{name}-{}", std::process::id())));
        let program = scratch.0.join("docker-credential-test");
        executable::write(&program, format!("#!/bin/sh\n{script}\n"));
        ask_within(program.to_str().unwrap(), "registry.example:5000", patience)
    }

    #[test]
    fn a_program_is_asked_as_docker_asks_it() {
        let long = Duration::from_secs(60);
        let answer = said("asks", "read server; echo \"$1 $server\"; echo unseen >&2", long).unwrap();
        assert_eq!(answer, KeeperAnswer { found: true, text: b"get registry.example:5000\n".to_vec() });
        let none = said("none", "echo credentials not found in native keychain; exit 1", long).unwrap();
        assert_eq!(none, KeeperAnswer { found: false, text: b"credentials not found in native keychain\n".to_vec() });
        let much = said("much", "while echo line; do :; done", long).unwrap_err();
        assert!(much.to_string().contains("more than 65536 bytes"), "{much}");
        assert_eq!(ask("kiln-no-such-program", "x").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn nobody_is_waited_for_without_an_end() {
        let error = said("silent", "exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
