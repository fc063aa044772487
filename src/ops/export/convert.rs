//! A disk in the format of another hypervisor.

use super::ExportFormat;
use super::course::Course;
use super::disk::DiskFile;
use super::target::NewExport;
use crate::format::disk::ReadAt;
use crate::format::{vhd, vmdk};
use crate::ops::error::{ExportError, OpsError};

/// Bytes of a sector, which both formats count.
const SECTOR: u64 = 512;

pub(super) fn write(
    disk: &DiskFile,
    (format, course): (ExportFormat, &Course<'_>),
    new: &NewExport<'_>,
) -> Result<(), OpsError> {
    let mut reader = disk.open_bounded()?;
    let largest = if format == ExportFormat::Vhd { vhd::MAX_BYTES } else { vmdk::MAX_BYTES };
    let size = reader.size();
    if size > largest || !size.is_multiple_of(SECTOR) {
        let format = format.to_string();
        return Err(ExportError::Unfit { disk: disk.path(), format, size, largest }.into());
    }
    let go_on = |done| course.at(done, size);
    let written = match format {
        ExportFormat::Vhd => vhd::write(&mut reader, new.file(), &go_on),
        _ => vmdk::write(&mut reader, (new.file(), &format!("{}.vmdk", disk.label)), &go_on),
    };
    written.map_err(|error| new.failed(error))
}
