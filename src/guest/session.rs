//! One booted machine that carries out commands, and the news when it fails.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::agent::{Agent, Answer, Lost};
use super::clock::Deadline;
use super::console::Console;
use super::launch::{self, Places, Purpose};
use super::process::{Qemu, Start, Waiting};
use super::qmp::Qmp;
use super::rundir::RunDir;
use super::step::Guest;
use super::{Accel, GuestError, Launch, accel::Accelerator};

/// After a failure the console is given this long to say why.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// QEMU opens its sockets before it does anything slow.
const SOCKETS: Duration = Duration::from_secs(60);

/// What all machines of one start have in common.
pub struct Group<'a> {
    /// Sockets and overlays.
    pub run: &'a RunDir,
    /// Where console logs are kept.
    pub logs: &'a Path,
    /// What executes guests.
    pub accel: Accel,
    /// Time for a boot under KVM; TCG is given ten times as much.
    pub boot: Duration,
    /// Set by a signal.
    pub interrupted: &'a AtomicBool,
}

/// A machine that runs.
pub struct Session<'a> {
    machine: String,
    qemu: Qemu,
    console: Console,
    agent: Agent<UnixStream>,
    qmp: Qmp<UnixStream>,
    boot: Duration,
    interrupted: &'a AtomicBool,
    place: PathBuf,
}

impl<'a> Session<'a> {
    /// Starts QEMU; `number` tells the starts of one machine apart. The guest is not awaited.
    pub fn start(
        group: &Group<'a>,
        launch: &Launch,
        number: usize,
        accel: Accelerator,
    ) -> Result<Session<'a>, GuestError> {
        let name = if number == 0 { launch.machine.clone() } else { format!("{}.{number}", launch.machine) };
        let log = format!("{name}.console.log");
        let places = Places {
            run: group.run.sub(&name)?,
            shared: group.run.sub("shared")?,
            log: Some((group.logs.to_owned(), log.clone())),
            keep: None,
        };
        crate::world::fs::create_dir_all(group.logs)?;
        crate::world::fs::remove_file(&group.logs.join(&log))?;
        launch::prepare(launch, &places)?;
        let spec = launch::spec(launch, &places, launch::argv(launch, Purpose::Test, &places, accel)?);
        let (agent, monitor) = (Waiting::at(&places.run.join("agent"))?, Waiting::at(&places.run.join("qmp"))?);
        let (machine, errors) = (launch.machine.as_str(), group.logs.join(format!("{name}.qemu.log")));
        let fallback = group.accel == Accel::Auto;
        let mut qemu = Qemu::start(Start { machine, spec: &spec, accel, fallback, errors }, false)?;
        let deadline = Deadline::after(SOCKETS);
        let agent = Agent::new(agent.accept(&mut qemu, deadline)?);
        let stream = monitor.accept(&mut qemu, deadline)?;
        let qmp = Qmp::connect(stream).map_err(|error| qmp_failed(machine, "greeting", &error.to_string()))?;
        let console = Console::follow(&group.logs.join(log));
        let boot = accel.patience(group.boot);
        let place = places.run;
        Ok(Session {
            machine: machine.to_owned(),
            qemu,
            console,
            agent,
            qmp,
            boot,
            interrupted: group.interrupted,
            place,
        })
    }

    /// Waits until the guest answers and has reached its default target. Gives the milliseconds since the start.
    pub fn ready(&mut self) -> Result<u64, GuestError> {
        let deadline = Deadline::after(self.boot);
        let greeted = {
            let mut watch = watch(&mut self.qemu, &mut self.console, self.interrupted, &self.machine);
            self.agent.greet(deadline, &mut watch)
        };
        greeted.map_err(|lost| self.explain(lost))?;
        // Exit codes other than 0 mean that some unit failed, which is for the recipe's tests to mind.
        self.run("systemctl is-system-running --wait; udevadm settle", deadline.left().as_secs().max(10))?;
        Ok(self.qemu.millis())
    }

    /// What executes its instructions.
    pub fn accel(&self) -> Accelerator {
        self.qemu.accel()
    }

    /// Where its console log is.
    pub fn log(&self) -> &Path {
        self.console.path()
    }

    /// Ends the machine at once and removes what belonged to it.
    pub fn end(mut self) {
        // A file system below an overlay that is thrown away needs no goodbye.
        let _ = self.qmp.execute("quit", None);
        let _ = self.qemu.ended(Duration::from_secs(3));
        self.qemu.kill();
        let _ = std::fs::remove_dir_all(&self.place);
    }

    /// Turns silence into the reason that the console or QEMU gives for it.
    fn explain(&mut self, lost: Lost) -> GuestError {
        if let Lost::Watch(error @ (GuestError::Interrupted | GuestError::KvmBroken { .. })) = lost {
            return error;
        }
        let _ = self.qemu.ended(LAST_WORDS);
        let why = self.console.poll().ok().flatten().map(str::to_owned);
        let why = why.or_else(|| self.power_off()).unwrap_or_else(|| match lost {
            Lost::Watch(GuestError::Guest { reason, .. }) => reason,
            other => other.to_string(),
        });
        self.failed(why)
    }

    /// QEMU's account of a guest that went away.
    fn power_off(&mut self) -> Option<String> {
        let ended = self.qemu.ended(Duration::ZERO).ok().flatten();
        let events = self.qmp.events().unwrap_or_default();
        let shutdown = events.iter().rfind(|event| event.name == "SHUTDOWN");
        match (shutdown, ended) {
            (Some(event), _) if event.data["guest"] == true => Some("the guest powered itself off".to_owned()),
            (_, Some(status)) => Some(format!("QEMU ended ({status}) {}", self.qemu.said()).trim_end().to_owned()),
            _ => None,
        }
    }

    fn failed(&self, reason: String) -> GuestError {
        GuestError::Guest { machine: self.machine.clone(), reason, console: self.console.last_lines() }
    }
}

