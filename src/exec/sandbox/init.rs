//! Pid 1 of a sandbox: arranges what can be seen, starts the program, buries orphans, and says how it ended.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::job::{INSIDE, Job, Message, Wires, Work, close_strangers};
use super::mounts::View;
use super::seccomp::Filter;
use super::watch::Watch;
use super::{HOST_NAME, Mount, Root, SandboxError, Spec, limits, mounts, privileges};

/// The whole life of the process.
pub(super) fn main(wires: &Wires) -> ExitCode {
    let told = match start(wires) {
        Ok(inside) => wires.tell(&Message::Started).map(|()| match reap(&inside.child, inside.signals, inside.told) {
            Message::Ended(status) => match inside.watch.at_the_end() {
                Some(exceeded) => Message::Failed(SandboxError::Limit(exceeded)),
                None => Message::Ended(status),
            },
            other => other,
        }),
        Err(error) => Ok(Message::Failed(error)),
    };
    // When nobody listens any more there is nobody to tell.
    let _ = told.and_then(|message| wires.tell(&message));
    ExitCode::SUCCESS
}

/// What pid 1 looks after.
struct Inside {
    child: Child,
    signals: Signals,
    watch: Watch,
    told: Told,
}

/// Who is told that the sandbox is to end.
#[derive(Clone, Copy)]
enum Told {
    /// The program, which knows its own processes.
    Program,
    /// Every process that the program started, as at a terminal: a shell is deaf while it waits for its command.
    Everybody,
}

fn start(wires: &Wires) -> Result<Inside, SandboxError> {
    let job = wires.job()?;
    limits::hold(job.limits);
    close_strangers()?;
    // Through /proc/1/exe the program could otherwise read kiln itself, and where it lies on the host.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| SandboxError::setup("hide pid 1", error))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let name = match &job.work {
        Work::Program(spec) => spec.hostname.as_str(),
        Work::Entry { .. } => HOST_NAME,
    };
    let named = rustix::system::sethostname(name.as_bytes()).and_then(|()| rustix::system::setdomainname(b"(none)"));
    named.map_err(|error| SandboxError::setup("set the host name", error))?;
    let signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGQUIT]);
    let signals = signals.map_err(|error| SandboxError::setup("handle signals", error))?;
    let child = match &job.work {
        Work::Program(spec) => program(&job, spec)?,
        Work::Entry { name, mounts, .. } => entry(wires, name, mounts)?,
    };
    limits::first_to_go(child.id());
    let watch = Watch::of(&job);
    if let Err(error) = watch.clone().start(wires) {
        // The program runs already, and on a busy machine it may have started so much that nothing else can start.
        return Err(watch.at_the_end().map_or(error, SandboxError::Limit));
    }
    let told = match &job.work {
        Work::Program(spec) if !spec.grace.is_zero() => Told::Everybody,
        _ => Told::Program,
    };
    Ok(Inside { child, signals, watch, told })
}

fn program(job: &Job, spec: &Spec) -> Result<Child, SandboxError> {
    let Spec { root, mounts, directories, cwd, .. } = spec;
    mounts::enter(&View { root, mounts, directories, cwd })?;
    limits::apply();
    privileges::give_up(spec.privileges)?;
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let failed = |reason: String| SandboxError::Program { program: name.to_owned(), reason };
    if !spec.cwd.is_dir() {
        return Err(failed(format!("working directory {} does not exist", spec.cwd.display())));
    }
    let mut command = Command::new(name);
    command.args(spec.argv.iter().skip(1)).env_clear().envs(&spec.env).current_dir(&spec.cwd);
    own_session(&mut command);
    Filter::new(job.kind).before(&mut command);
    command.spawn().map_err(|error| failed(error.to_string()))
}

/// One of kiln's own functions: it sees what it was given, and what kiln needs to run.
fn entry(wires: &Wires, name: &str, mounts: &[Mount]) -> Result<Child, SandboxError> {
    mounts::enter(&View { root: &Root::Empty, mounts, directories: &[], cwd: Path::new("/") })?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kiln").arg(INSIDE).arg(name);
    wires.pass(&mut command);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir("/");
    own_session(&mut command);
    command.spawn().map_err(|error| SandboxError::Program { program: name.to_owned(), reason: error.to_string() })
}

/// Without the caller's terminal, which `/dev/tty` would otherwise be.
fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only setsid is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
    }
}

/// Waits for the program, burying whatever else ends; passes a polite request to end on.
fn reap(child: &Child, mut signals: Signals, told: Told) -> Message {
    let program = Pid::from_child(child);
    for signal in signals.forever() {
        if signal == SIGTERM {
            // When it is gone already, the next round says so.
            let _ = match told {
                Told::Program => rustix::process::kill_process(program, Signal::TERM),
                // It has a session, and so a process group, of its own.
                Told::Everybody => rustix::process::kill_process_group(program, Signal::TERM),
            };
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == program {
                return Message::Ended(status.as_raw());
            }
        }
    }
    Message::Failed(SandboxError::Lost("no more signals".to_owned()))
}
