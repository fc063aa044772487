//! A stock Debian kernel: its files as Debian built them, its modules indexed by the locked kmod, its initramfs ours.

use std::collections::BTreeMap;

use super::build;
use super::builder::Builder;
use super::initrd::InitrdSpec;
use super::kernel::CONFIG;
use super::kind::{IndexedKernel, StepKind};
use super::parts::KernelParts;
use super::step::{Builtin, Ids, Input, Step, Work};
use crate::base::Spanned;
use crate::recipe::Recipe;
use crate::recipe::image::{BUSYBOX, Image};
use crate::recipe::packages::PackageSet;

/// A kernel's modules, and what indexes them.
#[derive(Debug)]
pub struct Modules<'a> {
    /// Whose they are.
    pub kernel: IndexedKernel,
    /// The archive that holds them, below `usr/lib/modules`.
    pub tree: Input,
    /// The set with kmod and tar, which run where kiln builds.
    pub tools: &'a str,
    /// The set with busybox-static, which runs in the machine.
    pub shell: &'a str,
}

/// The step of a stock kernel.
pub fn lower(builder: &mut Builder<'_>, kernel: &str, set: &PackageSet) -> KernelParts {
    let mut inputs = BTreeMap::new();
    for (at, package) in builder.set(&set.name).iter().filter(|package| carries_kernel(&package.name)).enumerate() {
        let name = if at == 0 { "kernel.deb".to_owned() } else { format!("kernel-{at}.deb") };
        inputs.insert(name, builder.fetch(package));
    }
    let unpacked = builder.add_step(Step {
        kind: StepKind::StockKernel(kernel.to_owned()),
        work: Work::Builtin(Builtin::StockKernel),
        inputs,
        outputs: vec![CONFIG.to_owned(), "modules.tar".to_owned(), "vmlinuz".to_owned()],
    });
    let output = |name: &str| Input::Output { step: unpacked, name: name.to_owned() };
    let modules = Some(output("modules.tar"));
    KernelParts { vmlinuz: output("vmlinuz"), config: Some(output(CONFIG)), modules, initrd: None, debug: Vec::new() }
}

/// `linux-image-6.12.57+deb13-cloud-amd64`, but not the package `linux-image-cloud-amd64` that only depends on it. Newer
/// kernels are shared out among several packages.
pub fn carries_kernel(name: &str) -> bool {
    ["linux-base-", "linux-binary-", "linux-image-", "linux-modules-"]
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A kernel's modules, and those that an image adds.
#[derive(Debug)]
pub struct ExtraModules<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The image.
    pub image: &'a Image,
    /// The kernel.
    pub kernel: &'a str,
    /// The archive of its own modules.
    pub tree: Input,
}

/// The archive of all of them. Each is compared with the kernel's release.
pub fn with_extra(builder: &mut Builder<'_>, extra: &ExtraModules<'_>) -> Input {
    let ExtraModules { recipe, image, kernel, tree } = extra;
    let mut inputs = BTreeMap::from([
        ("extra.sh".to_owned(), Input::Inline(include_bytes!("image/extra.sh").to_vec())),
        ("modules.tar".to_owned(), tree.clone()),
    ]);
    for (at, module) in image.modules.iter().enumerate() {
        let input = build::output(builder, recipe, &module.value);
        inputs.insert(format!("extra/{at:03}-{}", module.value.name), input);
    }
    let names = || ((*kernel).to_owned(), image.name.clone());
    let (kernel, name) = names();
    let step = Step {
        kind: StepKind::ExtraModules { kernel, image: name },
        work: Work::Sandbox {
            tools: builder.tools(&image.machine_disk().tools.name),
            argv: ["/bin/sh", "/kiln/in/extra.sh"].map(str::to_owned).to_vec(),
            env: builder.epoch_env(),
            ids: Ids::Single,
        },
        inputs,
        outputs: vec!["extra.tar".to_owned()],
    };
    let added = Input::Output { step: builder.add_step(step), name: "extra.tar".to_owned() };
    let (kernel, name) = names();
    merged(builder, StepKind::AllModules { kernel, image: name }, [tree.clone(), added])
}

/// Two archives as one; the second lies on top.
fn merged(builder: &mut Builder<'_>, kind: StepKind, [below, above]: [Input; 2]) -> Input {
    let step = builder.add_step(Step {
        kind,
        work: Work::Builtin(Builtin::MergeTars),
        inputs: BTreeMap::from([("0-modules.tar".to_owned(), below), ("1-added.tar".to_owned(), above)]),
        outputs: vec!["merged.tar".to_owned()],
    });
    Input::Output { step, name: "merged.tar".to_owned() }
}

/// A module tree together with what depmod says of it.
pub fn with_index(builder: &mut Builder<'_>, modules: &Modules<'_>) -> Input {
    let Modules { kernel, tree, tools, .. } = modules;
    let step = Step {
        kind: StepKind::Depmod(kernel.clone()),
        work: Work::Sandbox {
            tools: builder.tools(tools),
            argv: ["/bin/sh", "/kiln/in/depmod.sh", "/kiln/in/modules.tar"].map(str::to_owned).to_vec(),
            env: builder.epoch_env(),
            ids: Ids::Single,
        },
        inputs: BTreeMap::from([
            ("depmod.sh".to_owned(), Input::Inline(include_bytes!("image/depmod.sh").to_vec())),
            ("modules.tar".to_owned(), tree.clone()),
        ]),
        outputs: vec!["depmod.tar".to_owned()],
    };
    let index = Input::Output { step: builder.add_step(step), name: "depmod.tar".to_owned() };
    let merge = builder.add_step(Step {
        kind: StepKind::Modules(kernel.clone()),
        work: Work::Builtin(Builtin::MergeTars),
        inputs: BTreeMap::from([("0-modules.tar".to_owned(), tree.clone()), ("1-depmod.tar".to_owned(), index)]),
        outputs: vec!["merged.tar".to_owned()],
    });
    Input::Output { step: merge, name: "merged.tar".to_owned() }
}

/// An initramfs of the modules that mount the root, and of those that a recipe wants besides.
pub fn initrd(builder: &mut Builder<'_>, modules: &Modules<'_>, wanted: &[Spanned<String>]) -> Input {
    let busybox = builder.set(modules.shell).iter().find(|package| package.name == BUSYBOX);
    let busybox = builder.fetch(busybox.expect("a lock that satisfies its recipe has the initramfs's shell"));
    let mut spec = InitrdSpec::virtio_ext4("/dev/vda", builder.lock.epoch);
    spec.modules.extend(wanted.iter().map(|module| module.value.clone()));
    let step = builder.add_step(Step {
        kind: StepKind::Initrd(modules.kernel.clone()),
        work: Work::Builtin(Builtin::Initrd),
        inputs: BTreeMap::from([
            ("busybox.deb".to_owned(), busybox),
            ("initrd.json".to_owned(), Input::Inline(spec.to_json())),
            ("modules.tar".to_owned(), modules.tree.clone()),
        ]),
        outputs: vec!["initrd.img".to_owned()],
    });
    Input::Output { step, name: "initrd.img".to_owned() }
}
