//! Which words of the recipe a step carries out: where the report of a step that failed points. Part of no id.

use serde::{Deserialize, Serialize};

use super::kind::{IndexedKernel, StepKind};
use super::ready::ReadyFile;
use crate::base::{Span, Spanned};
use crate::recipe::Recipe;
use crate::recipe::build::BuildOutput;
use crate::recipe::image::{Image, MachineField};
use crate::recipe::kernel::{BuiltKernel, Kernel, Origin};
use crate::recipe::packages::PackageSet;

/// A statement of the recipe, by what it says: steps know no spans.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    /// The block that the step is made for.
    Block,
    /// `size` of the image.
    Size,
    /// This field of the image.
    Field(MachineField),
    /// `grow` of an image.
    Grow,
    /// The partition that is mounted here.
    Partition(String),
    /// The answer to this question of debconf.
    Answer(String),
    /// The user of this name.
    User(String),
    /// The group of this name.
    Group(String),
    /// The file, directory or link at this path.
    File(String),
    /// This unit among those to enable, to disable or to mask.
    Unit(String),
    /// This pattern of paths, to leave out, to keep or to remove.
    Pattern(String),
    /// This package among those that are asked for.
    Package(String),
    /// This option of the kernel's configuration.
    Option(String),
    /// This module of the kernel's initramfs.
    Module(String),
    /// The script of the build.
    Script,
    /// The module of a build that has this place among those of the image, from zero.
    ExtraModule(usize),
    /// The patch of the kernel's source that has this place among the step's patches, from zero.
    Patch(usize),
    /// The output of a build that the kernel or the machine takes as this.
    Ready(ReadyFile),
    /// The machine of this name, which uses what the step makes.
    Machine(String),
}

