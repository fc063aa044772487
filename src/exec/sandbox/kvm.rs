//! Whether KVM really runs a guest. That `/dev/kvm` opens proves nothing: nested machines offer it and then cannot
//! enter a guest.
//!
//! The guest is one instruction, `hlt`, in real mode at the reset vector (Intel SDM volume 3, 10.1.4: CS base
//! 0xffff0000, IP 0xfff0). Numbers of ioctls and layout of structures: Linux `include/uapi/linux/kvm.h`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};

const KVM_GET_API_VERSION: Opcode = opcode::none(0xae, 0x00);
const KVM_CREATE_VM: Opcode = opcode::none(0xae, 0x01);
const KVM_GET_VCPU_MMAP_SIZE: Opcode = opcode::none(0xae, 0x04);
const KVM_CREATE_VCPU: Opcode = opcode::none(0xae, 0x41);
const KVM_SET_USER_MEMORY_REGION: Opcode = opcode::from_components(Direction::Write, 0xae, 0x46, 32);
const KVM_RUN: Opcode = opcode::none(0xae, 0x80);

/// The only version there has ever been since Linux 2.6.22.
const VERSION: i32 = 12;
/// `KVM_EXIT_HLT`
const EXIT_HLT: u32 = 5;
/// Offset of `exit_reason` in `struct kvm_run`.
const EXIT_REASON: usize = 8;
/// The page that holds the reset vector.
const PAGE: u64 = 0xffff_f000;
const VECTOR: usize = 0xff0;
const SIZE: usize = 4096;
const HLT: u8 = 0xf4;

/// `struct kvm_userspace_memory_region`
#[repr(C)]
struct Region {
    slot: u32,
    flags: u32,
    guest_address: u64,
    size: u64,
    host_address: u64,
}

/// An ioctl with a number or an address as argument.
struct Call {
    code: Opcode,
    argument: usize,
}

// SAFETY: the opcode says nothing of memory for numbers; for a region the address is that of a live `Region`, which
// the kernel only reads.
unsafe impl Ioctl for Call {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.code
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        std::ptr::with_exposed_provenance_mut(self.argument)
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut rustix::ffi::c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// Runs the smallest guest; in words, what stands in the way.
pub fn probe() -> Result<(), String> {
    let device = Path::new("/dev/kvm");
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open(device).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no /dev/kvm: the processor's virtualisation is off, or the module is missing".to_owned()
        }
        io::ErrorKind::PermissionDenied => "/dev/kvm may not be opened: add the user to the group kvm".to_owned(),
        _ => format!("/dev/kvm: {error}"),
    })?;
    let version = call(&kvm, KVM_GET_API_VERSION, 0).map_err(|error| format!("/dev/kvm: {error}"))?;
    if version != VERSION {
        return Err(format!("/dev/kvm speaks version {version}, not {VERSION}"));
    }
    match guest(&kvm) {
        Ok(EXIT_HLT) => Ok(()),
        Ok(reason) => Err(format!("/dev/kvm opens, but a guest of one instruction ends with exit reason {reason}")),
        Err(error) => Err(format!("/dev/kvm opens, but cannot run a guest: {error}")),
    }
}

/// The exit reason of the guest.
fn guest(kvm: &File) -> io::Result<u32> {
    let machine = descriptor(call(kvm, KVM_CREATE_VM, 0)?);
    let mut memory = memmap2::MmapMut::map_anon(SIZE)?;
    memory[VECTOR] = HLT;
    let region = Region {
        slot: 0,
        flags: 0,
        guest_address: PAGE,
        size: SIZE as u64,
        host_address: memory.as_ptr().addr() as u64,
    };
    call(&machine, KVM_SET_USER_MEMORY_REGION, std::ptr::from_ref(&region).expose_provenance())?;
    let processor = descriptor(call(&machine, KVM_CREATE_VCPU, 0)?);
    let size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)?;
    // SAFETY: the mapping is the kernel's own structure for this processor; nobody truncates it.
    let state = unsafe { memmap2::MmapOptions::new().len(size as usize).map_mut(&processor)? };
    call(&processor, KVM_RUN, 0)?;
    let reason = state.get(EXIT_REASON..EXIT_REASON + 4).and_then(|bytes| bytes.try_into().ok());
    // The guest's memory must outlive the guest.
    drop((processor, machine, memory));
    reason.map(u32::from_ne_bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn call(fd: impl AsFd, code: Opcode, argument: usize) -> io::Result<i32> {
    // SAFETY: see `Call`; every caller passes what `kvm.h` says that the ioctl takes.
    Ok(unsafe { ioctl(fd, Call { code, argument }) }?)
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us; errors were returned before.
    unsafe { OwnedFd::from_raw_fd(number) }
}
