//! One booted machine that carries out commands, and the news when it fails.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::agent::{Agent, AgentError, Answer, Screen};
use super::clock::Deadline;
use super::console::ConsoleLog;
use super::host::{self, CpuSelection, HostMemory};
use super::launch::{self, Places, Purpose};
use super::network::{self, UserNetwork};
use super::process::{Qemu, Start, TICK, Waiting};
use super::qmp::{Qmp, QmpError};
use super::rundir::{RunDir, SHARED};
use super::step::Guest;
use super::terminal::{self, ShellEnd};
use super::{AccelChoice, GuestError, Launch, accel::Accelerator};
use crate::exec::sandbox::Spec;
use crate::recipe::machine::device::Forward;
use crate::world::{OutputDirectory, fs};

/// After a failure the console is given this long to say why.
const FAILURE_OUTPUT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a look at the monitor takes when there is nothing to hear.
const MONITOR_POLL_TIMEOUT: Duration = Duration::from_millis(2);
/// QEMU opens its sockets before it does anything slow.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);

/// What all machines of one start have in common.
pub struct MachineGroup<'a> {
    /// Sockets and overlays.
    pub run: &'a RunDir,
    /// Where console logs are kept.
    pub logs: &'a Path,
    pub accel: AccelChoice,
    /// Time for a boot under KVM; TCG is given ten times as much.
    pub boot: Duration,
    /// What their memory is made of.
    pub memory: &'a HostMemory,
    /// The CPUs of the host that they may use; all that kiln may use, when absent.
    pub cpus: Option<&'a CpuSelection>,
    /// [`Purpose::Test`], or another one whose forwarded ports they have.
    pub doors: Purpose,
    /// Set by a signal.
    pub interrupted: &'a AtomicBool,
}

/// A machine that runs.
pub struct GuestSession<'a> {
    machine: String,
    agent: Agent<UnixStream>,
    body: Body<'a>,
    boot: Duration,
    wiring: Wiring<'a>,
    /// Where files out of the guest are kept, and those that were since somebody asked.
    logs: PathBuf,
    fetched: Vec<PathBuf>,
}

/// What it takes to start QEMU again with the same disks and files.
struct Wiring<'a> {
    launch: Launch,
    spec: Spec,
    accel: Accelerator,
    fallback: bool,
    errors: PathBuf,
    run: PathBuf,
    /// The directory with the files that its memory is made of.
    memory: Option<PathBuf>,
    cpus: Option<&'a CpuSelection>,
    /// Ports that lead into it; none when it has no user network.
    forwards: Option<Vec<Forward>>,
}

/// Everything about a machine that is looked at while the shell in it is awaited.
struct Body<'a> {
    machine: String,
    qemu: Qemu,
    console: ConsoleLog,
    qmp: Qmp<UnixStream>,
    interrupted: &'a AtomicBool,
    /// What the guest did of itself, once it did something that no test asked for.
    gone: Option<&'static str>,
}

