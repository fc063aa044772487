//! Whether KVM really runs a guest. That `/dev/kvm` opens proves nothing: nested machines offer it and then cannot
//! run what compilers write.
//!
//! The guest is two instructions in 64-bit mode: `pxor`, from the instruction set that every 64-bit program may use,
//! and `hlt`. *Measured* on a machine where each real guest died early with `KVM internal error`: privileged and integer
//! instructions ran, `pxor` gave that error.
//!
//! Numbers of ioctls and layout of structures: Linux `include/uapi/linux/kvm.h` and `arch/x86/include/uapi/asm/kvm.h`;
//! page tables and control registers: Intel SDM volume 3, 2.5 and 4.5.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};

use crate::base::Arch;

const KVM_GET_API_VERSION: Opcode = opcode::none(0xae, 0x00);
const KVM_CREATE_VM: Opcode = opcode::none(0xae, 0x01);
const KVM_GET_VCPU_MMAP_SIZE: Opcode = opcode::none(0xae, 0x04);
const KVM_GET_SUPPORTED_CPUID: Opcode = opcode::from_components(Direction::ReadWrite, 0xae, 0x05, 8);
const KVM_CREATE_VCPU: Opcode = opcode::none(0xae, 0x41);
const KVM_SET_USER_MEMORY_REGION: Opcode = opcode::write::<Region>(0xae, 0x46);
const KVM_RUN: Opcode = opcode::none(0xae, 0x80);
const KVM_SET_REGS: Opcode = opcode::write::<[u64; REGISTERS]>(0xae, 0x82);
const KVM_GET_SREGS: Opcode = opcode::read::<Special>(0xae, 0x83);
const KVM_SET_SREGS: Opcode = opcode::write::<Special>(0xae, 0x84);
const KVM_SET_CPUID2: Opcode = opcode::from_components(Direction::Write, 0xae, 0x90, 8);

/// The only version there has ever been since Linux 2.6.22.
const VERSION: i32 = 12;
/// `KVM_EXIT_HLT`
const EXIT_HLT: u32 = 5;
/// `KVM_EXIT_INTERNAL_ERROR`
const EXIT_INTERNAL_ERROR: u32 = 17;
/// Offset of `exit_reason` in `struct kvm_run`.
const EXIT_REASON: usize = 8;
/// Entries that the processor's description may have.
const CPUID_ENTRIES: usize = 256;
/// 32-bit words of one entry: `struct kvm_cpuid_entry2`.
const CPUID_WORDS: usize = 10;
/// `struct kvm_regs`: sixteen general registers, `rip`, `rflags`.
const REGISTERS: usize = 18;
const RIP: usize = 16;
const RFLAGS: usize = 17;

const MEMORY: usize = 0x5000;
const LEVEL4: usize = 0x1000;
const LEVEL3: usize = 0x2000;
const LEVEL2: usize = 0x3000;
const CODE: usize = 0x4000;
/// `pxor xmm0, xmm0; hlt`
const PROGRAM: [u8; 5] = [0x66, 0x0f, 0xef, 0xc0, 0xf4];

/// `struct kvm_userspace_memory_region`
#[repr(C)]
struct Region {
    slot: u32,
    flags: u32,
    guest_address: u64,
    size: u64,
    host_address: u64,
}

/// `struct kvm_segment`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Segment {
    base: u64,
    limit: u32,
    selector: u16,
    kind: u8,
    present: u8,
    privilege: u8,
    wide: u8,
    code_or_data: u8,
    long: u8,
    pages: u8,
    available: u8,
    unusable: u8,
    padding: u8,
}

/// `struct kvm_sregs`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Special {
    /// cs, ds, es, fs, gs, ss
    segments: [Segment; 6],
    task_and_local: [Segment; 2],
    tables: [[u64; 2]; 2],
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    cr8: u64,
    efer: u64,
    apic_base: u64,
    interrupts: [u64; 4],
}

/// An ioctl with a number or an address as argument.
struct Call {
    code: Opcode,
    argument: usize,
}

