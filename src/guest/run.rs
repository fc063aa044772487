//! `kiln run`: one machine, or several, on the terminal until they end.
//!
//! The one in front has a console there (see [`super::terminal`]); the others write logs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::accel::Accelerator;
use super::clock::Deadline;
use super::event::{TestEvent, TestListener};
use super::gdb::GdbStub;
use super::host::{CpuSelection, HostMemory, HostResources, Lan};
use super::keep::{self, Keep};
use super::launch::{self, KeptFiles, Places, Purpose};
use super::process::{Qemu, Start};
use super::rundir::{RunDir, SHARED};
use super::running::{RunRecord, RunningMachine};
use super::ssh::SshAccess;
use super::{AccelChoice, GuestError, Launch, monitor, network, ports, ssh};
use crate::machine::LaunchAdditions;

/// How often somebody looks whether the run is over.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time for QEMU to close its files when asked to end.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How a machine is run.
pub struct RunOptions<'a> {
    /// What executes the guest.
    pub accel: AccelChoice,
    /// Where what lasts is kept.
    pub keep: Option<PathBuf>,
    /// A short path for overlays: `/tmp`.
    pub base: PathBuf,
    /// Who may log in over SSH; nobody whom the images do not know, when there is none.
    pub ssh: Option<SshAccess>,
    /// How the front machine is debugged.
    pub gdb: Option<GdbStub>,
    /// What the machines take of this host.
    pub host: HostResources,
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
    let all: Vec<&Launch> = std::iter::once(front).chain(background.iter().copied()).collect();
    let lan = options.host.bridge.as_ref().map(|bridge| Lan::join(bridge, &options.sources, &all)).transpose()?;
    if lan.is_none() {
        all.iter().try_for_each(|launch| ports::check(launch))?;
    }
    let mut keep = options.keep.as_ref().map(|keep| Keep::open(keep)).transpose()?;
    let run = RunDir::new(&options.base)?;
    let access = options.ssh.clone().map(|access| access.with_own_key(&run)).transpose()?;
    let memory = HostMemory::reserve(&options.host.memory, &all)?;
    let handed = |launch: &Launch| {
        let credentials =
            access.as_ref().map_or_else(|| launch.credentials.clone(), |access| access.credentials(launch));
        let additions = LaunchAdditions {
            memory: memory.backing,
            bridged: lan.as_ref().map(|lan| lan.mac(&launch.machine)),
            ..launch.additions.clone()
        };
        Launch { credentials, additions, ..launch.clone() }
    };
    let (front, background) = (&handed(front), background.iter().map(|launch| handed(launch)).collect::<Vec<_>>());
    let background = &background.iter().collect::<Vec<_>>()[..];
    let kept = keep::files(&mut keep, (front, background), listener)?;
    announce(std::iter::once(front).chain(background.iter().copied()), (&run, access.as_ref(), &kept), listener)?;
    let cards = all.iter().filter_map(|launch| Some(lan.as_ref()?.notice(&launch.machine)));
    cards.for_each(|text| listener.on(TestEvent::Notice(&text)));
    let of_host = memory.notice().into_iter().chain(options.host.cpus.as_ref().map(CpuSelection::notice));
    of_host.for_each(|text| listener.on(TestEvent::Notice(&text)));
    options.gdb.iter().flat_map(|gdb| gdb.notices(front)).for_each(|text| listener.on(TestEvent::Notice(&text)));
    let mut accel = options.accel.first();
    loop {
        let of_front = launch::accelerator(front, options.accel, accel)?;
        listener.on(TestEvent::Booting { machine: &front.machine, accel: of_front });
        match attempt(front, background, (&run, &kept, &memory, accel), options) {
            Err(GuestError::KvmBroken { reason }) => {
                let notice = format!("KVM does not work ({reason}); restarting with software emulation");
                listener.on(TestEvent::Notice(&notice));
                accel = Accelerator::Tcg;
            }
            other => return other,
        }
    }
}

