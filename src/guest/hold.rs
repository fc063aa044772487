//! Machines that stay up when a step of a test failed, so that somebody can look at them.
//!
//! Input: machines that run, and the step that failed. Output: a shell of root on the terminal, in the machine of that step,
//! and ways into the others: QMP and SSH, as `kiln run` has them. Until then the guests see nothing of it: the test shell's
//! port becomes the shell's, and keys for SSH are written when they are needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::agent::Screen;
use super::event::{TestEvent, TestListener};
use super::launch::{self, Purpose};
use super::rundir::RunDir;
use super::running::{RunRecord, RunningMachine};
use super::session::GuestSession;
use super::ssh::{self, SshAccess};
use super::step::Guest;
use super::terminal::{self, ShellEnd};
use super::{GuestError, Launch};
use crate::base::Foreign;
use crate::machine::argv::quote;

/// The socket of a second QMP monitor, in the directory of a machine: the first one is the test's own.
const MONITOR: &str = "monitor";
/// How long a guest may take to take keys.
const KEYS_SECONDS: u64 = 20;

/// What somebody who looks at machines wants.
#[derive(Debug, Clone, Default)]
pub struct FailureShell {
    /// Who may log in over SSH, where a machine forwards its port.
    pub access: SshAccess,
    /// What names the run for whoever looks for it: see [`RunRecord`].
    pub sources: Vec<PathBuf>,
    /// The user's `TERM`.
    pub terminal: String,
}

/// The step that failed.
#[derive(Debug, Clone, Copy)]
pub struct HeldStep<'a> {
    pub title: &'a str,
    pub machine: &'a str,
    /// Its number, from 1, if one was reached.
    pub number: Option<usize>,
    pub steps: usize,
}

/// Machines that run, by name.
pub type Sessions<'a> = BTreeMap<String, GuestSession<'a>>;

/// Adds what a look from outside needs to the start of a machine. The guest does not see it.
pub fn prepare(launch: &mut Launch) {
    let socket = format!("unix:{}/{MONITOR},server=on,wait=off", launch::RUN);
    launch.additions.arguments.extend(["-qmp".to_owned(), socket]);
}

impl FailureShell {
    /// Lets the user look at machines until they leave. Nothing that goes wrong meanwhile changes the result of the test.
    pub fn hold(
        &self,
        (run, launches): (&RunDir, &BTreeMap<String, Launch>),
        (sessions, step): (&mut Sessions<'_>, HeldStep<'_>),
        listener: &dyn TestListener,
    ) -> Result<(), GuestError> {
        let say = |text: &str| listener.on(TestEvent::Notice(text));
        say(&step.notice());
        let access = self.access.clone().with_own_key(run)?;
        let names =
            std::iter::once(step.machine).chain(sessions.keys().map(String::as_str).filter(|n| *n != step.machine));
        let up: Vec<&Launch> =
            names.filter(|name| sessions.contains_key(*name)).filter_map(|n| launches.get(n)).collect();
        let machines: Vec<RunningMachine> = up.iter().map(|launch| reached(launch)).collect();
        ssh::write_config(run, &machines)?;
        RunRecord::new(self.sources.clone(), machines.clone()).publish(run)?;
        let mut answering = None;
        for (number, (launch, machine)) in up.iter().zip(&machines).enumerate() {
            let Some(session) = sessions.get_mut(&launch.machine) else { continue };
            let option = if number == 0 { String::new() } else { format!(" --machine {}", launch.machine) };
            match authorize(session, &access) {
                Ok(()) => {
                    answering.get_or_insert(launch.machine.clone());
                    if let Some(port) = machine.ssh {
                        say(&self.login(&access, (&launch.machine, &option), port));
                    }
                }
                Err(GuestError::Interrupted) => return Ok(()),
                Err(_) => say(&format!(
                    "machine {} does not respond any more; its console log is {}",
                    launch.machine,
                    Foreign(session.log().display())
                )),
            }
            say(&self.monitor(run, (&launch.machine, &option)));
        }
        match answering.and_then(|name| sessions.get_mut(&name).map(|session| (name, session))) {
            Some((name, session)) => self.shell(session, &name, listener),
            None => wait(sessions, listener),
        }
        Ok(())
    }

