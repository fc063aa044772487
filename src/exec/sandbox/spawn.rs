//! Starting sandboxes: the side of kiln.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use super::cancel;
use super::cgroup::Cgroup;
use super::follow::{SandboxEvent, follow};
use super::job::{EMPTY, Job, MONITOR, Wires, Work};
use super::running::{Lent, Running};
use super::seccomp::FilterKind;
use super::{Limits, Mount, Root, SandboxError, SandboxIds, Spec, ids};

/// The kiln that becomes monitor and pid 1, when it is not this very program.
static KILN: OnceLock<PathBuf> = OnceLock::new();

/// For programs that use kiln as a library, such as its tests: where the `kiln` program is. Its first call counts.
pub fn use_program(kiln: PathBuf) {
    KILN.get_or_init(|| kiln);
}

/// The three streams of a program.
pub struct Streams {
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
}

/// Runs a program to its end, handing on what it prints (on both streams) line by line. It has no input and no terminal.
pub fn run(spec: &Spec, on_line: &mut dyn FnMut(&str)) -> Result<ExitStatus, SandboxError> {
    run_within(spec, &Limits::standing(), &mut |heard| on_line(heard.text()))
}

/// The same within limits, hearing what kiln has to say about it, too.
pub fn run_within(
    spec: &Spec,
    limits: &Limits,
    heard: &mut dyn FnMut(SandboxEvent<'_>),
) -> Result<ExitStatus, SandboxError> {
    let work = Work::Program(spec.clone());
    run_job(Job { work, ids: spec.ids, owner: None, limits: *limits, kind: FilterKind::Step }, heard)
}

/// One of kiln's own functions, registered in `main`, and everything that it can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// User ids inside.
    pub ids: SandboxIds,
    pub entry: &'a str,
    /// What it is handed.
    pub argument: String,
    /// All files that it sees. `/proc`, a private `/tmp` and a minimal `/dev` are always there.
    pub mounts: Vec<Mount>,
    /// How much of the machine it may use.
    pub limits: Limits,
}

/// Runs a function of kiln in a fresh process without a network. What it prints is handed on line by line, with what
/// kiln has to say about it.
pub fn call(call: Call<'_>, heard: &mut dyn FnMut(SandboxEvent<'_>)) -> Result<(), SandboxError> {
    let Call { ids, entry, argument, mounts, limits } = call;
    let work = Work::Entry { name: entry.to_owned(), argument, mounts };
    let status = run_job(Job { work, ids, owner: None, limits, kind: FilterKind::Step }, heard)?;
    if status.success() { Ok(()) } else { Err(SandboxError::Lost(format!("{entry}: {status}"))) }
}

/// Starts a program, such as QEMU, that lives on while the caller does something else. It has no terminal.
pub fn spawn(spec: &Spec, streams: Streams) -> Result<Running, SandboxError> {
    start(machine(spec), streams)
}

/// The same for the program of a step, within limits.
pub fn spawn_within(spec: &Spec, limits: &Limits, streams: Streams) -> Result<Running, SandboxError> {
    let work = Work::Program(spec.clone());
    start(Job { work, ids: spec.ids, owner: None, limits: *limits, kind: FilterKind::Step }, streams)
}

fn machine(spec: &Spec) -> Job {
    let work = Work::Program(spec.clone());
    Job { work, ids: spec.ids, owner: None, limits: Limits::machine(), kind: FilterKind::Machine }
}

/// Makes every namespace that builds need, and leaves them again.
pub fn namespaces_possible() -> Result<(), SandboxError> {
    let nothing = Call {
        ids: SandboxIds::Single,
        entry: EMPTY,
        argument: "[]".to_owned(),
        mounts: Vec::new(),
        limits: Limits::standing(),
    };
    call(nothing, &mut |_| ())
}

