//! An image: packages to a configured root, and a root to an ext4 disk.
//!
//! Input: a checked image and the lock. Output: steps. It must not know how a root is configured: that is `exec::debian`.

mod base;
mod partitions;
mod spec;

use std::collections::BTreeMap;

pub(super) use partitions::file_system_id as partition_id;

use super::builder::Builder;
use super::disk::{FIT, RAW, transient};
use super::kind::{DiskContent, StepKind};
use super::root::{ROOT, USERS, WARNINGS};
use super::step::{Builtin, Ids, Input, Step, Work};
use crate::base::Digest;
use crate::format::swap;
use crate::recipe::Recipe;
use crate::recipe::image::{Image, ImageDisk};

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

/// File systems, each as the bytes of a disk or a partition.
#[derive(Debug, Clone)]
pub struct RawDisk {
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

/// The steps from a root to its file systems.
pub fn raw_disk(
    builder: &mut Builder<'_>,
    (image, disk): (&Image, &ImageDisk),
    content: &DiskContent,
    parts: DiskParts,
) -> RawDisk {
    let mut tars = BTreeMap::from([("0-root.tar".to_owned(), parts.root.clone())]);
    tars.extend(parts.modules.map(|modules| ("1-modules.tar".to_owned(), modules)));
    tars.extend(parts.fstab.map(|fstab| ("2-partition.tar".to_owned(), fstab)));
    let tar = if tars.len() == 1 {
        parts.root
    } else {
        let step = builder.add_step(Step {
            kind: StepKind::Tree(content.clone()),
            work: Work::Builtin(Builtin::MergeTars),
            inputs: tars,
            outputs: vec!["merged.tar".to_owned()],
        });
        Input::Output { step, name: "merged.tar".to_owned() }
    };
    let (tar, partitions) = partitions::split(builder, (image, disk), content, tar);
    let fit = builder.add_step(Step {
        kind: StepKind::Fit(content.clone()),
        work: Work::Builtin(Builtin::Fit { size: disk.size, swap: disk.swap.unwrap_or(0), mount: None }),
        inputs: BTreeMap::from([("root.tar".to_owned(), tar.clone())]),
        outputs: vec![FIT.to_owned()],
    });
    let mut env = builder.epoch_env();
    env.insert("KILN_FS_UUID".to_owned(), file_system_id(builder, image));
    env.insert("KILN_HASH_SEED".to_owned(), uuid(builder.lock.seed, &format!("hash {}", image.name)));
    let size = disk.size.to_string();
    let mut argv = vec!["/bin/sh", "/kiln/in/disk.sh", "/kiln/in/root.tar", &size, "/kiln/in/fit.txt"];
    let swap = disk.swap.map(|bytes| (bytes.to_string(), swap::first_page(bytes, swap_id(builder, image))));
    argv.extend(swap.iter().map(|(bytes, _)| bytes.as_str()));
    let argv = argv.into_iter().map(str::to_owned).collect();
    let mut step = Step {
        kind: StepKind::Disk(content.clone()),
        work: Work::Sandbox { tools: builder.tools(&disk.tools.name), argv, env, ids: Ids::Single },
        inputs: BTreeMap::from([
            ("disk.sh".to_owned(), Input::Inline(include_bytes!("disk.sh").to_vec())),
            ("mke2fs.conf".to_owned(), Input::Inline(include_bytes!("mke2fs.conf").to_vec())),
            ("root.tar".to_owned(), tar),
            (FIT.to_owned(), Input::Output { step: fit, name: FIT.to_owned() }),
        ]),
        outputs: vec![RAW.to_owned()],
    };
    step.inputs.extend(swap.map(|(_, page)| ("swap.page".to_owned(), Input::Inline(page))));
    let step = builder.add_step(step);
    RawDisk { root: transient(builder, step), partitions }
}

/// The identity of an image's file system.
pub(super) fn file_system_id(builder: &Builder<'_>, image: &Image) -> String {
    uuid(builder.lock.seed, &format!("fs {}", image.name))
}

fn swap_id(builder: &Builder<'_>, image: &Image) -> [u8; 16] {
    id(builder.lock.seed, &format!("swap {}", image.name))
}

/// A version 8 UUID (RFC 9562) from the lock's seed: never all zeros, which mke2fs would take as unset.
pub(super) fn uuid(seed: Digest, purpose: &str) -> String {
    let bytes = id(seed, purpose);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The bytes of such a UUID.
fn id(seed: Digest, purpose: &str) -> [u8; 16] {
    let digest = Digest::of(format!("{seed} {purpose}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
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
