//! The step that asks a locked QEMU what it knows, before anything is built for it.
//!
//! It is asked about every kind of thing that kiln usually gives a property to, whatever the recipe uses of that: so the
//! answer belongs to the QEMU alone, and recipes with that QEMU share it. What few machines have is asked for those. Which properties a machine really needs
//! is compared afterwards (`machine::capability`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::builder::Builder;
use super::id;
use super::kind::StepKind;
use super::step::{Builtin, Input, Step, Work};
use crate::base::Arch;

/// The step's output.
pub const FACTS: &str = "facts.json";

/// Drivers of the `-device`s that kiln writes.
pub const DEVICES: [&str; 9] = [
    "cxl-downstream",
    "cxl-rp",
    "cxl-switch-mailbox-cci",
    "cxl-type3",
    "cxl-upstream",
    "pxb-cxl",
    "virtio-blk-pci",
    "virtio-net-pci",
    "virtio-rng-pci",
];

/// The driver of a `-device` that is asked about where a machine of the recipe has one.
pub const NVME: &str = "nvme";

/// Types of every `-object` that kiln writes.
pub const OBJECTS: [&str; 3] = ["memory-backend-file", "memory-backend-ram", "rng-random"];

/// Input `questions.json`: what QEMU is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// Whose QEMU is asked: a set of packages may hold several.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// As in `-device X,help`.
    pub devices: Vec<String>,
    /// As in `-object X,help`.
    pub objects: Vec<String>,
    /// As in `-machine X,help`, which leaves out what only an instance has, `cxl` among it.
    pub machines: Vec<String>,
}

/// Output `facts.json`: what QEMU answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `11.1.3`, from QEMU's greeting.
    pub version: String,
    /// Property names by `-device X`, `-object X`, `-machine X`; what this QEMU does not have is not there.
    pub properties: BTreeMap<String, BTreeSet<String>>,
}

/// What machines want to know of their QEMU.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Versioned machine types.
    pub(super) types: BTreeSet<String>,
    /// Whether one of them has an NVMe disk.
    pub(super) nvme: bool,
}

/// Adds the step for one QEMU and the machine types that the lock wants of it.
pub(super) fn facts(builder: &mut Builder<'_>, (set, arch): (&str, Arch), asked: Asked) {
    let tools = builder.tools(set);
    let Asked { types: machines, nvme } = asked;
    let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut devices = owned(&DEVICES);
    devices.extend(nvme.then(|| NVME.to_owned()));
    let questions =
        Questions { architecture: arch, devices, objects: owned(&OBJECTS), machines: machines.into_iter().collect() };
    // Names and nothing else: there is no way in which this cannot be written.
    let text = serde_json::to_vec_pretty(&questions).expect("questions are JSON");
    let tree = Input::Output { step: tools, name: id::TREE.to_owned() };
    builder.add_step(Step {
        kind: StepKind::QemuFacts(set.to_owned(), arch),
        work: Work::Builtin(Builtin::QemuFacts),
        inputs: [("qemu".to_owned(), tree), ("questions.json".to_owned(), Input::Inline(text))].into(),
        outputs: vec![FACTS.to_owned()],
    });
}
