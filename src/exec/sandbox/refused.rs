//! Which system calls programs in sandboxes do without, and what answers them: the table of [`super::seccomp`].
//!
//! `EPERM` is what a program hears that may not do a thing, and where callers fall back to something older when the
//! kernel lacks a call (as container engines have it) the answer is that it lacks it, `ENOSYS`.

use libc::{ENOSYS, EPERM, c_long};

/// What kind of program a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FilterKind {
    /// A program of a step: compilers, dpkg, the scripts of packages.
    Step,
    /// A QEMU, which has no business with other processes or device nodes.
    Machine,
}

/// A call that is refused whatever its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its name in the manual.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: c_long,
    /// The error it gives.
    pub error: i32,
}

/// `CLONE_NEW*` of `include/uapi/linux/sched.h`: no namespaces within a sandbox, for user namespaces give whoever
/// makes one all rights in it, and with them the kernel's less tried halves. Of `clone`, the lowest byte is a signal.
const NAMESPACES: u32 = 0x7e02_0000;
pub(super) const NEWTIME: u32 = 0x80;
pub(super) const CLONES: [(c_long, u32); 2] =
    [(libc::SYS_clone, NAMESPACES), (libc::SYS_unshare, NAMESPACES | NEWTIME)];

/// Requests that write into a terminal's input: `TIOCSTI`, `TIOCLINUX`.
pub(super) const IOCTLS: [u32; 2] = [0x5412, 0x541c];

/// Families of sockets that are there: `AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`, `AF_PACKET`. Of the others some
/// lead past the network namespace (`AF_VSOCK` to the machine's own host, `AF_BLUETOOTH`), and none is needed.
pub(super) const DOMAINS: [u32; 5] = [1, 2, 10, 16, 17];

/// Bits that make whoever runs a file somebody else: `S_ISUID` and `S_ISGID`.
pub(super) const SET_ID_BITS: u32 = 0o6000;

/// Calls that give a file its mode, and which argument that is. The files of a directory that a machine shares belong to
/// the user, and a guest must not leave a program there that makes others of the host that user. (C libraries hand over 0
/// where a call takes no mode.)
#[cfg(target_arch = "x86_64")]
pub(super) const MODES: &[(c_long, u32)] = &[
    (libc::SYS_chmod, 1),
    (libc::SYS_creat, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (FCHMODAT2, 2),
    (libc::SYS_open, 2),
    (libc::SYS_openat, 3),
];
#[cfg(target_arch = "aarch64")]
pub(super) const MODES: &[(c_long, u32)] =
    &[(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (FCHMODAT2, 2), (libc::SYS_openat, 3)];

/// As [`OPEN_TREE_ATTR`].
const FCHMODAT2: c_long = 452;
/// A number that `libc` does not know everywhere; those of its time are the same on all architectures.
const OPEN_TREE_ATTR: c_long = 467;

macro_rules! calls {
    ($($error:ident: $($name:ident)*;)*) => {
        &[$($(Refused { name: stringify!($name), number: calls!(@ $name), error: $error },)*)*]
    };
    (@ open_tree_attr) => { OPEN_TREE_ATTR };
    (@ $name:ident) => { number::$name };
}

/// The numbers by bare name.
mod number {
    pub(super) use libc::{
        SYS_acct as acct, SYS_add_key as add_key, SYS_adjtimex as adjtimex, SYS_bpf as bpf,
        SYS_clock_adjtime as clock_adjtime, SYS_clock_settime as clock_settime, SYS_clone3 as clone3,
        SYS_delete_module as delete_module, SYS_fanotify_init as fanotify_init, SYS_finit_module as finit_module,
        SYS_fsconfig as fsconfig, SYS_fsmount as fsmount, SYS_fsopen as fsopen, SYS_fspick as fspick,
        SYS_init_module as init_module, SYS_io_uring_enter as io_uring_enter,
        SYS_io_uring_register as io_uring_register, SYS_io_uring_setup as io_uring_setup, SYS_kcmp as kcmp,
        SYS_kexec_file_load as kexec_file_load, SYS_kexec_load as kexec_load, SYS_keyctl as keyctl,
        SYS_lookup_dcookie as lookup_dcookie, SYS_mount as mount, SYS_mount_setattr as mount_setattr,
        SYS_move_mount as move_mount, SYS_name_to_handle_at as name_to_handle_at,
        SYS_open_by_handle_at as open_by_handle_at, SYS_open_tree as open_tree, SYS_perf_event_open as perf_event_open,
        SYS_pidfd_getfd as pidfd_getfd, SYS_pivot_root as pivot_root, SYS_process_vm_readv as process_vm_readv,
        SYS_process_vm_writev as process_vm_writev, SYS_ptrace as ptrace, SYS_quotactl as quotactl,
        SYS_quotactl_fd as quotactl_fd, SYS_reboot as reboot, SYS_request_key as request_key, SYS_setns as setns,
        SYS_settimeofday as settimeofday, SYS_swapoff as swapoff, SYS_swapon as swapon, SYS_syslog as syslog,
        SYS_umount2 as umount2, SYS_userfaultfd as userfaultfd,
    };
    pub(super) use libc::{SYS_chroot as chroot, SYS_mknodat as mknodat, SYS_openat2 as openat2};
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::{SYS_ioperm as ioperm, SYS_iopl as iopl, SYS_mknod as mknod};
}

/// What no build needs, by the part of the kernel that is spared.
const ALL: &[Refused] = calls! {
    // Keys, and programs that the kernel would run to find one.
    EPERM: keyctl add_key request_key;
    // Programs in the kernel, its counters, faults that a process answers itself.
    EPERM: bpf perf_event_open userfaultfd fanotify_init;
    // The kernel itself.
    EPERM: kexec_load kexec_file_load init_module finit_module delete_module reboot syslog lookup_dcookie;
    // Mounts.
    EPERM: mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr;
    // Files by number, past the directories that lead to them. Programs that only want the number fall back.
    EPERM: open_by_handle_at name_to_handle_at;
    // The machine as a whole.
    EPERM: swapon swapoff acct quotactl quotactl_fd settimeofday clock_settime adjtimex clock_adjtime;
    EPERM: setns;
    // Its flags are in memory, where no filter can see them: C libraries then take `clone`.
    ENOSYS: clone3;
    ENOSYS: io_uring_setup io_uring_enter io_uring_register;
};

#[cfg(target_arch = "x86_64")]
const OF_THE_ARCHITECTURE: &[Refused] = calls! { EPERM: iopl ioperm; };
#[cfg(target_arch = "aarch64")]
const OF_THE_ARCHITECTURE: &[Refused] = &[];

/// What QEMU does without beyond that.
const MACHINE: &[Refused] = calls! {
    EPERM: ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp chroot mknodat;
    // The mode of a new file is in memory, where no filter can see it.
    ENOSYS: openat2;
};

#[cfg(target_arch = "x86_64")]
const MACHINE_OF_THE_ARCHITECTURE: &[Refused] = calls! { EPERM: mknod; };
#[cfg(target_arch = "aarch64")]
const MACHINE_OF_THE_ARCHITECTURE: &[Refused] = &[];

/// The calls that a kind of program does without.
pub fn refused(kind: FilterKind) -> impl Iterator<Item = Refused> {
    let machine = [MACHINE, MACHINE_OF_THE_ARCHITECTURE].into_iter().filter(move |_| kind == FilterKind::Machine);
    [ALL, OF_THE_ARCHITECTURE].into_iter().chain(machine).flatten().copied()
}
