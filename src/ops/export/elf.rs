//! What programs say of themselves.

use crate::base::Arch;

/// As many bytes of a program say for which machine it is.
pub(super) const HEAD_BYTES: u64 = 20;
/// What a program in machine code begins with, where it says for which machine, and what it says (elf(5)).
const ELF: &[u8] = b"\x7fELF";
const MACHINES: [(u8, Arch); 2] = [(62, Arch::Amd64), (183, Arch::Arm64)];

/// The architecture of a program.
pub(super) fn machine(head: &[u8]) -> Option<Arch> {
    let number = head.get(18).filter(|_| head.starts_with(ELF) && head.get(19) == Some(&0))?;
    MACHINES.iter().find(|(known, _)| known == number).map(|(_, arch)| *arch)
}
