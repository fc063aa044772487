//! Directories of an image that lie in partitions of their own.
//!
//! Input: the tree of a disk. Output: steps that cut it at the mount points, and make a file system of each part.

use std::collections::BTreeMap;

use super::uuid;
use crate::plan::builder::Builder;
use crate::plan::disk::{self, FIT, RAW, TREE, transient};
use crate::plan::kind::{DiskContent, PartitionContent, StepKind};
use crate::plan::step::{Builtin, Ids, Input, Step, Work};
use crate::recipe::image::{Image, ImageDisk, ImagePartition};

/// The identity of the file system of a partition.
pub(in crate::plan) fn file_system_id(builder: &Builder<'_>, image: &Image, mount: &str) -> String {
    uuid(builder.lock.seed, &format!("fs {} {mount}", image.name))
}

/// What is left for the root, and a raw file system for each partition.
pub(super) fn split(
    builder: &mut Builder<'_>,
    (image, disk): (&Image, &ImageDisk),
    content: &DiskContent,
    tree: Input,
) -> (Input, Vec<Input>) {
    if disk.partitions.is_empty() {
        return (tree, Vec::new());
    }
    let mounts: Vec<String> = disk.partitions.iter().map(|partition| partition.path.clone()).collect();
    let parts = (0..mounts.len()).flat_map(|at| [disk::part_tree(at), disk::part_commands(at)]);
    let step = builder.add_step(Step {
        kind: StepKind::Split(content.clone()),
        outputs: std::iter::once(TREE.to_owned()).chain(parts).collect(),
        work: Work::Builtin(Builtin::Split { mounts }),
        inputs: BTreeMap::from([(TREE.to_owned(), tree)]),
    });
    let raws = disk.partitions.iter().enumerate().map(|(at, partition)| {
        let content = PartitionContent { disk: content.clone(), mount: partition.path.clone() };
        let [tree, commands] = [disk::part_tree(at), disk::part_commands(at)].map(|name| Input::Output { step, name });
        file_system(builder, (image, disk, partition), content, [tree, commands])
    });
    let raws = raws.collect();
    (Input::Output { step, name: TREE.to_owned() }, raws)
}

fn file_system(
    builder: &mut Builder<'_>,
    (image, disk, partition): (&Image, &ImageDisk, &ImagePartition),
    content: PartitionContent,
    [tree, commands]: [Input; 2],
) -> Input {
    let ImagePartition { path, size, .. } = partition;
    let fit = builder.add_step(Step {
        kind: StepKind::FitPartition(content.clone()),
        work: Work::Builtin(Builtin::Fit { size: *size, swap: 0, mount: Some(path.clone()) }),
        inputs: BTreeMap::from([(TREE.to_owned(), tree.clone())]),
        outputs: vec![FIT.to_owned()],
    });
    let mut env = builder.epoch_env();
    env.insert("KILN_FS_UUID".to_owned(), file_system_id(builder, image, path));
    env.insert("KILN_HASH_SEED".to_owned(), uuid(builder.lock.seed, &format!("hash {} {path}", image.name)));
    let size = size.to_string();
    let argv =
        ["/bin/sh", "/kiln/in/partition.sh", "/kiln/in/root.tar", &size, "/kiln/in/fit.txt", "/kiln/in/root.debugfs"];
    let argv = argv.map(str::to_owned).to_vec();
    let tools = builder.tools(&disk.tools.name);
    let step = builder.add_step(Step {
        kind: StepKind::Partition(content),
        work: Work::Sandbox { tools, argv, env, ids: Ids::Single },
        inputs: BTreeMap::from([
            ("partition.sh".to_owned(), Input::Inline(include_bytes!("partition.sh").to_vec())),
            ("mke2fs.conf".to_owned(), Input::Inline(include_bytes!("mke2fs.conf").to_vec())),
            (TREE.to_owned(), tree),
            ("root.debugfs".to_owned(), commands),
            (FIT.to_owned(), Input::Output { step: fit, name: FIT.to_owned() }),
        ]),
        outputs: vec![RAW.to_owned()],
    });
    transient(builder, step)
}