impl<'a> GuestSession<'a> {
    /// Starts QEMU; `number` tells the starts of one machine apart. The guest is not awaited.
    pub fn start(
        group: &MachineGroup<'a>,
        launch: &Launch,
        number: usize,
        accel: Accelerator,
    ) -> Result<GuestSession<'a>, GuestError> {
        let name = if number == 0 { launch.machine.clone() } else { format!("{}.{number}", launch.machine) };
        let log = format!("{name}.console.log");
        // What an earlier start of this name left behind, one that KVM failed for example.
        fs::remove_tree(&group.run.path().join(&name))?;
        let places = Places {
            run: group.run.sub(&name)?,
            shared: group.run.sub(SHARED)?,
            log: Some((group.logs.to_owned(), log.clone())),
            memory: group.memory.directory_of(&name)?,
            keep: None,
        };
        fs::create_dir_all(group.logs)?;
        fs::remove_file(&group.logs.join(&log))?;
        launch::prepare(launch, &places)?;
        let accel = launch::accelerator(launch, group.accel, accel)?;
        let forwards = launch::forwards(launch, group.doors).map(<[Forward]>::to_vec);
        let spec = launch::spec(launch, &places, launch::argv(launch, Purpose::Test, &places, accel)?);
        let wiring = Wiring {
            launch: launch.clone(),
            spec,
            accel,
            fallback: group.accel == AccelChoice::Auto,
            errors: group.logs.join(format!("{name}.qemu.log")),
            run: places.run,
            memory: places.memory,
            cpus: group.cpus,
            forwards,
        };
        let (qemu, agent, qmp) = wiring.start()?;
        let body = Body {
            machine: launch.machine.clone(),
            qemu,
            console: ConsoleLog::follow(&group.logs.join(log)),
            qmp,
            interrupted: group.interrupted,
            gone: None,
        };
        let (machine, boot) = (launch.machine.clone(), accel.patience(group.boot));
        let (logs, fetched) = (group.logs.to_owned(), Vec::new());
        Ok(GuestSession { machine, agent, body, boot, wiring, logs, fetched })
    }

    /// Waits until the guest answers and has reached its default target. Gives the milliseconds since the start.
    pub fn ready(&mut self) -> Result<u64, GuestError> {
        let deadline = Deadline::after(self.boot);
        let greeted = self.agent.greet(deadline, &mut || self.body.look());
        greeted.map_err(|lost| self.explain(lost))?;
        // Exit codes other than 0 mean that some unit failed, which is for the recipe's tests to mind.
        self.run("systemctl is-system-running --wait; udevadm settle", deadline.left().as_secs().max(10))?;
        Ok(self.body.qemu.millis())
    }

    /// Where its console log is.
    pub fn log(&self) -> &Path {
        self.body.console.path()
    }

    /// Opens a shell of root on the user's terminal, until one of both ends it.
    pub fn shell(&mut self, screen: &Screen) -> Result<ShellEnd, GuestError> {
        let opened = self.agent.open_shell(screen, &mut || self.body.look());
        let end = opened.map_err(|lost| self.explain(lost))?;
        let relayed = terminal::relay(self.agent.stream(), &end, &mut || self.body.look());
        relayed.map_err(|error| match error {
            GuestError::World(_) => error,
            error => self.explain(AgentError::Watch(error)),
        })
    }

    /// Whether its QEMU has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.body.qemu.ended(Duration::ZERO), Ok(None))
    }

    /// Whether a signal came.
    pub fn is_interrupted(&self) -> bool {
        self.body.interrupted.load(Ordering::Relaxed)
    }

    /// The files that were brought out since the last time.
    pub fn take_fetched(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.fetched)
    }

    /// Ends the machine at once and removes what belonged to it.
    pub fn end(mut self) {
        // A file system below an overlay that is thrown away needs no goodbye.
        let _ = self.body.qmp.execute("quit", None);
        let _ = self.body.qemu.ended(Duration::from_secs(3));
        self.body.qemu.kill();
        let made = std::iter::once(&self.wiring.run).chain(&self.wiring.memory);
        made.for_each(|path| drop(fs::remove_tree(path)));
    }

    /// Turns silence into the reason that the console or QEMU gives for it.
    fn explain(&mut self, lost: AgentError) -> GuestError {
        if let AgentError::Watch(error @ (GuestError::Interrupted | GuestError::KvmBroken { .. })) = lost {
            return error;
        }
        self.body.last_words();
        let why = self.body.console.poll().ok().flatten().or(self.body.gone).map(str::to_owned);
        self.failed(why.unwrap_or_else(|| match lost {
            AgentError::Watch(GuestError::Guest { reason, .. }) => reason,
            AgentError::Watch(GuestError::Qemu { what, said, .. }) => {
                format!("QEMU {what} {said}").trim_end().to_owned()
            }
            other => other.to_string(),
        }))
    }

    fn failed(&self, reason: String) -> GuestError {
        GuestError::Guest { machine: self.machine.clone(), reason, console: self.body.console.last_lines() }
    }
}

impl Guest for GuestSession<'_> {
    fn run(&mut self, command: &str, seconds: u64) -> Result<Answer, GuestError> {
        let answer = self.agent.call(command, seconds, &mut || self.body.look());
        answer.map_err(|lost| self.explain(lost))
    }

    fn reboot(&mut self) -> Result<(), GuestError> {
        // Answered first, done then: the shell is one of the first things to be stopped.
        let command = "{ sleep 2; exec systemctl poweroff; } </dev/null >/dev/null 2>&1 &";
        match self.agent.call(command, self.boot.as_secs(), &mut || self.body.glance()) {
            Ok(_) | Err(AgentError::Closed) => {}
            Err(lost) => return Err(self.explain(lost)),
        }
        let deadline = Deadline::after(self.boot);
        while self.body.qemu.ended(TICK)?.is_none() {
            if let Err(error) = self.body.glance() {
                return Err(self.explain(AgentError::Watch(error)));
            }
            if deadline.passed() {
                return Err(self.failed(format!("it did not shut down within {} s", deadline.limit().as_secs())));
            }
        }
        self.body.qemu.close_network();
        (self.body.qemu, self.agent, self.body.qmp) = self.wiring.start()?;
        self.ready().map(drop)
    }

    fn qmp(&mut self, command: &str, arguments: &str) -> Result<Value, GuestError> {
        let failed = |reason: String| qmp_failed(&self.machine, command, &reason);
        let arguments = match arguments.trim() {
            "" => None,
            text => Some(serde_json::from_str(text).map_err(|error| failed(format!("its arguments: {error}")))?),
        };
        self.body.qmp.execute(command, arguments.as_ref()).map_err(|error| match error {
            QmpError::Refused { .. } => {
                let (machine, command, reason) = (self.machine.clone(), command.to_owned(), error.to_string());
                GuestError::Refused { machine, command, reason }
            }
            error => failed(error.to_string()),
        })
    }

    fn keep_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), GuestError> {
        let below = Path::new(&self.machine).join(path.trim_start_matches('/'));
        let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else { return Ok(()) };
        // No part of it may be a link: somebody may have prepared the directory.
        OutputDirectory::open(&self.logs)?.descend(parent)?.write(name, bytes, 0o644)?;
        self.fetched.push(self.logs.join(below));
        Ok(())
    }

    fn check(&mut self) -> Result<(), GuestError> {
        self.body.look().map_err(|error| self.explain(AgentError::Watch(error)))
    }

    fn last_lines(&mut self) -> Vec<String> {
        // A log that cannot be read any more leaves the lines that were read.
        let _ = self.body.console.poll();
        self.body.console.last_lines()
    }
}