// SAFETY: an argument that is an address is that of a live value with the layout that `kvm.h` gives for the opcode, and
// of a mutable one where the kernel writes; that is what `call` asks of its callers.
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
    if Arch::of_this_processor() != Some(Arch::Amd64) {
        return Err("kiln knows how to try KVM on amd64 only".to_owned());
    }
    let device = Path::new("/dev/kvm");
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open(device).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "/dev/kvm does not exist: virtualization is disabled, or the kvm module is not loaded".to_owned()
        }
        io::ErrorKind::PermissionDenied => "permission denied for /dev/kvm: add the user to the group kvm".to_owned(),
        _ => format!("/dev/kvm: {error}"),
    })?;
    let version = call(&kvm, KVM_GET_API_VERSION, 0).map_err(|error| format!("/dev/kvm: {error}"))?;
    if version != VERSION {
        return Err(format!("/dev/kvm has API version {version}, expected {VERSION}"));
    }
    match guest(&kvm) {
        Ok(EXIT_HLT) => Ok(()),
        Ok(EXIT_INTERNAL_ERROR) => {
            Err("/dev/kvm opens, but two ordinary instructions end in a KVM internal error".to_owned())
        }
        Ok(reason) => {
            Err(format!("/dev/kvm opens, but running two ordinary instructions ends with KVM exit reason {reason}"))
        }
        Err(error) => Err(format!("/dev/kvm opens, but cannot run a guest: {error}")),
    }
}

/// The exit reason of the guest.
fn guest(kvm: &File) -> io::Result<u32> {
    let machine = descriptor(call(kvm, KVM_CREATE_VM, 0)?);
    let mut memory = memmap2::MmapMut::map_anon(MEMORY)?;
    fill(&mut memory);
    let host_address = memory.as_ptr().expose_provenance() as u64;
    let region = Region { slot: 0, flags: 0, guest_address: 0, size: MEMORY as u64, host_address };
    call(&machine, KVM_SET_USER_MEMORY_REGION, std::ptr::from_ref(&region).expose_provenance())?;
    let processor = descriptor(call(&machine, KVM_CREATE_VCPU, 0)?);
    set_up(kvm, &processor)?;
    let size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)?;
    // SAFETY: the mapping is the kernel's own structure for this processor; nobody truncates it.
    let state = unsafe { memmap2::MmapOptions::new().len(size as usize).map_mut(&processor)? };
    call(&processor, KVM_RUN, 0)?;
    let reason = state.get(EXIT_REASON..EXIT_REASON + 4).and_then(|bytes| bytes.try_into().ok());
    // The guest's memory must outlive the guest.
    drop((processor, machine, memory));
    reason.map(u32::from_ne_bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The program, and page tables that show the first 2 MiB where they are.
fn fill(memory: &mut [u8]) {
    let mut entry = |at: usize, value: u64| memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
    // Present and writable; the last one is a large page.
    entry(LEVEL4, LEVEL3 as u64 | 0x3);
    entry(LEVEL3, LEVEL2 as u64 | 0x3);
    entry(LEVEL2, 0x83);
    memory[CODE..CODE + PROGRAM.len()].copy_from_slice(&PROGRAM);
}

/// 64-bit mode with flat segments, as a boot loader leaves it.
fn set_up(kvm: &File, processor: &OwnedFd) -> io::Result<()> {
    let mut cpuid = vec![0u32; 2 + CPUID_ENTRIES * CPUID_WORDS];
    cpuid[0] = CPUID_ENTRIES as u32;
    call(kvm, KVM_GET_SUPPORTED_CPUID, cpuid.as_mut_ptr().expose_provenance())?;
    call(processor, KVM_SET_CPUID2, cpuid.as_mut_ptr().expose_provenance())?;
    let mut special = Special::default();
    call(processor, KVM_GET_SREGS, std::ptr::from_mut(&mut special).expose_provenance())?;
    let data = Segment {
        limit: u32::MAX,
        selector: 0x10,
        kind: 3,
        present: 1,
        wide: 1,
        code_or_data: 1,
        pages: 1,
        ..Segment::default()
    };
    special.segments = [data; 6];
    special.segments[0] = Segment { selector: 8, kind: 11, wide: 0, long: 1, ..data };
    // PE, MP, ET, NE, WP, AM, PG; PAE, OSFXSR, OSXMMEXCPT; LME, LMA.
    (special.cr0, special.cr4, special.efer) = (0x8005_0033, 0x620, 0x500);
    special.cr3 = LEVEL4 as u64;
    call(processor, KVM_SET_SREGS, std::ptr::from_mut(&mut special).expose_provenance())?;
    let mut registers = [0u64; REGISTERS];
    registers[RIP] = CODE as u64;
    // The one bit that is always set.
    registers[RFLAGS] = 2;
    call(processor, KVM_SET_REGS, registers.as_mut_ptr().expose_provenance()).map(drop)
}

fn call(fd: impl AsFd, code: Opcode, argument: usize) -> io::Result<i32> {
    // SAFETY: see `Call`; every caller passes what `kvm.h` says that the ioctl takes.
    Ok(unsafe { ioctl(fd, Call { code, argument }) }?)
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor for us; errors were returned before.
    unsafe { OwnedFd::from_raw_fd(number) }
}
