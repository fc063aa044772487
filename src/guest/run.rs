//! `kiln run`: one machine, or several, on the terminal until they end.
//!
//! The one in front has a console there (see [`super::terminal`]); the others write logs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::accel::Accelerator;
use super::clock::Deadline;
use super::event::{TestEvent, TestListener};
use super::gdb::GdbStub;
use super::launch::{self, Places, Purpose};
use super::process::{Qemu, Start};
use super::rundir::{RunDir, SHARED};
use super::running::{RunRecord, RunningMachine};
use super::{AccelChoice, GuestError, Launch, monitor, network, ports};
use crate::world::fs;

/// How often somebody looks whether the run is over.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time for QEMU to close its files when asked to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the guest's sshd listens.
const SSH_PORT: u16 = 22;

/// How a machine is run.
pub struct RunOptions<'a> {
    /// What executes the guest.
    pub accel: AccelChoice,
    /// A lasting overlay.
    pub keep: Option<PathBuf>,
    /// A short path for overlays: `/tmp`.
    pub base: PathBuf,
    /// How the front machine is debugged.
    pub gdb: Option<GdbStub>,
    /// What names the run for whoever looks for it: see [`RunRecord`].
    pub sources: Vec<PathBuf>,
    /// Set by SIGTERM, SIGHUP, or Ctrl-C when there is no terminal.
    pub interrupted: &'a AtomicBool,
}

/// Runs a machine until it ends; the others in `background` run beside it without a terminal and end with it.
pub fn run(
    front: &Launch,
    background: &[&Launch],
    options: &RunOptions<'_>,
    listener: &dyn TestListener,
) -> Result<(), GuestError> {
    for launch in std::iter::once(front).chain(background.iter().copied()) {
        ports::check(launch)?;
    }
    let keep = options.keep.as_ref().map(|keep| absolute(keep)).transpose()?;
    let run = RunDir::new(&options.base)?;
    for launch in std::iter::once(front).chain(background.iter().copied()) {
        for forward in launch::forwards(launch, Purpose::Terminal).unwrap_or_default() {
            let (host, guest) = (forward.host.value, forward.guest.value);
            let text = format!("forwarding 127.0.0.1:{host} to port {guest} of {}", launch.machine);
            listener.on(TestEvent::Notice(&text));
        }
    }
    for name in launch::memories(std::iter::once(front).chain(background.iter().copied())) {
        listener.on(TestEvent::Notice(&launch::memory_notice(&run.sub(SHARED)?, &name)));
    }
    for launch in std::iter::once(front).chain(background.iter().copied()) {
        let socket = run.path().join(&launch.machine).join(monitor::SOCKET);
        listener.on(TestEvent::Notice(&format!("QMP of {}: {}", launch.machine, socket.display())));
    }
    for text in front.additions.notices(&front.machine) {
        listener.on(TestEvent::Notice(&text));
    }
    for text in options.gdb.iter().flat_map(|gdb| gdb.notices(front)) {
        listener.on(TestEvent::Notice(&text));
    }
    let machines = std::iter::once(front).chain(background.iter().copied()).map(running).collect();
    RunRecord::new(options.sources.clone(), machines).publish(&run)?;
    let mut accel = options.accel.first();
    loop {
        let of_front = launch::accelerator(front, options.accel, accel)?;
        listener.on(TestEvent::Booting { machine: &front.machine, accel: of_front });
        match attempt(front, background, (&run, keep.as_ref(), accel), options) {
            Err(GuestError::KvmBroken { reason }) => {
                let notice = format!("KVM does not work ({reason}); restarting with software emulation");
                listener.on(TestEvent::Notice(&notice));
                accel = Accelerator::Tcg;
            }
            other => return other,
        }
    }
}

/// How others reach a machine.
fn running(launch: &Launch) -> RunningMachine {
    let forwards = launch::forwards(launch, Purpose::Terminal).unwrap_or_default();
    let ssh = forwards.iter().find(|forward| forward.guest.value == SSH_PORT).map(|forward| forward.host.value);
    let qmp = Some(Path::new(&launch.machine).join(monitor::SOCKET));
    RunningMachine { name: launch.machine.clone(), ssh, qmp }
}

fn attempt(
    front: &Launch,
    background: &[&Launch],
    (run, keep, accel): (&RunDir, Option<&PathBuf>, Accelerator),
    options: &RunOptions<'_>,
) -> Result<(), GuestError> {
    let fallback = options.accel == AccelChoice::Auto;
    let start = |launch: &Launch, keep: Option<&PathBuf>, terminal: bool| {
        let places = Places {
            run: run.sub(&launch.machine)?,
            shared: run.sub(SHARED)?,
            log: (!terminal).then(|| (run.path().to_owned(), format!("{}.console.log", launch.machine))),
            keep: keep.cloned(),
        };
        launch::prepare(launch, &places)?;
        let accel = launch::accelerator(launch, options.accel, accel)?;
        let purpose = if terminal { Purpose::Terminal } else { Purpose::Background };
        let forwards = launch::forwards(launch, purpose);
        let network = forwards.map(|forwards| network::open(launch, &places, forwards)).transpose()?;
        let spec = launch::spec(launch, &places, launch::argv(launch, purpose, &places, accel)?);
        let errors = run.path().join(format!("{}.qemu.log", launch.machine));
        Qemu::start(Start { machine: &launch.machine, spec: &spec, accel, fallback, errors, network }, terminal)
    };
    let mut others = Vec::new();
    for launch in background {
        others.push(start(launch, None, false)?);
    }
    // Before QEMU, so that a port that is taken is told before anything is started.
    let gdb = options.gdb.as_ref();
    let _relay = gdb.map(|gdb| gdb.open(&front.machine, &run.sub(&front.machine)?)).transpose()?;
    follow(&mut start(front, keep, true)?, options.interrupted)
}

/// Waits for the end of the machine on the terminal.
fn follow(qemu: &mut Qemu, interrupted: &AtomicBool) -> Result<(), GuestError> {
    loop {
        if let Some(status) = qemu.ended(POLL_INTERVAL)? {
            // What QEMU says when KVM cannot even be opened.
            qemu.check_kvm()?;
            // A signal to the whole process group ends QEMU as well, maybe first, and it calls that success.
            if interrupted.load(Ordering::Relaxed) || qemu.interrupted() {
                return Err(GuestError::Interrupted);
            }
            return if status.success() { Ok(()) } else { Err(qemu.end(status)) };
        }
        qemu.check_kvm()?;
        if interrupted.load(Ordering::Relaxed) || qemu.interrupted() {
            qemu.terminate();
            let deadline = Deadline::after(SHUTDOWN_TIMEOUT);
            while qemu.ended(POLL_INTERVAL)?.is_none() && !deadline.passed() {}
            qemu.kill();
            return Err(GuestError::Interrupted);
        }
    }
}

/// The sandbox has another working directory, so the file's directory is looked up first; the file may not exist yet.
fn absolute(path: &std::path::Path) -> Result<PathBuf, GuestError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| GuestError::Keep { path: path.to_owned(), reason: "not the name of a file".to_owned() })?;
    Ok(fs::context("resolve", parent, parent.canonicalize())?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_overlay_is_found_from_anywhere() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("keep.qcow2".as_ref()).unwrap(), here.canonicalize().unwrap().join("keep.qcow2"));
        let error = absolute("nowhere-at-all/keep.qcow2".as_ref()).unwrap_err().to_string();
        assert!(error.contains("nowhere-at-all"), "{error}");
        assert!(absolute("..".as_ref()).is_err());
    }
}
