//! Disks in the formats in which they are delivered.
//!
//! Input: a raw disk, and the format that the image asks for. Output: the step that converts it, if one is needed. How a
//! format is written is `exec::builtin::convert`'s.

use std::collections::BTreeMap;

use super::builder::Builder;
use super::kind::StepKind;
use super::step::{Builtin, Input, Step, Work};
use crate::recipe::image::DiskFormat;

/// A raw disk, as the output of a step and as the input of the next.
pub const RAW: &str = DiskFormat::Raw.file_name();

/// The tree of a file system, as an archive.
pub const TREE: &str = "root.tar";

/// The tree of the file system of a partition, by its place among those of its image.
pub fn part_tree(at: usize) -> String {
    format!("partition-{}.tar", at + 1)
}

/// What debugfs does to the root of that file system.
pub fn part_commands(at: usize) -> String {
    format!("partition-{}.debugfs", at + 1)
}

/// That file system.
pub fn part_raw(at: usize) -> String {
    format!("partition-{}.raw", at + 1)
}

/// What to say when the files of an image do not fit on its disk: a line with what is wrong, and one with what to do.
pub const FIT: &str = "fit.txt";

/// Marks a raw disk as of no use but to the step that reads it: most of it is holes.
pub(super) fn transient(builder: &mut Builder<'_>, step: usize) -> Input {
    builder.plan.transient.insert(step);
    Input::Output { step, name: RAW.to_owned() }
}

/// A raw disk in the format in which it is delivered.
pub(super) fn converted(builder: &mut Builder<'_>, raw: Input, format: DiskFormat) -> Input {
    let Input::Output { step: maker, .. } = raw else { return raw };
    if format == DiskFormat::Raw {
        builder.plan.transient.remove(&maker);
        return raw;
    }
    let disk = Box::new(builder.plan.steps[maker].kind.clone());
    let output = format.file_name().to_owned();
    let step = builder.once(StepKind::Convert { disk, format }, |_, kind| Step {
        kind,
        work: Work::Builtin(Builtin::Convert { format }),
        inputs: BTreeMap::from([(RAW.to_owned(), raw)]),
        outputs: vec![output.clone()],
    });
    Input::Output { step, name: output }
}
