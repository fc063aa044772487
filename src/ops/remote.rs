//! Commands for OpenSSH of this host that reach running machines: `kiln ssh`, `kiln cp`.
//!
//! Input: which machine, and what to do there. Output: a program with its arguments, which the caller becomes. kiln has no
//! SSH of its own: a shell that looks like everybody's is worth more than one that needs nothing, and whoever lacks it is
//! told so.

use super::error::{OpsError, UsageError};
use super::event::Notice;
use super::running::{self, WantedMachine};
use super::session::Session;
use crate::exec::interrupt::{self, Interruptible, RunningWork};
use crate::guest::running::FoundMachine;
use crate::guest::ssh::{self, SshAnswer};

/// A program of this host, and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCommand {
    /// Its name, to be looked for on `PATH`.
    pub program: &'static str,
    /// What follows.
    pub arguments: Vec<String>,
}

/// The command that opens a shell in a running machine, or runs a command there.
pub fn ssh(session: &Session<'_>, wanted: &WantedMachine, words: &[String]) -> Result<HostCommand, OpsError> {
    let found = reachable(session, wanted)?;
    let arguments = vec!["-F".to_owned(), config(&found), found.machine.name];
    let after = (!words.is_empty()).then(|| "--".to_owned());
    Ok(HostCommand {
        program: "ssh",
        arguments: arguments.into_iter().chain(after).chain(words.iter().cloned()).collect(),
    })
}

/// The command that copies a file or a directory; one of both sides is `MACHINE:PATH`, which names the machine of a run.
pub fn copy(session: &Session<'_>, run: &WantedMachine, (from, to): (&str, &str)) -> Result<HostCommand, OpsError> {
    let (name, _) = match (remote_part(from), remote_part(to)) {
        (Some(one), None) | (None, Some(one)) => one,
        _ => return Err(UsageError::CopySides.into()),
    };
    let found = reachable(session, &WantedMachine { machine: Some(name.to_owned()), ..run.clone() })?;
    let arguments = vec!["-F".to_owned(), config(&found), "-r".to_owned(), "--".to_owned(), side(from), side(to)];
    Ok(HostCommand { program: "scp", arguments })
}

/// The machine and the path of `MACHINE:PATH`; a slash before the colon makes it a file of this host, as for scp.
fn remote_part(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains('/'))
}

/// One side as scp takes it for what it is.
fn side(text: &str) -> String {
    match remote_part(text) {
        // No path is root's home.
        Some((name, path)) => format!("{name}:{path}"),
        None => text.to_owned(),
    }
}

fn config(found: &FoundMachine) -> String {
    ssh::config(&found.directory).to_string_lossy().into_owned()
}

/// The running machine, once its sshd answers.
fn reachable(session: &Session<'_>, wanted: &WantedMachine) -> Result<FoundMachine, OpsError> {
    let found = running::find(session, wanted)?;
    let machine = found.machine.name.clone();
    let Some(port) = found.machine.ssh else { return Err(UsageError::NoSshPort(machine).into()) };
    let _waiting = Interruptible::start(RunningWork::Machines);
    let told = || session.notice(Notice::SshAwaited { machine: &machine });
    match ssh::wait(port, interrupt::flag(), &told) {
        SshAnswer::Ready => Ok(found),
        SshAnswer::Interrupted => Err(OpsError::Interrupted),
        SshAnswer::Ended => Err(OpsError::SshEnded(machine)),
        SshAnswer::Silent => Err(OpsError::SshSilent { machine, seconds: ssh::ANSWER_TIMEOUT.as_secs() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_of_a_copy_is_a_machine_or_a_file() {
        assert_eq!(remote_part("m:/etc/fstab"), Some(("m", "/etc/fstab")));
        assert_eq!(remote_part("m:"), Some(("m", "")));
        for file in ["file", "./m:x", "/m:x", ":x", "a/b:c"] {
            assert_eq!(remote_part(file), None, "{file}");
        }
        let world = crate::world::memory::MemoryWorld::default();
        let session = Session::silent(&world);
        for sides in [("a", "b"), ("m:a", "n:b")] {
            let error = copy(&session, &WantedMachine::default(), sides).unwrap_err();
            assert!(matches!(error, OpsError::Usage(UsageError::CopySides)), "{error}");
        }
    }
}
