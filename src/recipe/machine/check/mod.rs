//! Reads `machine NAME { ... }` and what stands in it.
//!
//! Input: evaluated blocks. Output: the types of the parent module, or reports at the exact words. It judges spelling,
//! units and ranges of single values; what depends on several of them is a rule of [`crate::machine::rules`].

mod attribute;
mod cache;
mod cdat;
mod cxl;
mod device;
mod firmware;
mod memory;
mod slots;
mod value;

pub use device::network;
pub use memory::shared;

use super::{Chipset, Firmware, Machine};
use crate::base::{Arch, ByteSize, Diagnostic, Spanned};
use crate::recipe::architecture;
use crate::recipe::image::Image;
use crate::recipe::qemu::MachineQemu;
use crate::recipe::reader::Reader;
use crate::recipe::scope::{Scope, Wanted};
use crate::recipe::value::{EvaluatedNode, Value};

/// CPUs that a machine may have: an APIC id above 254 needs an interrupt remapper.
const CPUS: std::ops::RangeInclusive<i64> = 1..=255;
const DEFAULT_CPUS: u32 = 2;
const DEFAULT_MEMORY: u64 = 2 << 30;
/// Linux' COMMAND_LINE_SIZE is 2048 on every architecture; kiln's own words take the rest.
const APPEND_LIMIT: usize = 1500;

/// What belongs to one run of a machine, and is said where it is started.
const ELSEWHERE: [(&str, &str); 6] = [
    ("accel", "it is said where the machine is started: `kiln run RECIPE --accel tcg`"),
    ("gdb", "it is said where the machine is started: `kiln run RECIPE --gdb`, or `--gdb=PORT`"),
    ("keep", "it is said where the machine is started: `kiln run RECIPE --keep DIR`"),
    ("share", "it is said where the machine is started: `kiln run RECIPE --share NAME=DIR`"),
    ("ssh-key", "it is said where the machine is started: `kiln run RECIPE --ssh-key FILE`"),
    ("extra-args", "write `qemu-args = [...]`"),
];

/// Reads one `machine` block; every mistake goes to `scope.report`.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Machine> {
    let mut reader = Reader::new(node, &scope.report);
    reader.elsewhere(&ELSEWHERE);
    let name = reader.name();
    let arch = architecture::read(&mut reader);
    let (kernel, image) = parts(&mut reader, scope, &arch);
    let own_name = |part: &str| format!("{}.{part}", name.as_ref().map_or("", |name| &name.value));
    let qemu = qemu(&mut reader, scope, &own_name("qemu"));
    let boot = scope.package_set(&mut reader, Wanted { field: "boot", own_name: &own_name("boot"), arch: arch.value });
    let nodes = memory::nodes(&mut reader, scope);
    let memory = total_memory(&mut reader, &nodes);
    let cxl = reader.block("cxl").map(|block| cxl::check(block, scope));
    let cpus = reader.integer("cpus", CPUS).map(|cpus| cpus.map(|cpus| cpus as u32));
    let machine = Machine {
        cpus: cpus.unwrap_or(Spanned::new(DEFAULT_CPUS, node.head())),
        memory,
        max_memory: reader.optional::<ByteSize>("max-memory").map(|size| size.map(|size| size.0)),
        memory_slots: slots::count(&mut reader),
        nvdimms: slots::nvdimms(&mut reader, &nodes),
        cpu: cpu_model(&mut reader),
        chipset: chipset(&mut reader, &arch),
        firmware: firmware::kind(&mut reader),
        boot,
        uefi: firmware::built(&mut reader, scope),
        append: append(&mut reader),
        arguments: reader.list::<String>("qemu-args"),
        distances: memory::distances(&mut reader, &nodes),
        attributes: attribute::attributes(&mut reader, &nodes, cxl.as_ref()),
        nodes,
        cxl,
        disks: device::disks(&mut reader),
        user_network: reader.or("user-network", true),
        forwards: device::forwards(&mut reader),
        attachments: device::attachments(&mut reader, scope),
        bounce: reader.or("bounce", false),
        rng: reader.or("rng", true),
        span: node.head(),
        name: String::new(),
        kernel: String::new(),
        image: String::new(),
        qemu: MachineQemu::Packages(empty_set(node)),
    };
    reader.finish();
    partitioned(scope, &machine, image.as_ref().and_then(|name| scope.images.get(&name.value)));
    Some(Machine { name: name?.value, kernel: kernel?.value, image: image?.value, qemu: qemu?, ..machine })
}

