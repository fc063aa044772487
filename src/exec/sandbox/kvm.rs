//! Does KVM really work? `/dev/kvm` may exist, open, make machines, and still fail at a guest's first instructions.
//! So a guest is run: it counts bits, writes to its memory, and halts. Counting is the point: where KVM only interprets
//! its guests (some nested hosts), simple code runs, and the first instruction that its interpreter (arch/x86/kvm/emulate.c)
//! does not know, such as `popcnt` or any of BMI2, ends the guest with `KVM internal error`. Numbers are those of Linux' `include/uapi/linux/kvm.h`.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

const GET_API_VERSION: Opcode = 0xae00;
const CREATE_VM: Opcode = 0xae01;
const GET_VCPU_MMAP_SIZE: Opcode = 0xae04;
const CREATE_VCPU: Opcode = 0xae41;
const SET_USER_MEMORY_REGION: Opcode = 0x4020_ae46;
const RUN: Opcode = 0xae80;
const SET_REGS: Opcode = 0x4090_ae82;
const GET_SREGS: Opcode = 0x8138_ae83;
const SET_SREGS: Opcode = 0x4138_ae84;
const EXIT_HLT: u32 = 5;

/// Where the guest's page lies in its memory.
const GUEST: u64 = 0x1000;
const PAGE: usize = 4096;

/// `mov ax, 42; popcnt ax, ax; mov [0x1100], ax; hlt`, in real mode.
const PROGRAM: [u8; 11] = [0xb8, 42, 0, 0xf3, 0x0f, 0xb8, 0xc0, 0xa3, 0x00, 0x11, 0xf4];

/// Runs a guest of four instructions. `Err` says, in words, what does not work.
pub fn probe() -> Result<(), String> {
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no /dev/kvm".to_owned(),
        _ => format!("/dev/kvm does not open: {error}"),
    })?;
    let kvm = kvm.as_fd();
    let say = |what: &'static str| move |error: rustix::io::Errno| format!("/dev/kvm opens, but {what} fails: {error}");
    if call(kvm, GET_API_VERSION, 0).map_err(say("asking its version"))? != 12 {
        return Err("/dev/kvm speaks another version than 12".to_owned());
    }
    let machine = descriptor(call(kvm, CREATE_VM, 0).map_err(say("making a machine"))?);
    let size = call(kvm, GET_VCPU_MMAP_SIZE, 0).map_err(say("asking a size"))? as usize;
    let memory = Mapping::anonymous(PAGE).map_err(say("memory for a guest"))?;
    memory.write(0, &PROGRAM);
    // struct kvm_userspace_memory_region: slot, flags, guest_phys_addr, memory_size, userspace_addr
    let mut region = [0, GUEST, PAGE as u64, memory.at as u64];
    call(machine.as_fd(), SET_USER_MEMORY_REGION, region.as_mut_ptr() as usize)
        .map_err(say("giving a machine memory"))?;
    let vcpu = descriptor(call(machine.as_fd(), CREATE_VCPU, 0).map_err(say("making a processor"))?);
    let shared = Mapping::file(vcpu.as_fd(), size).map_err(say("sharing a processor's state"))?;
    reset(vcpu.as_fd()).map_err(say("setting registers"))?;
    call(vcpu.as_fd(), RUN, 0).map_err(say("running a guest"))?;
    // struct kvm_run: exit_reason follows two flags and six bytes of padding.
    let reason = u32::from_ne_bytes(shared.read(8));
    if reason != EXIT_HLT {
        return Err(format!(
            "/dev/kvm opens, but a guest of four instructions ends with exit reason {reason}, not a halt (5)"
        ));
    }
    match u16::from_le_bytes(memory.read(0x100)) {
        3 => Ok(()),
        wrong => Err(format!("/dev/kvm opens, but a guest that counts the bits of 42 gets {wrong}")),
    }
}

/// Real mode, code segment at 0, instruction pointer at the page.
fn reset(vcpu: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut special = [0u8; 312];
    call(vcpu, GET_SREGS, special.as_mut_ptr() as usize)?;
    special[..8].fill(0);
    special[12..14].fill(0);
    call(vcpu, SET_SREGS, special.as_mut_ptr() as usize)?;
    let mut registers = [0u64; 18];
    registers[16] = GUEST;
    registers[17] = 2;
    call(vcpu, SET_REGS, registers.as_mut_ptr() as usize)?;
    Ok(())
}

struct Call {
    opcode: Opcode,
    argument: usize,
}

// SAFETY: the kernel reads and writes only what the argument of each opcode above points to, which its caller owns.
unsafe impl Ioctl for Call {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        self.argument as *mut rustix::ffi::c_void
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut rustix::ffi::c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

fn call(fd: BorrowedFd<'_>, opcode: Opcode, argument: usize) -> rustix::io::Result<i32> {
    // SAFETY: every caller passes the argument that its opcode asks for, alive during the call.
    unsafe { ioctl(fd, Call { opcode, argument }) }
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the kernel has just handed this descriptor to nobody but us.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Mapped memory that goes away with its owner.
struct Mapping {
    at: *mut u8,
    size: usize,
}

impl Mapping {
    fn anonymous(size: usize) -> rustix::io::Result<Mapping> {
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let at =
            unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)? };
        Ok(Mapping { at: at.cast(), size })
    }

    fn file(fd: BorrowedFd<'_>, size: usize) -> rustix::io::Result<Mapping> {
        // SAFETY: as above.
        let at = unsafe { mmap(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)? };
        Ok(Mapping { at: at.cast(), size })
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.size, "a write stays in its mapping");
        // SAFETY: the range was just checked; nobody else holds a reference to this mapping.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.at.add(offset), bytes.len()) }
    }

    fn read<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset + N <= self.size, "a read stays in its mapping");
        let mut bytes = [0; N];
        // SAFETY: the range was just checked.
        unsafe { ptr::copy_nonoverlapping(self.at.add(offset), bytes.as_mut_ptr(), N) }
        bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from a mapping; reads and writes copy. A failure leaks one page.
        let _ = unsafe { munmap(self.at.cast(), self.size) };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_probe_ends_with_an_answer() {
        // Which answer depends on the machine; it must be one, in words, and leave no process behind.
        match super::probe() {
            Ok(()) => println!("KVM works here"),
            Err(why) => {
                assert!(why.contains("/dev/kvm"), "{why}");
                println!("{why}");
            }
        }
    }
}
