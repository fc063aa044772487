//! The step that asks a locked QEMU what it knows, while everything else is built for it.
//!
//! It is asked about every kind of thing that kiln usually gives a property to, whatever the recipe uses of that: so the
//! answer belongs to the QEMU alone, and recipes with that QEMU share it. What few machines have is asked for those. Which properties a machine really needs
//! is compared afterwards (`machine::capability`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build;
use super::builder::Builder;
use super::id;
use super::kind::StepKind;
use super::step::{Builtin, Input, Step, Work};
use crate::base::Arch;
use crate::recipe::Recipe;
use crate::recipe::machine::Machine;
use crate::recipe::machine::device::DiskBus;
use crate::recipe::qemu::MachineQemu;

/// The step's output.
pub const FACTS: &str = "facts.json";

/// Input of the step that lays a build over packages: what the build left.
pub const BUILT: &str = "built";

/// Another one: the programs that machines start out of it, a line each.
pub const PROGRAMS: &str = "programs";

/// Drivers of the `-device`s that kiln writes for every machine.
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

/// Drivers that are asked about where a machine of the recipe has such a device.
pub const RARE_DEVICES: [&str; 2] = [NVDIMM, NVME];
const NVME: &str = "nvme";
/// A persistent memory module.
pub const NVDIMM: &str = "nvdimm";

/// Types that are asked about where a machine of the recipe has such an object.
pub const RARE_OBJECTS: [&str; 1] = [GENERIC_PORT];
/// How the HMAT speaks of a CXL host bridge.
pub const GENERIC_PORT: &str = "acpi-generic-port";

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

/// The position of the step whose tree (output `tree`) has a machine's QEMU.
pub(super) fn tree(builder: &mut Builder<'_>, recipe: &Recipe, qemu: &MachineQemu) -> usize {
    let built = match qemu {
        MachineQemu::Packages(set) => return builder.tools(&set.name),
        MachineQemu::Built(built) => built,
    };
    let output = build::output(builder, recipe, &built.output);
    builder.once(StepKind::Qemu(built.name.clone()), |builder, kind| {
        let mut inputs = builder.set_inputs(&built.packages.name);
        inputs.insert(BUILT.to_owned(), output);
        inputs.insert(PROGRAMS.to_owned(), Input::Inline(programs(recipe, &built.name).into_bytes()));
        Step { kind, work: Work::Builtin(Builtin::QemuTree), inputs, outputs: vec![id::TREE.to_owned()] }
    })
}

/// What the recipe's machines start of a QEMU that it builds.
fn programs(recipe: &Recipe, name: &str) -> String {
    let users = recipe
        .machines
        .values()
        .filter(|machine| matches!(&machine.qemu, MachineQemu::Built(qemu) if qemu.name == name));
    let programs: BTreeSet<&str> = users.map(|machine| machine.arch().facts().qemu.program).collect();
    programs.into_iter().map(|program| format!("{program}\n")).collect()
}

/// A QEMU that is to be asked.
pub(super) struct Asked<'a> {
    /// The step whose tree has it.
    pub(super) tree: usize,
    /// Its package set, or what the recipe calls it.
    pub(super) name: &'a str,
    /// What it emulates.
    pub(super) arch: Arch,
    /// The machine types that the lock wants of it.
    pub(super) machines: BTreeSet<String>,
    /// Drivers of devices that few machines have.
    pub(super) devices: BTreeSet<&'static str>,
    /// Types of objects that few machines have.
    pub(super) objects: BTreeSet<&'static str>,
}

impl<'a> Asked<'a> {
    /// What one machine wants to know of its QEMU but for its type, which is the lock's.
    pub(super) fn of(tree: usize, machine: &'a Machine) -> Asked<'a> {
        let (machines, devices, objects) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Asked { tree, name: machine.qemu.name(), arch: machine.arch(), machines, devices, objects }
    }

    /// What few machines have, and this one has.
    pub(super) fn also(&mut self, machine: &Machine) {
        let nvme = machine.disks.iter().any(|disk| disk.bus == DiskBus::Nvme);
        self.devices.extend(nvme.then_some(NVME));
        self.devices.extend(machine.nvdimms.first().map(|_| NVDIMM));
        self.objects.extend(machine.generic_ports().next().map(|_| GENERIC_PORT));
    }
}

/// Adds the step that asks one QEMU.
pub(super) fn facts(builder: &mut Builder<'_>, asked: Asked<'_>) {
    let Asked { tree, name, arch, machines, devices, objects } = asked;
    let owned = |usual: &[&'static str], rare: BTreeSet<&'static str>| -> Vec<String> {
        usual.iter().copied().chain(rare).map(str::to_owned).collect()
    };
    let (devices, objects) = (owned(&DEVICES, devices), owned(&OBJECTS, objects));
    let questions = Questions { architecture: arch, devices, objects, machines: machines.into_iter().collect() };
    // Names and nothing else: there is no way in which this cannot be written.
    let text = serde_json::to_vec_pretty(&questions).expect("questions are JSON");
    let tree = Input::Output { step: tree, name: id::TREE.to_owned() };
    builder.add_step(Step {
        kind: StepKind::QemuFacts(name.to_owned(), arch),
        work: Work::Builtin(Builtin::QemuFacts),
        inputs: [("qemu".to_owned(), tree), ("questions.json".to_owned(), Input::Inline(text))].into(),
        outputs: vec![FACTS.to_owned()],
    });
}
