//! UEFI firmware that builds left: code and variables, as QEMU's two flash memories take them.

use std::io::Read;
use std::path::Path;

use super::{BuiltinContext, BuiltinError, file, input, wrong};
use crate::plan::ArtifactKind;
use crate::plan::ready::{CODE, ReadyFile, VARIABLES};
use crate::world::fs;

/// QEMU's flash memory has sectors of this size, and both together have at most so many bytes (`hw/i386/pc_sysfw.c`; `max-fw-size`
/// of `hw/i386/pc.c`).
const SECTOR: u64 = 4 << 10;
const MAX_BYTES: u64 = 8 << 20;
/// A run keeps a copy of the variables, for every machine (see `deliver::check`).
const MAX_VARIABLES_BYTES: u64 = 1 << 20;

/// How a firmware volume begins that holds variables: 16 zero bytes, `gEfiSystemNvDataFvGuid`; its signature is at byte 40 (edk2
/// `MdeModulePkg/Include/Guid/SystemNvDataGuid.h`, UEFI PI 1.8, volume 3, 3.2.1).
const VARIABLE_VOLUME: [u8; 16] =
    [0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50];
const SIGNATURE: &[u8] = b"_FVH";

/// Inputs `code` and `variables`; outputs as they are delivered.
pub(in crate::exec::builtin) fn run(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    let variables = read(input(context, VARIABLES)?, ReadyFile::Variables, MAX_VARIABLES_BYTES)?;
    let code = read(input(context, CODE)?, ReadyFile::Code, MAX_BYTES - variables.len() as u64)?;
    if !holds_variables(&variables) {
        let message = "these are no variables of UEFI: no firmware volume for variables begins here";
        let failure = wrong(ReadyFile::Variables, message);
        return Err(failure.help("edk2 writes them as `OVMF_VARS.fd`").into());
    }
    if holds_variables(&code) {
        let failure = wrong(ReadyFile::Code, "this begins with variables of UEFI, and the code is needed here");
        return Err(failure.help("edk2 writes it as `OVMF_CODE.fd`, and both in one file as `OVMF.fd`").into());
    }
    for (kind, bytes) in [(ArtifactKind::FirmwareCode, code), (ArtifactKind::FirmwareVars, variables)] {
        fs::write_atomically(&context.out.join(kind.file_name()), &bytes)?;
    }
    Ok(())
}

fn read(path: &Path, which: ReadyFile, limit: u64) -> Result<Vec<u8>, BuiltinError> {
    let noun = if which == ReadyFile::Code { "code of the firmware" } else { "file with its variables" };
    let file = file(path, which, noun)?;
    let mut bytes = Vec::new();
    fs::context("read", path, file.take(limit + 1).read_to_end(&mut bytes))?;
    let size = bytes.len() as u64;
    if size > limit {
        let message = match which {
            ReadyFile::Code => {
                format!("QEMU has room for {MAX_BYTES} bytes of firmware with its variables, and there are more")
            }
            _ => format!("the variables have more than {limit} bytes"),
        };
        return Err(wrong(which, message).into());
    }
    if size == 0 || !size.is_multiple_of(SECTOR) {
        let message = format!("QEMU's flash memory has sectors of {SECTOR} bytes, and this file has {size} bytes");
        return Err(wrong(which, message).into());
    }
    Ok(bytes)
}

fn holds_variables(bytes: &[u8]) -> bool {
    bytes.get(16..32) == Some(&VARIABLE_VOLUME) && bytes.get(40..44) == Some(SIGNATURE)
}