impl Wiring<'_> {
    /// Starts QEMU and takes its calls.
    fn start(&self) -> Result<(Qemu, Agent<UnixStream>, Qmp<UnixStream>), GuestError> {
        let machine = &self.launch.machine;
        self.memory.as_deref().map(host::renew).transpose()?;
        let (agent, monitor) = (Waiting::at(&self.run.join("agent"))?, Waiting::at(&self.run.join("qmp"))?);
        let open = |forwards: &Vec<Forward>| UserNetwork::open(machine, &self.run.join(network::SOCKET), forwards);
        let start = Start {
            network: self.forwards.as_ref().map(open).transpose()?,
            machine,
            servers: launch::serve(&self.launch, &self.run)?,
            spec: &self.spec,
            accel: self.accel,
            fallback: self.fallback,
            errors: self.errors.clone(),
            cpus: self.cpus,
        };
        let mut qemu = Qemu::start(start, false)?;
        let deadline = Deadline::after(SOCKET_TIMEOUT);
        let agent = Agent::new(agent.accept(&mut qemu, deadline)?);
        let stream = monitor.accept(&mut qemu, deadline)?;
        // It is looked at between reads of the other one, and must not slow them down.
        fs::context("set up", &self.run, stream.set_read_timeout(Some(MONITOR_POLL_TIMEOUT)))?;
        let qmp = Qmp::connect(stream).map_err(|error| match qemu.ended(FAILURE_OUTPUT_TIMEOUT) {
            Ok(Some(status)) => qemu.end(status),
            _ => qmp_failed(machine, "greeting", &error.to_string()),
        })?;
        Ok((qemu, agent, qmp))
    }
}

impl Body<'_> {
    /// Looks around while something is awaited: interrupted? the guest or QEMU gone? a panic on the console?
    fn look(&mut self) -> Result<(), GuestError> {
        self.hear();
        self.glance()?;
        match self.gone {
            None => self.qemu.check(),
            Some(reason) => Err(self.failed(reason)),
        }
    }

    /// The same for a guest that may go away.
    fn glance(&mut self) -> Result<(), GuestError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(GuestError::Interrupted);
        }
        match self.console.poll()? {
            None => Ok(()),
            Some(reason) => Err(self.failed(reason)),
        }
    }

    fn failed(&self, reason: &str) -> GuestError {
        let (machine, console) = (self.machine.clone(), self.console.last_lines());
        GuestError::Guest { machine, reason: reason.to_owned(), console }
    }

    /// Takes note of what QEMU says that the guest did.
    fn hear(&mut self) {
        for event in self.qmp.events().unwrap_or_default() {
            let by_guest = event.data["guest"] == true;
            match event.name.as_str() {
                "RESET" if by_guest => {
                    self.gone.get_or_insert("the guest restarted unexpectedly");
                }
                "SHUTDOWN" if by_guest => {
                    self.gone.get_or_insert("the guest powered off unexpectedly");
                }
                _ => {}
            }
        }
    }

    /// After a failure: gives QEMU time to end, and the console to say why.
    fn last_words(&mut self) {
        let _ = self.qemu.ended(FAILURE_OUTPUT_TIMEOUT);
        self.hear();
    }
}

fn qmp_failed(machine: &str, command: &str, reason: &str) -> GuestError {
    GuestError::Qmp { machine: machine.to_owned(), command: command.to_owned(), reason: reason.to_owned() }
}
