//! Disks in the formats in which they are delivered.
//!
//! Input: a raw disk, and the format that the image asks for. Output: the step that converts it, if one is needed. How a
//! format is written is `exec::builtin::convert`'s.

use std::collections::BTreeMap;

use super::builder::Builder;
use super::step::{Builtin, Input, Step, Work};
use crate::recipe::image::DiskFormat;

/// A raw disk, as the output of a step and as the input of the next.
pub const RAW: &str = "disk.raw";

/// The name of a disk's file.
pub fn file_name(format: DiskFormat) -> &'static str {
    match format {
        DiskFormat::Raw => RAW,
        DiskFormat::Qcow2 => "disk.qcow2",
    }
}

/// The disk in a format. The raw one is then of no further use, and most of it is holes.
pub(super) fn converted(builder: &mut Builder<'_>, raw: Input, format: DiskFormat) -> Input {
    let Input::Output { step: maker, .. } = raw else { return raw };
    if format == DiskFormat::Raw {
        return raw;
    }
    let name = format!("{} {}", format.name(), builder.plan.steps[maker].name);
    let output = file_name(format).to_owned();
    let known = builder.plan.steps.iter().position(|step| step.name == name);
    let step = known.unwrap_or_else(|| {
        builder.plan.transient.insert(maker);
        builder.add_step(Step {
            name,
            work: Work::Builtin(Builtin::Convert { format }),
            inputs: BTreeMap::from([(RAW.to_owned(), raw)]),
            outputs: vec![output.clone()],
        })
    });
    Input::Output { step, name: output }
}
