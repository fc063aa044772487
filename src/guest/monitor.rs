//! QMP to a machine that somebody else runs: one command, one answer.
//!
//! Input: a machine that was found running. Output: what its QEMU returns. QEMU may write the directory of its socket, so
//! the socket is reached by descriptor, and no link there leads anywhere.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::GuestError;
use super::process::TICK;
use super::qmp::{Qmp, QmpError};
use super::running::FoundMachine;
use crate::world::dir::Dir;
use crate::world::fs;

/// The socket in a machine's directory.
pub const SOCKET: &str = "qmp";
/// QEMU serves one client after the other, and those before may take this long.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// Has the machine's QEMU carry a command out.
pub fn execute(found: &FoundMachine, command: &str, arguments: Option<&Value>) -> Result<Value, GuestError> {
    let machine = &found.machine.name;
    let failed = |reason: String| GuestError::Qmp { machine: machine.clone(), command: command.to_owned(), reason };
    let below = found.machine.qmp.as_deref().ok_or_else(|| failed("this run has no QMP socket".to_owned()))?;
    let entry = Dir::open(&found.directory)?.look(below)?;
    let entry = entry.ok_or_else(|| failed("QEMU has not opened its socket yet".to_owned()))?;
    let stream = entry.connect(QUEUE_TIMEOUT)?;
    fs::context("set up", Path::new(below), stream.set_read_timeout(Some(TICK)))?;
    fs::context("set up", Path::new(below), stream.set_write_timeout(Some(QUEUE_TIMEOUT)))?;
    let mut qmp = Qmp::connect(stream).map_err(|error| match error {
        QmpError::Silent(_) => failed("no greeting; another client may be connected".to_owned()),
        error => failed(error.to_string()),
    })?;
    qmp.execute(command, arguments).map_err(|error| match error {
        QmpError::Refused { .. } => {
            GuestError::Refused { machine: machine.clone(), command: command.to_owned(), reason: error.to_string() }
        }
        error => failed(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::guest::running::RunningMachine;

    /// Serves one client after the other, as QEMU does: each has a command done, or refused.
    fn serve(listener: &UnixListener, clients: usize) {
        for _ in 0..clients {
            let (mut stream, _) = listener.accept().unwrap();
            writeln!(stream, "{{\"QMP\": {{\"version\": {{}}, \"capabilities\": []}}}}").unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let id = &request["id"];
                let answer = match request["execute"].as_str() {
                    Some("bad") => format!("{{\"id\": {id}, \"error\": {{\"class\": \"C\", \"desc\": \"no\"}}}}"),
                    _ => format!("{{\"id\": {id}, \"return\": {{\"given\": {}}}}}", request["arguments"]),
                };
                writeln!(stream, "{answer}").unwrap();
            }
        }
    }

    #[test]
    fn several_clients_after_each_other_have_their_commands_answered() {
        let directory = std::env::temp_dir().join(format!("kiln-monitor-{}", std::process::id()));
        fs::create_dir_all(&directory.join("m")).unwrap();
        let machine = |name: &str, qmp: &str| FoundMachine {
            directory: directory.clone(),
            machine: RunningMachine { name: name.into(), qmp: Some(qmp.into()), ..RunningMachine::default() },
        };
        let found = machine("m", "m/qmp");
        let error = execute(&found, "early", None).unwrap_err().to_string();
        assert!(error.contains("has not opened its socket yet"), "{error}");
        let listener = UnixListener::bind(directory.join("m/qmp")).unwrap();
        let server = std::thread::spawn(move || serve(&listener, 2));
        let given = serde_json::json!({ "path": "/machine" });
        assert_eq!(execute(&found, "good", Some(&given)).unwrap()["given"], given);
        let refused = execute(&found, "bad", None).unwrap_err();
        assert!(matches!(&refused, GuestError::Refused { reason, .. } if reason == "C: no"), "{refused}");
        server.join().unwrap();
        // What a QEMU may do in its directory.
        std::os::unix::fs::symlink("qmp", directory.join("m/link")).unwrap();
        let error = execute(&machine("m", "m/link"), "good", None).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        fs::remove_tree(&directory).unwrap();
    }
}