/// Says which doors of this host lead to the machines.
fn announce<'a>(
    launches: impl Iterator<Item = &'a Launch> + Clone,
    (run, access, kept): (&RunDir, Option<&SshAccess>, &BTreeMap<&str, KeptFiles>),
    listener: &dyn TestListener,
) -> Result<(), GuestError> {
    let say = |text: &str| listener.on(TestEvent::Notice(text));
    for (number, launch) in launches.clone().enumerate() {
        for forward in launch::forwards(launch, Purpose::Terminal).unwrap_or_default() {
            let (host, guest) = (forward.host.value, forward.guest.value);
            say(&format!("forwarding 127.0.0.1:{host} to port {guest} of {}", launch.machine));
            if let Some(access) = access.filter(|_| guest == ssh::PORT) {
                // `kiln ssh` takes the machine on the terminal unless it is told another one.
                let name = if number == 0 { String::new() } else { format!(" --machine {}", launch.machine) };
                say(&access.notice((&launch.machine, &name), host));
            }
        }
    }
    for name in launch::memories(launches.clone()) {
        let lasting = kept.values().find_map(|files| files.shared.get(&format!("{name}.memory"))?.parent());
        say(&launch::memory_notice(lasting.unwrap_or(&run.sub(SHARED)?), &name));
    }
    for launch in launches.clone() {
        let socket = run.path().join(&launch.machine).join(monitor::SOCKET);
        say(&format!("QMP of {}: {}", launch.machine, socket.display()));
    }
    launches.clone().flat_map(launch::share_notices).for_each(|text| say(&text));
    launches.flat_map(|launch| launch.additions.notices(&launch.machine)).for_each(|text| say(&text));
    Ok(())
}

/// How others reach a machine.
fn running(launch: &Launch) -> RunningMachine {
    let forwards = launch::forwards(launch, Purpose::Terminal).unwrap_or_default();
    let ssh = forwards.iter().find(|forward| forward.guest.value == ssh::PORT).map(|forward| forward.host.value);
    let qmp = Some(Path::new(&launch.machine).join(monitor::SOCKET));
    RunningMachine { name: launch.machine.clone(), ssh, qmp }
}

fn attempt(
    front: &Launch,
    background: &[&Launch],
    (run, kept, memory, accel): (&RunDir, &BTreeMap<&str, KeptFiles>, &HostMemory, Accelerator),
    options: &RunOptions<'_>,
) -> Result<(), GuestError> {
    let fallback = options.accel == AccelChoice::Auto;
    let start = |launch: &Launch, terminal: bool| {
        let places = Places {
            run: run.sub(&launch.machine)?,
            shared: run.sub(SHARED)?,
            log: (!terminal).then(|| (run.path().to_owned(), format!("{}.console.log", launch.machine))),
            memory: memory.directory_of(&launch.machine)?,
            keep: kept.get(launch.machine.as_str()).cloned(),
        };
        launch::prepare(launch, &places)?;
        let accel = launch::accelerator(launch, options.accel, accel)?;
        let purpose = if terminal { Purpose::Terminal } else { Purpose::Background };
        let forwards = launch::forwards(launch, purpose);
        let network = match &options.host.bridge {
            Some(bridge) => Some(network::bridge::open(launch, &places, bridge)?),
            None => forwards.map(|forwards| network::open(launch, &places, forwards)).transpose()?,
        };
        let spec = launch::spec(launch, &places, launch::argv(launch, purpose, &places, accel)?);
        let errors = run.path().join(format!("{}.qemu.log", launch.machine));
        let (machine, servers) = (&launch.machine, launch::serve(launch, &places.run)?);
        let cpus = options.host.cpus.as_ref();
        Qemu::start(Start { machine, spec: &spec, accel, fallback, errors, network, servers, cpus }, terminal)
    };
    // Before any QEMU, so that a port that is taken is told before anything is started.
    let gdb = options.gdb.as_ref();
    let _relay = gdb.map(|gdb| gdb.open(&front.machine, &run.sub(&front.machine)?)).transpose()?;
    let mut others = Vec::new();
    for launch in background {
        others.push(start(launch, false)?);
    }
    let mut qemu = start(front, true)?;
    // Now its ports are held, and nobody else can be behind them.
    let machines: Vec<RunningMachine> = std::iter::once(front).chain(background.iter().copied()).map(running).collect();
    ssh::write_config(run, &machines)?;
    RunRecord::new(options.sources.clone(), machines).publish(run)?;
    follow(&mut qemu, options.interrupted)
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
