//! What builds of the recipe leave ready for a machine: a kernel, and UEFI firmware.
//!
//! Input: outputs of builds. Output: one step for each kernel and for the firmware of each machine, which compares what the build left
//! with what it is to be and hands it on. What builds leave is not trusted: how it is compared is `exec::builtin::ready`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::build;
use super::builder::Builder;
use super::kernel::CONFIG;
use super::kernel::needs::{self, MachineNeed};
use super::kind::{ArtifactKind, StepKind};
use super::parts::KernelParts;
use super::step::{Builtin, Input, Step, Work};
use crate::base::{Arch, Spanned, Timestamp};
use crate::kconfig::{OptionRequest, RequestKind};
use crate::recipe::Recipe;
use crate::recipe::kernel::{BuiltKernel, Kernel, OptionValue};
use crate::recipe::machine::{BuiltFirmware, Machine};

/// Input of a kernel's step: what is known of the kernel, as a [`ReadyKernel`].
pub const SPEC: &str = "kernel.json";
/// Inputs: what builds left.
pub const IMAGE: &str = "image";
/// The modules.
pub const MODULES: &str = "modules";
/// The configuration.
pub const OPTIONS: &str = "config";
/// The code of UEFI firmware.
pub const CODE: &str = "code";
/// Its variables.
pub const VARIABLES: &str = "variables";

/// Outputs beside [`CONFIG`].
pub const VMLINUZ: &str = "vmlinuz";
/// The modules as a canonical archive.
pub const MODULES_TAR: &str = "modules.tar";

/// What a kernel that a build leaves is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyKernel {
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// The time of its modules.
    pub epoch: Timestamp,
    /// What the machines need that boot it; nothing without a configuration that could tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<MachineNeed>,
    /// What the recipe requires of its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<OptionRequest>,
}

/// A file that a build leaves ready: where the recipe says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyFile {
    /// `image` of a kernel.
    Image,
    /// `modules` of a kernel.
    Modules,
    /// `config` of a kernel.
    Config,
    /// `code` of `uefi`.
    Code,
    /// `variables` of `uefi`.
    Variables,
}

/// The step of a kernel that builds leave.
pub(super) fn kernel(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    (kernel, built): (&Kernel, &BuiltKernel),
) -> KernelParts {
    let machines = recipe.machines.values().filter(|machine| machine.kernel == kernel.name);
    let needs = if built.config.is_some() { needs::of_ready(machines, built) } else { Vec::new() };
    let request = |(name, value): (&String, &Spanned<OptionValue>)| OptionRequest {
        name: name.clone(),
        value: value.value.clone(),
        by: format!("kernel {}", kernel.name),
        kind: RequestKind::Require,
    };
    let requests = built.require.iter().map(request).collect();
    let spec = ReadyKernel { architecture: kernel.architecture.value, epoch: builder.lock.epoch, needs, requests };
    let spec = serde_json::to_vec_pretty(&spec).expect("strings and numbers are always JSON");
    let mut inputs = BTreeMap::from([(SPEC.to_owned(), Input::Inline(spec))]);
    let mut outputs = vec![VMLINUZ.to_owned()];
    inputs.insert(IMAGE.to_owned(), build::output(builder, recipe, &built.image.value));
    let others = [(&built.modules, MODULES, MODULES_TAR), (&built.config, OPTIONS, CONFIG)];
    for (output, input, name) in others {
        let Some(output) = output else { continue };
        inputs.insert(input.to_owned(), build::output(builder, recipe, &output.value));
        outputs.push(name.to_owned());
    }
    outputs.sort();
    let work = Work::Builtin(Builtin::ReadyKernel);
    let step = builder.add_step(Step { kind: StepKind::ReadyKernel(kernel.name.clone()), work, inputs, outputs });
    let output = |name: &str| Input::Output { step, name: name.to_owned() };
    KernelParts {
        vmlinuz: output(VMLINUZ),
        config: built.config.as_ref().map(|_| output(CONFIG)),
        modules: built.modules.as_ref().map(|_| output(MODULES_TAR)),
        initrd: None,
        debug: Vec::new(),
    }
}

/// The firmware of a machine, by what it is delivered as.
pub(super) fn firmware(
    builder: &mut Builder<'_>,
    recipe: &Recipe,
    (machine, built): (&Machine, &BuiltFirmware),
) -> Vec<(ArtifactKind, Input)> {
    let kinds = [ArtifactKind::FirmwareCode, ArtifactKind::FirmwareVars];
    let inputs = [(CODE, &built.code), (VARIABLES, &built.variables)]
        .map(|(name, output)| (name.to_owned(), build::output(builder, recipe, &output.value)));
    let step = builder.add_step(Step {
        kind: StepKind::ReadyFirmware(machine.name.clone()),
        work: Work::Builtin(Builtin::ReadyFirmware),
        inputs: BTreeMap::from(inputs),
        outputs: kinds.map(|kind| kind.file_name().to_owned()).to_vec(),
    });
    kinds.map(|kind| (kind, Input::Output { step, name: kind.file_name().to_owned() })).into()
}
