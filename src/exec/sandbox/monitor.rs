//! The process between kiln and a sandbox: it makes the namespaces, starts pid 1, and ends the sandbox when kiln is gone.

use std::fs::read_to_string;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;

use super::job::{INIT, Job, Message, Wires, Work};
use super::{SandboxError, SandboxIds, ids, keyring, libraries, stage};

/// The whole life of the process.
pub(super) fn main(wires: &Wires) -> ExitCode {
    match start(wires) {
        Ok((init, grace)) => {
            guard(wires, init, grace);
            ExitCode::SUCCESS
        }
        Err(error) => {
            // When nobody listens any more there is nobody to tell.
            let _ = wires.tell(&Message::Failed(error));
            ExitCode::FAILURE
        }
    }
}

/// Pid 1, and how long everything inside may take to end.
fn start(wires: &Wires) -> Result<(Child, Duration), SandboxError> {
    keyring::leave()?;
    let mut job = wires.job()?;
    // A handler instead of ignoring: it ends with the next exec. The terminal's signals are for the program.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        let unused = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal, unused).map_err(|error| SandboxError::setup("handle signals", error))?;
    }
    if let Work::Entry { mounts, .. } = &mut job.work {
        mounts.extend(libraries::mounts()?);
    }
    if let Some(owner) = job.owner {
        stage::stage(&mut job, owner)?;
    }
    wires.write_job(&job)?;
    new_user(wires, &job)?;
    new_spaces()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kiln").arg(INIT).env_clear();
    wires.pass(&mut command);
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let init = command.spawn().map_err(|error| SandboxError::setup("start pid 1", error))?;
    Ok((init, if let Work::Program(spec) = &job.work { spec.grace } else { Duration::ZERO }))
}

/// A user namespace in which this process is 0.
fn new_user(wires: &Wires, job: &Job) -> Result<(), SandboxError> {
    if job.ids == SandboxIds::Inherit {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    stage::unshare(UnshareFlags::NEWUSER).map_err(refused)?;
    if job.ids == SandboxIds::Single && job.owner.is_none() {
        ids::map_self(uid, gid)?;
    } else {
        let silent = |error: std::io::Error| SandboxError::setup("wait for the id maps", error);
        wires.tell(&Message::Unshared).map_err(silent)?;
        (&wires.control).read_exact(&mut [0]).map_err(silent)?;
        rustix::thread::set_thread_groups(&[]).map_err(|error| SandboxError::setup("leave all groups", error))?;
    }
    let failed = |error| SandboxError::setup("become 0", error);
    let (user, group) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
    rustix::thread::set_thread_res_gid(group, group, group).map_err(failed)?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(failed)
}

fn new_spaces() -> Result<(), SandboxError> {
    let own = UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWNET;
    stage::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWPID | own).map_err(|error| SandboxError::Setup {
        what: "make mount, process and network namespaces".to_owned(),
        reason: if error == Errno::PERM { apparmor_hint(error) } else { error.to_string() },
    })?;
    // Only hides the host's cgroup names; kernels without it have nothing to hide.
    let _ = stage::unshare(UnshareFlags::NEWCGROUP);
    Ok(())
}

/// Says which of the switches that distributions have is off.
fn refused(error: Errno) -> SandboxError {
    let sysctl = |name: &str| read_to_string(format!("/proc/sys/{name}")).map(|text| text.trim().to_owned());
    let remedy = if sysctl("kernel/unprivileged_userns_clone").is_ok_and(|value| value == "0") {
        "run `sysctl -w kernel.unprivileged_userns_clone=1` as root".to_owned()
    } else if sysctl("user/max_user_namespaces").is_ok_and(|value| value == "0") {
        "run `sysctl -w user.max_user_namespaces=65536` as root".to_owned()
    } else if error == Errno::NOSPC {
        "too many are open or too deeply nested; raise `user.max_user_namespaces`".to_owned()
    } else if error == Errno::INVAL || error == Errno::NOSYS {
        "the kernel was built without CONFIG_USER_NS".to_owned()
    } else {
        "in a container, allow them in its seccomp profile (Docker: `--security-opt seccomp=unconfined`)".to_owned()
    };
    SandboxError::NoUserNamespace { reason: error.to_string(), remedy }
}

/// Ubuntu lets a process have a user namespace, but no rights in it.
fn apparmor_hint(error: Errno) -> String {
    let switch = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    match read_to_string(switch) {
        Ok(value) if value.trim() == "1" => {
            format!(
                "{error}: AppArmor takes all rights: run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` as root"
            )
        }
        _ => error.to_string(),
    }
}

/// Returns when pid 1, and with it everything inside, is gone; sees to that when kiln hangs up.
fn guard(wires: &Wires, mut init: Child, grace: Duration) {
    let pid = Pid::from_child(&init);
    if let Ok(ended) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        let mut fds = [
            PollFd::from_borrowed_fd(wires.control.as_fd(), PollFlags::IN | PollFlags::RDHUP),
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
        ];
        loop {
            match rustix::event::poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                Err(_) => break,
                Ok(_) if !fds[1].revents().is_empty() => break,
                Ok(_) if hung_up(wires) => {
                    if !grace.is_zero() {
                        forward(pid);
                        let mut gone = [PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
                        // Whatever it says: what has not ended by now is killed.
                        let _ = rustix::event::poll(&mut gone, Timespec::try_from(grace).ok().as_ref());
                    }
                    let _ = init.kill();
                    break;
                }
                Ok(_) => forward(pid),
            }
        }
    }
    let _ = init.wait();
}

/// The caller sends one byte to ask for a polite end, and closes to insist.
fn hung_up(wires: &Wires) -> bool {
    !matches!((&wires.control).read(&mut [0]), Ok(1))
}

fn forward(init: Pid) {
    // Init passes it on; when it is gone already, so is the program.
    let _ = rustix::process::kill_process(init, Signal::TERM);
}
