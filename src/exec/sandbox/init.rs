//! Pid 1 of a sandbox: arranges what can be seen, starts the program, buries orphans, and says how it ended.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};

use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::job::{INSIDE, Job, Message, Wires, Work, close_strangers};
use super::{SandboxError, Spec, mounts, privileges};

/// The whole life of the process.
pub(super) fn main(wires: &Wires) -> ExitCode {
    let told = match start(wires) {
        Ok((child, signals)) => wires.tell(&Message::Started).map(|()| reap(&child, signals)),
        Err(error) => Ok(Message::Failed(error)),
    };
    // When nobody listens any more there is nobody to tell.
    let _ = told.and_then(|message| wires.tell(&message));
    ExitCode::SUCCESS
}

fn start(wires: &Wires) -> Result<(Child, Signals), SandboxError> {
    let job = wires.job()?;
    close_strangers()?;
    // Through /proc/1/exe the program could otherwise read kiln itself, and where it lies on the host.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| SandboxError::setup("hide pid 1", error))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let named = rustix::system::sethostname(b"kiln").and_then(|()| rustix::system::setdomainname(b"(none)"));
    named.map_err(|error| SandboxError::setup("set the host name", error))?;
    let signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGQUIT]);
    let signals = signals.map_err(|error| SandboxError::setup("handle signals", error))?;
    let child = match &job.work {
        Work::Program(spec) => program(&job, spec)?,
        Work::Entry { name, .. } => entry(wires, &job, name)?,
    };
    Ok((child, signals))
}

fn program(job: &Job, spec: &Spec) -> Result<Child, SandboxError> {
    mounts::enter(spec)?;
    limit_resources();
    privileges::give_up(spec.privileges)?;
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let failed = |reason: String| SandboxError::Program { program: name.to_owned(), reason };
    if !spec.cwd.is_dir() {
        return Err(failed(format!("there is no working directory {}", spec.cwd.display())));
    }
    let mut command = Command::new(name);
    command.args(spec.argv.iter().skip(1)).env_clear().envs(&spec.env).current_dir(&spec.cwd);
    own_session(job, &mut command);
    command.spawn().map_err(|error| failed(error.to_string()))
}

/// One of kiln's own functions: it sees the host's files, but nothing of its processes and network.
fn entry(wires: &Wires, job: &Job, name: &str) -> Result<Child, SandboxError> {
    mounts::refresh_proc()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kiln").arg(INSIDE).arg(name);
    wires.pass(&mut command);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir("/");
    own_session(job, &mut command);
    command.spawn().map_err(|error| SandboxError::Program { program: name.to_owned(), reason: error.to_string() })
}

/// Without the caller's terminal, which `/dev/tty` would otherwise be.
fn own_session(job: &Job, command: &mut Command) {
    if job.detach {
        // SAFETY: between fork and exec only setsid is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
        }
    }
}

/// The host's limits are part of nobody's lock. A limit that cannot be set is one that is lower already.
fn limit_resources() {
    let set = |resource, current: u64| {
        let maximum = rustix::process::getrlimit(resource).maximum;
        let current = Some(maximum.map_or(current, |maximum| maximum.min(current)));
        let _ = rustix::process::setrlimit(resource, Rlimit { current, maximum });
    };
    set(Resource::Core, 0);
    set(Resource::Stack, 8 << 20);
    // Programs that close every possible descriptor take minutes when the host allows a thousand million.
    set(Resource::Nofile, 1024);
}

/// Waits for the program, burying whatever else ends; passes a polite request to end on.
fn reap(child: &Child, mut signals: Signals) -> Message {
    let program = Pid::from_child(child);
    for signal in signals.forever() {
        if signal == SIGTERM {
            // When it is gone already, the next round says so.
            let _ = rustix::process::kill_process(program, Signal::TERM);
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == program {
                return Message::Ended(status.as_raw());
            }
        }
    }
    Message::Failed(SandboxError::Lost("no more signals".to_owned()))
}
