//! What a silent sandbox waits for, in one sentence.
//!
//! Input: its processes. Output: `su (pid 123) waits in read of fd 0 (/dev/null)`.

use super::measure::{Proc, Task};

/// Calls that wait, by number; of those with `true` the first argument is a descriptor.
const CALLS: &[(libc::c_long, &str, bool)] = &[
    (libc::SYS_read, "read", true),
    (libc::SYS_write, "write", true),
    (libc::SYS_readv, "read", true),
    (libc::SYS_writev, "write", true),
    (libc::SYS_wait4, "wait for a child", false),
    (libc::SYS_waitid, "wait for a child", false),
    (libc::SYS_ppoll, "poll", false),
    (libc::SYS_pselect6, "select", false),
    (libc::SYS_epoll_pwait, "epoll", true),
    (libc::SYS_futex, "wait for another thread", false),
    (libc::SYS_nanosleep, "sleep", false),
    (libc::SYS_clock_nanosleep, "sleep", false),
    (libc::SYS_flock, "lock", true),
    (libc::SYS_fcntl, "lock", true),
    (libc::SYS_openat, "open of a file", false),
    (libc::SYS_connect, "connect", true),
    (libc::SYS_accept, "accept", true),
    (libc::SYS_accept4, "accept", true),
    (libc::SYS_recvfrom, "receive", true),
    (libc::SYS_recvmsg, "receive", true),
    (libc::SYS_sendto, "send", true),
    (libc::SYS_sendmsg, "send", true),
    (libc::SYS_rt_sigsuspend, "wait for a signal", false),
    (libc::SYS_rt_sigtimedwait, "wait for a signal", false),
    (libc::SYS_fsync, "sync", true),
    (libc::SYS_fdatasync, "sync", true),
];

/// Calls that newer architectures lack.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(libc::c_long, &str, bool)] = &[
    (libc::SYS_poll, "poll", false),
    (libc::SYS_select, "select", false),
    (libc::SYS_epoll_wait, "epoll", true),
    (libc::SYS_pause, "wait for a signal", false),
    (libc::SYS_open, "open of a file", false),
];
#[cfg(target_arch = "aarch64")]
const OLD_CALLS: &[(libc::c_long, &str, bool)] = &[];

/// Names the process that the others wait for, as far as can be told: the youngest that has no children.
pub(super) fn sentence(proc: &Proc, tasks: &[Task]) -> String {
    let childless = |task: &&Task| task.pid != 1 && !tasks.iter().any(|other| other.parent == task.pid);
    let Some(task) = tasks.iter().filter(childless).max_by_key(|task| (task.start, task.pid)) else {
        return "only pid 1 is left".to_owned();
    };
    let place = call(proc, task.pid).or_else(|| kernel_function(proc, task.pid));
    match place {
        Some(place) => format!("{} (pid {}) waits in {place}", task.name, task.pid),
        None => format!("{} (pid {}) is idle", task.name, task.pid),
    }
}

/// The system call that it is in.
fn call(proc: &Proc, pid: u32) -> Option<String> {
    let text = proc.text(pid, "syscall")?;
    let mut words = text.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    let Some((_, name, of_descriptor)) = CALLS.iter().chain(OLD_CALLS).find(|(known, ..)| *known == number) else {
        return Some(format!("system call {number}"));
    };
    let first = words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    let descriptor = first.filter(|_| *of_descriptor).map(|descriptor| descriptor & 0xffff_ffff);
    Some(match descriptor.map(|descriptor| (descriptor, proc.descriptor(pid, descriptor))) {
        None => (*name).to_owned(),
        Some((descriptor, None)) => format!("{name} of fd {descriptor}"),
        Some((descriptor, Some(target))) => format!("{name} of fd {descriptor} ({target})"),
    })
}

/// Where in the kernel it sleeps, when the call is not shown.
fn kernel_function(proc: &Proc, pid: u32) -> Option<String> {
    let name = proc.text(pid, "wchan")?;
    (!name.is_empty() && name != "0" && name.bytes().all(|byte| byte.is_ascii_graphic())).then_some(name)
}