/// `qemu = NAME`: a `qemu` block or a package set; or packages themselves.
fn qemu(reader: &mut Reader<'_>, scope: &Scope, own_name: &str) -> Option<MachineQemu> {
    let Some(said) = reader.node().children.iter().find(|child| child.keyword.value == "qemu") else {
        reader.missing("qemu", "the packages that QEMU comes from, or a `qemu` block");
        return None;
    };
    let name =
        said.value.as_ref().and_then(|value| if let Value::Name(name) = &value.value { Some(name) } else { None });
    match name.filter(|name| scope.declared.get("qemu").is_some_and(|known| known.contains_key(*name))) {
        Some(name) => {
            reader.optional::<Value>("qemu")?;
            scope.uses("qemu", name);
            scope.qemus.get(name).cloned().map(MachineQemu::Built)
        }
        None => {
            let wanted = Wanted { field: "qemu", own_name, arch: Arch::BUILD };
            scope.package_set(reader, wanted).map(MachineQemu::Packages)
        }
    }
}

/// Stands in until it is known whether the recipe gave a set; never part of a result.
fn empty_set(node: &EvaluatedNode) -> crate::recipe::packages::PackageSet {
    crate::recipe::packages::PackageSet {
        name: String::new(),
        architecture: Arch::BUILD,
        archives: Vec::new(),
        requests: Vec::new(),
        local: Vec::new(),
        base: crate::recipe::packages::Base::None,
        recommends: false,
        exclude: Vec::new(),
        span: node.head(),
    }
}

/// `memory = 4GiB`, else what the nodes add up to.
fn total_memory(reader: &mut Reader<'_>, nodes: &[super::memory::Node]) -> Spanned<u64> {
    if let Some(memory) = reader.optional::<ByteSize>("memory") {
        return memory.map(|size| size.0);
    }
    let given =
        nodes.iter().filter_map(|node| node.memory.as_ref()).fold(0u64, |sum, m| sum.saturating_add(m.value.size));
    Spanned::new(if given == 0 { DEFAULT_MEMORY } else { given }, reader.node().head())
}

