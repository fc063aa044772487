//! The system calls that a program in a sandbox does without: a filter that the kernel asks at every call.
//!
//! Input: whether the program is a step's or a machine's QEMU. Output: a filter to install right before `exec`.
//!
//! It is written by hand, some sixty lines of classic BPF (Linux `Documentation/userspace-api/seccomp_filter.rst`,
//! `include/uapi/linux/seccomp.h`): one table holds a call and the error that answers it, where libraries for filters
//! know one error per filter, and would let the calls of x32 through, which share the architecture with those of x86-64.
//! No call kills: a program that probes for what the kernel offers finds it missing and goes on.

use std::io::Error;
use std::os::unix::process::CommandExt;

use super::refused::{CLONES, DOMAINS, IOCTLS, MODES, SET_ID_BITS};
pub use super::refused::{FilterKind, Refused, refused};

/// `AUDIT_ARCH_*` of `include/uapi/linux/audit.h`: what the kernel calls the ABI of a call.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// `__X32_SYSCALL_BIT`; numbers of other architectures never come near it.
const X32: u32 = 0x4000_0000;
/// The number that a debugger gives a call which it has answered itself.
const ANSWERED: u32 = u32::MAX;

/// Offsets in `struct seccomp_data`; of arguments the lower half, which is first on little-endian machines.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = 0x7fff_0000;
const fn errno(error: i32) -> u32 {
    0x0005_0000 | error as u32
}

/// `BPF_LD|BPF_W|BPF_ABS`, `BPF_JMP|BPF_JEQ|BPF_K`, `BPF_JMP|BPF_JGE|BPF_K`, `BPF_JMP|BPF_JSET|BPF_K`, `BPF_RET|BPF_K`.
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// A call that one of its arguments decides about.
struct Judged<'a> {
    number: libc::c_long,
    argument: u32,
    test: u16,
    values: &'a [u32],
}

