//! [`crate::plan::Builtin::Convert`]: a raw disk in another format.
//!
//! What is read was made by programs of others and is nothing but bytes here; what is written lies where no other program
//! ever was.

use super::{BuiltinContext, BuiltinError, input};
use crate::exec::event::StepEvent;
use crate::exec::failure::StepFailure;
use crate::format::qcow2;
use crate::plan::disk;
use crate::recipe::image::DiskFormat;
use crate::world::fs;

/// Input `disk.raw`; output as [`DiskFormat::file_name`] names it.
pub(super) fn run(context: &BuiltinContext<'_>, format: DiskFormat) -> Result<(), BuiltinError> {
    if format == DiskFormat::Raw {
        return Err(StepFailure::bug("a raw disk is converted to a raw disk").into());
    }
    let raw = fs::open(input(context, disk::RAW)?)?;
    let path = context.out.join(format.file_name());
    let target = fs::create_new(&path)?;
    let step = context.step;
    let mut progress =
        |done, total| context.listener.on(StepEvent::StepProgress { step: step.to_owned(), done, total });
    let earlier = super::disk::earlier(context);
    let how = (qcow2::Qcow2Options::default(), earlier.as_ref());
    let written = qcow2::write_qcow2_like(&raw, target, how, &mut progress);
    Ok(written.map(drop)?)
}
