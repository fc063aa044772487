//! Single files out of packages, and [`crate::plan::Builtin::Firmware`], which is nothing else.

use std::io::{BufReader, Read};

use super::{BuiltinContext, BuiltinError, input};
use crate::debian::deb::{self, DebEntryKind};
use crate::exec::failure::StepFailure;
use crate::plan::boot::FIRMWARE;
use crate::world::fs;

/// Largest file that is taken out of a package.
const LIMIT: u64 = 64 << 20;

/// Input `ovmf.deb`; outputs as [`FIRMWARE`] names them.
pub(super) fn firmware(context: &BuiltinContext<'_>) -> Result<(), BuiltinError> {
    for (kind, path) in FIRMWARE {
        fs::write_atomically(&context.out.join(kind.file_name()), &file(context, "ovmf.deb", path)?)?;
    }
    Ok(())
}

/// A file of the package that is the input `name`.
pub(super) fn file(context: &BuiltinContext<'_>, name: &str, path: &str) -> Result<Vec<u8>, BuiltinError> {
    let broken = |source| BuiltinError::Package { package: name.to_owned(), source };
    let package = fs::open(input(context, name)?)?;
    let (_, mut data) = deb::open(BufReader::new(package)).map_err(broken)?;
    while let Some(entry) = data.next().map_err(broken)? {
        let DebEntryKind::File(size) = entry.kind else { continue };
        if entry.path.as_str() == path && size <= LIMIT {
            let mut bytes = Vec::new();
            let read = data.read_to_end(&mut bytes);
            read.map_err(|error| BuiltinError::from(StepFailure::input(format!("{name}: {error}"))))?;
            return Ok(bytes);
        }
    }
    Err(BuiltinError::from(StepFailure::input(format!("{name} has no {path}"))))
}
