//! Disks: what the step that makes one is told, and the formats in which they are delivered.
//!
//! Input: a raw disk, and the format that the image asks for. Output: the step that converts it, if one is needed. How file
//! systems and formats are written is `exec::builtin::disk`'s and `exec::builtin::convert`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::builder::Builder;
use super::kind::StepKind;
use super::step::{Builtin, Input, Step, Work};
use crate::base::Timestamp;
use crate::recipe::image::DiskFormat;

/// A raw disk, as the output of a step and as the input of the next.
pub const RAW: &str = DiskFormat::Raw.file_name();

/// The description of a disk, among the inputs of the step that makes it.
pub const SPEC: &str = "disk.json";

/// The file system of a partition, by its place among those of its image.
pub fn part_raw(at: usize) -> String {
    format!("partition-{}.raw", at + 1)
}

/// What the step must know besides the archives: the bytes of [`SPEC`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// What the disk with the root becomes; the others are raw.
    pub format: DiskFormat,
    /// When everything was made that has no time of its own.
    pub epoch: Timestamp,
    /// The root's.
    pub root: FileSystemSpec,
    /// The swap file on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapSpec>,
    /// Those that are mounted in it, in ascending order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionSpec>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSystemSpec {
    /// Bytes.
    pub size: u64,
    /// Its identity, a UUID.
    pub id: String,
    /// What names are hashed with, a UUID.
    pub hash_seed: String,
}

/// A swap file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapSpec {
    /// Its absolute path.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Its identity, a UUID.
    pub id: String,
}

/// A file system that is mounted in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionSpec {
    /// Where: an absolute path.
    pub mount: String,
    /// The file system.
    pub file_system: FileSystemSpec,
}

impl DiskSpec {
    /// The bytes of the step's input.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and numbers are always JSON")
    }
}

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