fn run_job(job: Job, heard: &mut dyn FnMut(SandboxEvent<'_>)) -> Result<ExitStatus, SandboxError> {
    let limits = job.limits;
    let failed = |error: std::io::Error| SandboxError::setup("make a pipe", error);
    let (output, input) = std::io::pipe().map_err(failed)?;
    let second = input.try_clone().map_err(failed)?;
    let streams = Streams { stdin: Stdio::null(), stdout: input.into(), stderr: second.into() };
    let mut running = start(job, streams)?;
    follow(&mut running, output, &limits, heard)?;
    running.wait()
}

fn start(mut job: Job, streams: Streams) -> Result<Running, SandboxError> {
    if job.ids != SandboxIds::Inherit {
        job.owner = ids::builder();
    }
    let lent = job.owner.map(|owner| hand_over(&job, owner)).transpose()?.unwrap_or_default();
    let (control, wires) = Wires::new(&job)?;
    let ticket = cancel::register(&control)?;
    let mut command = Command::new(program(job.owner)?);
    command.arg0("kiln").arg(MONITOR).env_clear();
    command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
    // A Ctrl-C at the terminal reaches kiln alone, which then decides what becomes of its sandboxes.
    command.process_group(0);
    wires.pass(&mut command);
    // Within a sandbox everything is in its group already.
    let cgroup = if job.ids == SandboxIds::Inherit { None } else { Cgroup::around(&mut command, &job.limits) };
    let mut monitor = command.spawn().map_err(|error| SandboxError::setup("start kiln once more", error))?;
    drop((command, wires));
    let (stdin, stdout) = (monitor.stdin.take(), monitor.stdout.take());
    let (ids, owner) = (job.ids, job.owner);
    let (unread, ended) = (Vec::new(), None);
    let mut running = Running { stdin, stdout, monitor, control, unread, ended, ticket, ids, owner, lent, cgroup };
    running.greet()?;
    Ok(running)
}

/// What a sandbox may change belongs to it: directories that are to be written, with what lies in them, for good; single
/// files, which may be the user's own, until it ends.
fn hand_over(job: &Job, owner: u32) -> Result<Vec<Lent>, SandboxError> {
    let (root, mounts) = match &job.work {
        Work::Program(spec) => (Some(&spec.root), &spec.mounts),
        Work::Entry { mounts, .. } => (None, mounts),
    };
    let root = root.and_then(|root| if let Root::Writable(path) = root { Some(path) } else { None });
    let writable = mounts.iter().filter(|mount| !mount.readonly).map(|mount| &mount.source);
    let mut lent = Vec::new();
    for path in root.into_iter().chain(writable) {
        let given = path.symlink_metadata().and_then(|data| {
            if data.is_file() {
                lent.push(Lent { path: path.clone(), user: data.uid(), group: data.gid() });
            }
            ids::give(path, owner)
        });
        given.map_err(|error| SandboxError::setup(format!("hand over {}", path.display()), error))?;
    }
    Ok(lent)
}

/// The program that becomes monitor and pid 1: one that whoever they are may run.
fn program(owner: Option<u32>) -> Result<PathBuf, SandboxError> {
    static COPY: OnceLock<Option<std::os::fd::OwnedFd>> = OnceLock::new();
    let program = KILN.get().map_or(Path::new("/proc/self/exe"), PathBuf::as_path);
    let closed = || program.metadata().is_ok_and(|data| data.mode() & 0o5 != 0o5);
    if owner.is_none() || !closed() {
        return Ok(program.to_owned());
    }
    // Root's own program may be closed to all others; a copy in memory is not.
    let copy = COPY.get_or_init(|| {
        let memory = rustix::fs::memfd_create("kiln", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
        let mut file = std::fs::File::from(memory);
        std::io::copy(&mut crate::world::fs::open(program).ok()?, &mut file).ok()?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o555)).ok()?;
        Some(file.into())
    });
    let copy = copy.as_ref().ok_or_else(|| {
        SandboxError::setup("start kiln once more", format!("run `chmod a+rx {}`", program.display()))
    })?;
    Ok(PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd())))
}