/// A mistake in the recipe that a program tells of.
#[derive(Debug, PartialEq, Eq)]
pub struct ToldMistake {
    /// Where it is.
    pub about: Statement,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// The mistake in the recipe that the last lines of such a step's command tell of.
pub fn mistake(step: &StepKind, lines: &[String]) -> Option<ToldMistake> {
    match step {
        // `source.sh`: `error: 003-name.patch does not apply to this source`
        StepKind::KernelKconfig(_) | StepKind::KernelBuild(_) => {
            let text =
                lines.last()?.strip_prefix("error: ").filter(|text| text.ends_with("does not apply to this source"))?;
            let about = Statement::Patch(text.split('-').next()?.parse().ok()?);
            Some(ToldMistake { about, message: text.to_owned(), help: None })
        }
        // `extra.sh`: `error: 003: name.ko was compiled for ...`
        StepKind::ExtraModules { .. } => {
            let (number, text) = lines.last()?.strip_prefix("error: ")?.split_once(": ")?;
            let about = Statement::ExtraModule(number.parse().ok()?);
            Some(ToldMistake { about, message: text.to_owned(), help: None })
        }
        _ => None,
    }
}

/// Where the recipe says it; where it does not (a default, a package that only another one needs), the block that the
/// step is made for.
pub fn place(recipe: &Recipe, step: &StepKind, statement: &Statement) -> Option<Span> {
    if let Statement::Machine(name) = statement {
        return Some(recipe.machines.get(name)?.span);
    }
    match step {
        StepKind::Base(image) | StepKind::Layer { image, .. } | StepKind::Named(image) | StepKind::Root(image) => {
            of_image(recipe, image, statement)
        }
        StepKind::Disk(content) => of_image(recipe, &content.image, statement),
        StepKind::ExtraModules { image, .. } | StepKind::AllModules { image, .. } => of_image(recipe, image, statement),
        StepKind::StockKernel(kernel)
        | StepKind::ReadyKernel(kernel)
        | StepKind::KernelKconfig(kernel)
        | StepKind::KernelConfig(kernel)
        | StepKind::KernelCheck(kernel)
        | StepKind::KernelBuild(kernel)
        | StepKind::Depmod(IndexedKernel { kernel, .. })
        | StepKind::Modules(IndexedKernel { kernel, .. })
        | StepKind::Initrd(IndexedKernel { kernel, .. }) => of_kernel(recipe, kernel, statement),
        StepKind::Build(build) | StepKind::Pack(BuildOutput { build, .. }) => of_build(recipe, build, statement),
        StepKind::ReadyFirmware(machine) => {
            let built = recipe.machines.get(machine)?.uefi.as_ref()?;
            Some(match statement {
                Statement::Ready(ReadyFile::Code) => built.code.span,
                Statement::Ready(ReadyFile::Variables) => built.variables.span,
                _ => built.span,
            })
        }
        StepKind::Boot(machine) => Some(recipe.machines.get(machine)?.span),
        StepKind::Convert { disk, .. } => place(recipe, disk, statement),
        StepKind::Qemu(qemu) => Some(recipe.qemus.get(qemu)?.span),
        StepKind::QemuFacts(qemu, _) if recipe.qemus.contains_key(qemu) => Some(recipe.qemus[qemu].span),
        StepKind::Tools(set) | StepKind::Firmware(set) | StepKind::Grub(set) | StepKind::QemuFacts(set, _) => {
            let set = recipe.sets().into_iter().find(|found| found.name == *set)?;
            Some(of_set(set, statement).unwrap_or(set.span))
        }
    }
}

fn of_image(recipe: &Recipe, image: &str, statement: &Statement) -> Option<Span> {
    let image: &Image = recipe.images.get(image)?;
    let spans = &image.spans;
    let said = match statement {
        Statement::Size => Some(spans.size),
        Statement::Field(field) => spans.machine.get(field).copied(),
        Statement::Grow => spans.grow,
        Statement::Partition(path) => {
            let mut partitions = image.disk().into_iter().flat_map(|disk| &disk.partitions);
            partitions.find(|partition| partition.path == *path).map(|partition| partition.span)
        }
        Statement::Answer(name) => {
            image.debconf.iter().find(|answer| answer.question == *name).map(|answer| answer.span)
        }
        Statement::User(name) => image.users.iter().find(|user| user.name == *name).map(|user| user.span),
        Statement::Group(name) => image.groups.iter().find(|group| group.name == *name).map(|group| group.span),
        Statement::File(path) => image.files.iter().find(|file| file.path == *path).map(|file| file.span),
        Statement::Unit(name) => spans.units.get(name).copied(),
        Statement::Pattern(pattern) => spans.patterns.get(pattern).copied(),
        Statement::Package(_) => of_set(&image.packages, statement),
        Statement::ExtraModule(at) => image.modules.get(*at).map(|module| module.span),
        Statement::Block
        | Statement::Option(_)
        | Statement::Module(_)
        | Statement::Script
        | Statement::Patch(_)
        | Statement::Ready(_)
        | Statement::Machine(_) => None,
    };
    Some(said.unwrap_or(image.span))
}

fn of_build(recipe: &Recipe, build: &str, statement: &Statement) -> Option<Span> {
    let build = recipe.builds.get(build)?;
    let said = match statement {
        Statement::Script => Some(build.script.span),
        Statement::Package(_) => of_set(&build.tools, statement),
        _ => None,
    };
    Some(said.unwrap_or(build.span))
}

fn of_set(set: &PackageSet, statement: &Statement) -> Option<Span> {
    let Statement::Package(name) = statement else { return None };
    set.requests.iter().find(|request| request.name == *name).map(|request| request.span)
}

fn of_kernel(recipe: &Recipe, kernel: &str, statement: &Statement) -> Option<Span> {
    let kernel: &Kernel = recipe.kernels.get(kernel)?;
    let said = match (&kernel.origin, statement) {
        (Origin::Compiled(compiled), Statement::Option(name)) => {
            // The last one that says it decides.
            let own = [&compiled.options, &compiled.require].into_iter();
            let blocks = compiled.configs.iter().rev().flat_map(|block| [&block.options, &block.require]);
            own.chain(blocks).find_map(|options| options.get(name)).map(|value| value.span)
        }
        (Origin::Stock { initrd_modules, .. }, Statement::Module(name)) => of_module(initrd_modules, name),
        (Origin::Compiled(compiled), Statement::Module(name)) => of_module(&compiled.initrd_modules, name),
        (Origin::Compiled(compiled), Statement::Patch(at)) => compiled.patches.get(*at).map(|patch| patch.span),
        (Origin::Built(built), Statement::Module(name)) => of_module(&built.initrd_modules, name),
        (Origin::Built(built), Statement::Ready(file)) => of_ready(built, *file),
        (Origin::Built(built), Statement::Option(name)) => built.require.get(name).map(|value| value.span),
        (Origin::Stock { set, .. }, Statement::Package(_)) => of_set(set, statement),
        (Origin::Compiled(compiled), Statement::Package(_)) => of_set(&compiled.build, statement),
        _ => None,
    };
    Some(said.unwrap_or(kernel.span))
}

fn of_ready(built: &BuiltKernel, file: ReadyFile) -> Option<Span> {
    match file {
        ReadyFile::Image => Some(built.image.span),
        ReadyFile::Modules => built.modules.as_ref().map(|output| output.span),
        ReadyFile::Config => built.config.as_ref().map(|output| output.span),
        ReadyFile::Code | ReadyFile::Variables => None,
    }
}

/// The kernel writes its modules' names with either sign.
fn of_module(modules: &[Spanned<String>], name: &str) -> Option<Span> {
    let plain = |name: &str| name.replace('-', "_");
    modules.iter().find(|module| plain(&module.value) == plain(name)).map(|module| module.span)
}