/// A filter in the kernel's form.
pub(super) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// The filter of a kind of program.
    pub(super) fn new(kind: FilterKind) -> Filter {
        let mut filter = Filter(Vec::new());
        filter.put(LOAD, ARCHITECTURE, (0, 0));
        // The other ABIs of the machine have tables of their own, in which these numbers mean other calls.
        filter.put(EQUAL, NATIVE, (1, 0));
        filter.put(RETURN, errno(libc::ENOSYS), (0, 0));
        filter.put(LOAD, NUMBER, (0, 0));
        filter.put(EQUAL, ANSWERED, (0, 1));
        filter.put(RETURN, ALLOW, (0, 0));
        filter.put(AT_LEAST, X32, (0, 1));
        filter.put(RETURN, errno(libc::ENOSYS), (0, 0));
        for Refused { number, error, .. } in refused(kind) {
            filter.put(EQUAL, number as u32, (0, 1));
            filter.put(RETURN, errno(error), (0, 0));
        }
        for (number, namespaces) in CLONES {
            filter.judge(
                Judged { number, argument: 0, test: ANY_BIT, values: &[namespaces] },
                errno(libc::EPERM),
                ALLOW,
            );
        }
        let ioctl = Judged { number: libc::SYS_ioctl, argument: 1, test: EQUAL, values: &IOCTLS };
        filter.judge(ioctl, errno(libc::EPERM), ALLOW);
        let socket = Judged { number: libc::SYS_socket, argument: 0, test: EQUAL, values: &DOMAINS };
        filter.judge(socket, ALLOW, errno(libc::EAFNOSUPPORT));
        for (number, argument) in MODES.iter().copied().filter(|_| kind == FilterKind::Machine) {
            let mode = Judged { number, argument, test: ANY_BIT, values: &[SET_ID_BITS] };
            filter.judge(mode, errno(libc::EPERM), ALLOW);
        }
        filter.put(RETURN, ALLOW, (0, 0));
        filter
    }

    fn put(&mut self, code: u16, k: u32, (jt, jf): (u8, u8)) {
        self.0.push(libc::sock_filter { code, jt, jf, k });
    }

    /// The number of the call is loaded: when it is this one, the answer is `held` if a test holds.
    fn judge(&mut self, call: Judged<'_>, held: u32, otherwise: u32) {
        let count = call.values.len() as u8;
        // Past the load, the tests and both answers.
        self.put(EQUAL, call.number as u32, (0, count + 3));
        self.put(LOAD, argument(call.argument), (0, 0));
        for (value, left) in call.values.iter().zip((0..count).rev()) {
            self.put(call.test, *value, (left + 1, 0));
        }
        self.put(RETURN, otherwise, (0, 0));
        self.put(RETURN, held, (0, 0));
    }

    /// Has the program that `command` starts run under it. What else is done before `exec` must be asked for earlier.
    pub(super) fn before(self, command: &mut std::process::Command) {
        // SAFETY: between fork and exec only seccomp is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(move || self.install());
        }
    }

    /// Puts the calling process, and all that comes of it, under the filter for good. The process must be allowed to (`CAP_SYS_ADMIN` in
    /// its namespace), for otherwise the kernel wants to hear that no program gains rights, which `su` and its like do.
    fn install(&self) -> std::io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // Where the processor guesses, guessing stays as it was: kernels before 5.16 slow filtered programs otherwise.
        for flags in [libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0] {
            // SAFETY: the kernel copies the program, which lives as long as `self`, and writes nothing.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER as libc::c_long,
                    flags,
                    &raw const program,
                )
            };
            if done == 0 {
                return Ok(());
            }
        }
        Err(Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::sandbox::refused::NEWTIME;

    /// What the filter answers, by the rules of classic BPF.
    fn answer(filter: &Filter, call: (u32, libc::c_long, [u64; 6])) -> u32 {
        let (architecture, number, arguments) = call;
        let mut data = [0; 16];
        (data[0], data[1]) = (number as u32, architecture);
        for (at, argument) in arguments.iter().enumerate() {
            (data[4 + 2 * at], data[5 + 2 * at]) = (*argument as u32, (*argument >> 32) as u32);
        }
        let (mut at, mut value) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = filter.0[at];
            at += 1;
            let holds = match code {
                RETURN => return k,
                LOAD => {
                    value = data[k as usize / 4];
                    continue;
                }
                EQUAL => value == k,
                AT_LEAST => value >= k,
                ANY_BIT => value & k != 0,
                other => panic!("{other:#x}"),
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }

    fn native(filter: &Filter, number: libc::c_long, first: [u64; 2]) -> u32 {
        answer(filter, (NATIVE, number, [first[0], first[1], 0, 0, 0, 0]))
    }

    #[test]
    fn every_row_of_the_table_is_refused_and_ordinary_calls_are_not() {
        for kind in [FilterKind::Step, FilterKind::Machine] {
            let filter = Filter::new(kind);
            for call in refused(kind) {
                assert_eq!(native(&filter, call.number, [0; 2]), errno(call.error), "{}", call.name);
            }
            for number in [libc::SYS_read, libc::SYS_execve, libc::SYS_futex, libc::SYS_setresuid, libc::SYS_exit_group]
            {
                assert_eq!(native(&filter, number, [0; 2]), ALLOW, "{number}");
            }
        }
        let ptrace = |kind| native(&Filter::new(kind), libc::SYS_ptrace, [0; 2]);
        assert_eq!((ptrace(FilterKind::Step), ptrace(FilterKind::Machine)), (ALLOW, errno(libc::EPERM)));
    }

    #[test]
    fn arguments_decide_about_namespaces_terminals_and_sockets() {
        let filter = Filter::new(FilterKind::Step);
        let refuses = errno(libc::EPERM);
        for flag in
            [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_NEWNET, libc::CLONE_NEWCGROUP]
        {
            let flag = flag as u64;
            assert_eq!(native(&filter, libc::SYS_unshare, [flag, 0]), refuses);
            assert_eq!(native(&filter, libc::SYS_clone, [flag | 17, 0]), refuses);
            assert_eq!(native(&filter, libc::SYS_clone, [flag | 17 | 1 << 40, 0]), refuses);
        }
        let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        assert_eq!(native(&filter, libc::SYS_clone, [thread as u64 | 0xff, 0]), ALLOW);
        assert_eq!(native(&filter, libc::SYS_unshare, [libc::CLONE_FILES as u64, 0]), ALLOW);
        assert_eq!(native(&filter, libc::SYS_unshare, [u64::from(NEWTIME), 0]), refuses);
        assert_eq!(native(&filter, libc::SYS_ioctl, [0, 0x5412]), refuses);
        assert_eq!(native(&filter, libc::SYS_ioctl, [0, 0x541c | 1 << 32]), refuses, "the kernel ignores that half");
        assert_eq!(native(&filter, libc::SYS_ioctl, [0x5412, 0x5401]), ALLOW);
        for family in 0..64 {
            let allowed = DOMAINS.contains(&family);
            let expected = if allowed { ALLOW } else { errno(libc::EAFNOSUPPORT) };
            assert_eq!(native(&filter, libc::SYS_socket, [family.into(), 1]), expected, "{family}");
        }
    }

    #[test]
    fn a_machine_makes_no_file_that_runs_as_its_owner() {
        let ask = |kind, mode| {
            let filter = Filter::new(kind);
            let call = |(number, at): &(libc::c_long, u32)| {
                let mut arguments = [0; 6];
                arguments[*at as usize] = mode;
                answer(&filter, (NATIVE, *number, arguments))
            };
            MODES.iter().map(call).collect::<Vec<_>>()
        };
        for mode in [0o4755, 0o2755, 0o6000] {
            assert_eq!(ask(FilterKind::Machine, mode), vec![errno(libc::EPERM); MODES.len()], "{mode:o}");
            assert_eq!(ask(FilterKind::Step, mode), vec![ALLOW; MODES.len()], "{mode:o}");
        }
        assert_eq!(ask(FilterKind::Machine, 0o1777), vec![ALLOW; MODES.len()]);
    }

    #[test]
    fn other_abis_of_the_machine_are_refused_whole() {
        let filter = Filter::new(FilterKind::Step);
        let missing = errno(libc::ENOSYS);
        for architecture in [0x4000_0003, 0x4000_0028, 0] {
            assert_eq!(answer(&filter, (architecture, libc::SYS_read, [0; 6])), missing);
        }
        assert_eq!(native(&filter, libc::SYS_read | 0x4000_0000, [0; 2]), missing);
        assert_eq!(native(&filter, -1, [0; 2]), ALLOW, "a debugger answered it");
    }
}