impl Guest for Session<'_> {
    fn run(&mut self, command: &str, seconds: u64) -> Result<Answer, GuestError> {
        let answer = {
            let mut watch = watch(&mut self.qemu, &mut self.console, self.interrupted, &self.machine);
            self.agent.call(command, seconds, &mut watch)
        };
        answer.map_err(|lost| self.explain(lost))
    }

    fn reboot(&mut self) -> Result<(), GuestError> {
        let answer = {
            let mut watch = watch(&mut self.qemu, &mut self.console, self.interrupted, &self.machine);
            // The unit goes on alone: the shell that starts it is one of the first things to be stopped.
            self.agent.call("systemctl reboot --no-block", 30, &mut watch)
        };
        match answer {
            Ok(answer) if answer.code != 0 => {
                return Err(self.failed(format!("it refused to reboot: {}", answer.text().trim())));
            }
            Ok(_) | Err(Lost::Restarted) => {}
            Err(lost) => return Err(self.explain(lost)),
        }
        self.ready().map(drop)
    }

    fn qmp(&mut self, command: &str, arguments: &str) -> Result<Value, GuestError> {
        let failed = |reason: String| qmp_failed(&self.machine, command, &reason);
        let arguments = match arguments.trim() {
            "" => None,
            text => Some(serde_json::from_str(text).map_err(|error| failed(format!("its arguments: {error}")))?),
        };
        self.qmp.execute(command, arguments.as_ref()).map_err(|error| failed(error.to_string()))
    }

    fn check(&mut self) -> Result<(), GuestError> {
        let healthy = watch(&mut self.qemu, &mut self.console, self.interrupted, &self.machine)();
        healthy.map_err(|error| self.explain(Lost::Watch(error)))
    }

    fn last_lines(&mut self) -> Vec<String> {
        // A log that cannot be read any more leaves the lines that were read.
        let _ = self.console.poll();
        self.console.last_lines()
    }
}

/// Looks around while something is awaited: interrupted? QEMU gone? a panic on the console?
fn watch(
    qemu: &mut Qemu,
    console: &mut Console,
    interrupted: &AtomicBool,
    machine: &str,
) -> impl FnMut() -> Result<(), GuestError> {
    move || {
        if interrupted.load(Ordering::Relaxed) {
            return Err(GuestError::Interrupted);
        }
        qemu.check()?;
        match console.poll()? {
            None => Ok(()),
            Some(verdict) => Err(GuestError::Guest {
                machine: machine.to_owned(),
                reason: verdict.to_owned(),
                console: console.last_lines(),
            }),
        }
    }
}

fn qmp_failed(machine: &str, command: &str, reason: &str) -> GuestError {
    GuestError::Qmp { machine: machine.to_owned(), command: command.to_owned(), reason: reason.to_owned() }
}