/// `cpu = "max,-hypervisor"`: a model and flags.
fn cpu_model(reader: &mut Reader<'_>) -> Spanned<String> {
    let Some(cpu) = reader.optional::<String>("cpu") else {
        return Spanned::new("max".to_owned(), reader.node().head());
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "+-_.=".contains(c);
    // A model that began with a dash would look like an option of QEMU.
    let begins = |c: char| c.is_ascii_alphanumeric();
    let mut parts = cpu.value.split(',');
    let good = parts
        .next()
        .is_some_and(|model| model.starts_with(begins) && model.chars().all(|c| legal(c) && !"+=".contains(c)))
        && parts.all(|flag| flag.len() > 1 && flag.chars().all(legal));
    if !good {
        let mistake = Diagnostic::new(cpu.span, format!("`{}` is not a CPU model with flags", cpu.value));
        reader.error(
            mistake.label("cannot be read").hint("write `\"max\"`, `\"max,-hypervisor\"` or `\"EPYC,+x2apic\"`"),
        );
    }
    cpu
}

/// The kernel and the image that a machine names, both of its architecture.
fn parts(
    reader: &mut Reader<'_>,
    scope: &Scope,
    arch: &Spanned<Arch>,
) -> (Option<Spanned<String>>, Option<Spanned<String>>) {
    let kernel = scope.reference(reader, "kernel", "kernel");
    if let Some((name, found)) = kernel.as_ref().and_then(|name| Some((name, scope.kernels.get(&name.value)?))) {
        architecture::agree(scope, arch, ("kernel", name), &found.architecture);
    }
    let image = scope.reference(reader, "image", "image");
    if let Some((name, found)) = image.as_ref().and_then(|name| Some((name, scope.images.get(&name.value)?))) {
        architecture::agree(scope, arch, ("image", name), &found.architecture);
        bootable(scope, name, found);
    }
    (kernel, image)
}

/// Reports an image that is no disk.
fn bootable(scope: &Scope, name: &Spanned<String>, image: &Image) {
    if image.disk().is_none() {
        let message = format!("image `{}` is a tar archive, and a machine needs a disk", name.value);
        let mistake = Diagnostic::new(name.span, message).label("not a disk");
        let mistake = mistake.related(image.spans.format.unwrap_or(image.span), "delivered as an archive");
        let hint = format!(
            "let the machine use an image without `format = tar`: `image NAME extends {}` can be the archive",
            name.value
        );
        scope.report.push(mistake.hint(hint));
    }
}

/// Reports partitions of an image on a disk that has no partition table.
fn partitioned(scope: &Scope, machine: &Machine, image: Option<&Image>) {
    let first = image.and_then(|image| image.disk()?.partitions.first());
    let Some(first) = first.filter(|_| machine.firmware.value == Firmware::Direct) else { return };
    let mistake = Diagnostic::new(first.span, "only a disk that firmware boots has a partition table");
    let mistake = mistake.label("cannot be a partition");
    let mistake = mistake.related(machine.span, "QEMU loads the kernel of this machine, whose disk is one file system");
    scope.report.push(
        mistake.hint("write `firmware = uefi` or `firmware = seabios` in the machine, or leave the partition out"),
    );
}

/// `type = q35`; unless said, the usual one of the architecture.
fn chipset(reader: &mut Reader<'_>, arch: &Spanned<Arch>) -> Spanned<Chipset> {
    let usual = Chipset::usual(arch.value);
    let word = reader.word("type", &Chipset::ALL.map(Chipset::name));
    let Some(word) = word else { return Spanned::new(usual, arch.span) };
    let found = Chipset::ALL.into_iter().find(|chipset| chipset.name() == word.value).unwrap_or(usual);
    if found.arch() != arch.value {
        let message = format!("`{}` is a machine of {}, and this one is {}", found.name(), found.arch(), arch.value);
        let mistake = Diagnostic::new(word.span, message).label(format!("of {}", found.arch()));
        let mistake = mistake.related(arch.span, format!("{} here", arch.value));
        let (other, usual) = (found.arch(), usual.name());
        reader.error(mistake.hint(format!("write `architecture = {other}`, or `type = {usual}`")));
    }
    Spanned::new(found, word.span)
}

/// `append = ["memhp_default_state=offline"]`: words for the kernel's command line.
fn append(reader: &mut Reader<'_>) -> Vec<Spanned<String>> {
    let words = reader.list::<String>("append");
    for word in &words {
        let printable = word.value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if word.value.trim().is_empty() || !printable {
            let mistake = Diagnostic::new(word.span, "a word of the kernel's command line must be printable ASCII");
            reader.error(mistake.label("empty, or has a character that the kernel would not see as written"));
        }
    }
    let length: usize = words.iter().map(|word| word.value.len() + 1).sum();
    if let Some(last) = words.last().filter(|_| length > APPEND_LIMIT) {
        let message = format!("the kernel's command line would be too long: {length} bytes are added");
        reader.error(Diagnostic::new(last.span, message).label(format!("at most {APPEND_LIMIT} bytes together")));
    }
    words
}