    fn login(&self, access: &SshAccess, (machine, option): (&str, &str), port: u16) -> String {
        match access.names.is_empty() {
            true => format!("log in to {machine} with `kiln ssh {}{option}`", Foreign(access.source.display())),
            false => access.notice((machine, option), port),
        }
    }

    fn monitor(&self, run: &RunDir, (machine, option): (&str, &str)) -> String {
        let (socket, source) = (run.path().join(machine).join(MONITOR), self.access.source.display());
        format!("QMP of {machine}: {} (`kiln qmp {}{option} query-status`)", socket.display(), Foreign(source))
    }

    fn shell(&self, session: &mut GuestSession<'_>, name: &str, listener: &dyn TestListener) {
        let say = |text: &str| listener.on(TestEvent::Notice(text));
        say(&format!("shell of root on {name}: `exit` or Ctrl-A X ends it and all machines"));
        let (rows, columns) = terminal::window();
        let ended = session.shell(&Screen { rows, columns, terminal: self.terminal.clone() });
        match ended {
            Ok(ShellEnd::Exited | ShellEnd::Left) | Err(GuestError::Interrupted) => {}
            Ok(ShellEnd::Closed) => say(&format!("machine {name} has ended")),
            Err(error) => say(&error.to_string()),
        }
    }
}

impl HeldStep<'_> {
    fn notice(&self) -> String {
        let step = self.number.map_or_else(String::new, |number| format!(": step {number} of {}", self.steps));
        let title = Foreign(self.title).to_string();
        format!("test {title:?}{step} failed on machine {}; the machines stay up", self.machine)
    }
}

/// How others reach a machine under test.
fn reached(launch: &Launch) -> RunningMachine {
    // The ports of its owner are open: see `GuestSession::start`.
    let forwards = launch::forwards(launch, Purpose::Background).unwrap_or_default();
    let ssh = forwards.iter().find(|forward| forward.guest.value == ssh::PORT).map(|forward| forward.host.value);
    RunningMachine { name: launch.machine.clone(), ssh, qmp: Some(Path::new(&launch.machine).join(MONITOR)) }
}

/// Lets the owners of the keys in as root. An error if the guest does not respond.
fn authorize(session: &mut GuestSession<'_>, access: &SshAccess) -> Result<(), GuestError> {
    let keys: String = access.keys.iter().map(|key| format!(" {}", quote(key))).collect();
    let file = "umask 077; d=$(getent passwd root | cut -d: -f6)/.ssh; mkdir -p \"$d\"";
    let command = match access.keys.is_empty() {
        true => "true".to_owned(),
        false => format!("{file} && printf '%s\\n'{keys} >>\"$d/authorized_keys2\""),
    };
    // A guest that responds and takes no keys has a shell all the same.
    session.run(&command, KEYS_SECONDS).map(drop)
}

/// No guest responds: QEMU is all there is to look at.
fn wait(sessions: &mut Sessions<'_>, listener: &dyn TestListener) {
    if sessions.values_mut().all(GuestSession::has_ended) {
        return listener.on(TestEvent::Notice("no machine is left to look at"));
    }
    listener.on(TestEvent::Notice("no guest responds; Ctrl-C ends the machines"));
    while sessions.values_mut().any(|session| !session.has_ended() && !session.is_interrupted()) {
        std::thread::sleep(super::process::TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::launch::tests::launch;

    #[test]
    fn a_machine_that_may_be_looked_at_has_a_second_monitor_and_its_ports() {
        let mut launch = launch("\"forwards\": [{ \"guest\": 22, \"host\": 2222 }],");
        prepare(&mut launch);
        assert_eq!(launch.additions.arguments, ["-qmp", "unix:/kiln/run/monitor,server=on,wait=off"]);
        let machine = reached(&launch);
        assert_eq!((machine.ssh, machine.qmp), (Some(2222), Some("m/monitor".into())));
    }

    #[test]
    fn the_step_is_named() {
        let step = HeldStep { title: "a\u{1b}", machine: "m", number: Some(2), steps: 3 };
        assert_eq!(step.notice(), "test \"a␛\": step 2 of 3 failed on machine m; the machines stay up");
    }
}
