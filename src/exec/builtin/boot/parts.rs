//! What lies on a boot partition.

use std::collections::BTreeMap;

use super::super::package::file;
use super::{BuiltinContext, BuiltinError, input};
use crate::base::Arch;
use crate::exec::failure::StepFailure;
use crate::format::uki;
use crate::world::fs;

/// Largest kernel and initramfs; a kernel with every driver and its symbols has less.
const LIMIT: u64 = 512 << 20;
const TEXT_LIMIT: u64 = 64 << 10;

/// One program that is everything: stub, command line, kernel, initramfs.
pub(super) fn uefi(context: &BuiltinContext<'_>, arch: Arch) -> Result<BTreeMap<&'static str, Vec<u8>>, BuiltinError> {
    let uefi = &arch.facts().uefi;
    let stub = file(context, "stub.deb", uefi.stub)?;
    let kernel = fs::read(input(context, "vmlinuz")?, LIMIT)?;
    let line = fs::read(input(context, "cmdline")?, TEXT_LIMIT)?;
    let initrd = initrd(context)?;
    let release = release(&kernel).map(str::as_bytes);
    let mut sections: Vec<(&str, &[u8])> = Vec::new();
    sections.extend(release.map(|release| (".uname", release)));
    sections.push((".cmdline", &line));
    sections.extend(initrd.as_deref().map(|initrd| (".initrd", initrd)));
    sections.push((".linux", &kernel));
    let program = uki::unified(arch, &stub, &sections).map_err(StepFailure::input)?;
    Ok(BTreeMap::from([(uefi.program, program)]))
}

pub(super) fn bios(context: &BuiltinContext<'_>) -> Result<BTreeMap<&'static str, Vec<u8>>, BuiltinError> {
    let mut files = BTreeMap::from([
        ("VMLINUZ", fs::read(input(context, "vmlinuz")?, LIMIT)?),
        ("GRUB.CFG", fs::read(input(context, "grub.cfg")?, TEXT_LIMIT)?),
    ]);
    files.extend(initrd(context)?.map(|initrd| ("INITRD.IMG", initrd)));
    Ok(files)
}

fn initrd(context: &BuiltinContext<'_>) -> Result<Option<Vec<u8>>, BuiltinError> {
    context.inputs.get("initrd.img").map(|path| Ok(fs::read(path, LIMIT)?)).transpose()
}

/// `6.12.57+deb13-cloud-amd64`, from the header of an x86 kernel (`Documentation/arch/x86/boot.rst`, `kernel_version`).
fn release(kernel: &[u8]) -> Option<&str> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = 0x200 + usize::from(u16::from_le_bytes(kernel.get(0x20e..0x210)?.try_into().ok()?));
    let text = kernel.get(at..)?.split(|byte| *byte == 0 || *byte == b' ').next()?;
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && text.len() < 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_its_release() {
        let mut kernel = vec![0; 0x400];
        assert_eq!(release(&kernel), None);
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(release(&kernel), None);
        kernel[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        kernel[0x300..0x30d].copy_from_slice(b"6.12.1-x (me)");
        assert_eq!(release(&kernel), Some("6.12.1-x"));
    }
}
