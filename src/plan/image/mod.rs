//! An image: packages to a configured root, and a root to an ext4 disk.
//!
//! Input: a checked image and the lock. Output: steps. It must not know how a root is configured: that is `exec::debian`.

mod base;
mod spec;

use std::collections::BTreeMap;

use super::builder::Builder;
use super::disk::{self, DiskSpec, FileSystemSpec, PartitionSpec, SwapSpec};
use super::kind::{DiskContent, DiskLayout, StepKind};
use super::root::{ROOT, USERS, WARNINGS};
use super::step::{Builtin, Input, Step, Work};
use crate::base::Digest;
use crate::recipe::Recipe;
use crate::recipe::image::{DiskFormat, Image, ImageDisk, ImagePartition, SWAP_FILE};

/// What goes onto a disk.
#[derive(Debug)]
pub struct DiskParts {
    /// The configured root file system.
    pub root: Input,
    /// A kernel's modules below `usr/lib/modules`, with their indexes.
    pub modules: Option<Input>,
    /// An archive over the root: the table that makes a root on a partition mount itself (see [`super::boot`]).
    pub fstab: Option<Input>,
}

/// File systems: a whole disk in its format, or the bytes of partitions.
#[derive(Debug, Clone)]
pub struct FileSystems {
    /// The root.
    pub root: Input,
    /// Those of [`ImageDisk::partitions`].
    pub partitions: Vec<Input>,
}

/// The step that makes of an image's packages what the recipe says; shared by all disks of the image.
pub fn root(builder: &mut Builder<'_>, recipe: &Recipe, image: &Image) -> Input {
    let step = builder.once(StepKind::Root(image.name.clone()), |builder, kind| {
        let base = base::inputs(builder, image);
        let (spec, mut inputs) = spec::root_spec(recipe, image, builder);
        inputs.extend(base);
        let json = serde_json::to_vec(&spec).expect("a specification has only strings and numbers");
        let private = spec::private(&builder.plan, &spec, &inputs);
        builder.plan.private.extend(private);
        // That there is no password is no secret.
        if image.users.iter().filter_map(|user| user.password_hash.as_ref()).any(|hash| !hash.is_empty()) {
            builder.plan.private.insert(Digest::of(&json));
        }
        inputs.insert("root.json".to_owned(), Input::Inline(json));
        let work = Work::Builtin(Builtin::Root(image.architecture.value));
        let outputs = vec![ROOT.to_owned(), USERS.to_owned(), WARNINGS.to_owned()];
        Step { kind, work, inputs, outputs }
    });
    Input::Output { step, name: ROOT.to_owned() }
}

/// The step from a root to its file systems: in the format of the image where the root's is the whole disk, and raw where
/// they become partitions.
pub fn file_systems(
    builder: &mut Builder<'_>,
    (image, disk): (&Image, &ImageDisk),
    content: &DiskContent,
    parts: DiskParts,
) -> FileSystems {
    let format = match content.layout {
        DiskLayout::Whole => disk.format,
        DiskLayout::Partition => DiskFormat::Raw,
    };
    let mut inputs = BTreeMap::from([("0-root.tar".to_owned(), parts.root)]);
    inputs.extend(parts.modules.map(|modules| ("1-modules.tar".to_owned(), modules)));
    inputs.extend(parts.fstab.map(|fstab| ("2-partition.tar".to_owned(), fstab)));
    let spec = disk_spec(builder, (image, disk), format);
    inputs.insert(disk::SPEC.to_owned(), Input::Inline(spec.to_json()));
    let own = format.file_name().to_owned();
    let others: Vec<String> = (0..disk.partitions.len()).map(disk::part_raw).collect();
    let step = builder.add_step(Step {
        kind: StepKind::Disk(content.clone()),
        work: Work::Builtin(Builtin::Disk),
        inputs,
        outputs: [own.clone()].into_iter().chain(others.iter().cloned()).collect(),
    });
    if content.layout == DiskLayout::Partition {
        builder.plan.transient.insert(step);
    }
    let output = |name| Input::Output { step, name };
    FileSystems { root: output(own), partitions: others.into_iter().map(output).collect() }
}

fn disk_spec(builder: &Builder<'_>, (image, disk): (&Image, &ImageDisk), format: DiskFormat) -> DiskSpec {
    let seed = builder.lock.seed;
    let own = |purpose: &str| uuid(seed, &format!("{purpose} {}", image.name));
    let partition = |partition: &ImagePartition| {
        let ImagePartition { path, size, .. } = partition;
        let (id, hash_seed) = (partition_id(builder, image, path), uuid(seed, &format!("hash {} {path}", image.name)));
        PartitionSpec { mount: path.clone(), file_system: FileSystemSpec { size: *size, id, hash_seed } }
    };
    DiskSpec {
        format,
        epoch: builder.lock.epoch,
        root: FileSystemSpec { size: disk.size, id: file_system_id(builder, image), hash_seed: own("hash") },
        swap: disk.swap.map(|bytes| SwapSpec { path: SWAP_FILE.to_owned(), bytes, id: own("swap") }),
        partitions: disk.partitions.iter().map(partition).collect(),
    }
}

/// The identity of the file system of a partition.
pub(super) fn partition_id(builder: &Builder<'_>, image: &Image, mount: &str) -> String {
    uuid(builder.lock.seed, &format!("fs {} {mount}", image.name))
}

/// The identity of an image's file system.
pub(super) fn file_system_id(builder: &Builder<'_>, image: &Image) -> String {
    uuid(builder.lock.seed, &format!("fs {}", image.name))
}

/// A version 8 UUID (RFC 9562) from the lock's seed: never all zeros, which programs would take as unset.
pub(super) fn uuid(seed: Digest, purpose: &str) -> String {
    let digest = Digest::of(format!("{seed} {purpose}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_follow_from_the_seed_and_the_purpose() {
        let seed = Digest::of(b"seed");
        let one = uuid(seed, "fs a");
        assert_eq!(one, uuid(seed, "fs a"));
        assert_ne!(one, uuid(seed, "fs b"));
        assert_ne!(one, uuid(Digest::of(b"other"), "fs a"));
        assert_eq!((one.len(), &one[14..15]), (36, "8"));
    }
}
