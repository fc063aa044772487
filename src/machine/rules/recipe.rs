//! Rules about a machine with its kernel, and about several machines with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{check, repeated, spare};
use crate::base::Diagnostic;
use crate::machine::argv::kernel_line;
use crate::machine::capability::KernelFacts;
use crate::machine::finding::Findings;
use crate::machine::network::networks;
use crate::plan::kernel::needs::{self, MachineNeed};
use crate::recipe::Recipe;
use crate::recipe::image::Image;
use crate::recipe::kernel::{Kernel, Origin};
use crate::recipe::machine::{Firmware, Machine};

/// All mistakes and doubts about every machine of a recipe that need no lock.
pub fn check_all(recipe: &Recipe) -> Findings {
    let mut findings = Findings::default();
    for machine in recipe.machines.values() {
        findings.extend(check(machine));
        let kernel = recipe.kernels.get(&machine.kernel).map(KernelFacts::of).unwrap_or_default();
        findings.errors.extend(invalidation(machine, &kernel));
        findings.errors.extend(no_modules(recipe, machine));
    }
    findings.warnings.extend(recipe.kernels.values().filter_map(|kernel| unknown(recipe, kernel)));
    findings.warnings.extend(recipe.kernels.values().flat_map(|kernel| without(recipe, kernel)));
    findings.errors.extend(check_among(&recipe.machines));
    findings.errors.extend(recipe.images_alone().filter_map(no_kernel));
    findings
}

/// Mistakes that show only where machines are seen together.
pub fn check_among(machines: &Machines) -> Vec<Diagnostic> {
    let rules = [addresses, kernel_lines, host_ports, serials];
    rules.into_iter().flat_map(|rule| rule(machines)).collect()
}

/// An image whose modules the kernel cannot load.
fn no_modules(recipe: &Recipe, machine: &Machine) -> Option<Diagnostic> {
    let (kernel, image) = (recipe.kernels.get(&machine.kernel)?, recipe.images.get(&machine.image)?);
    let first = image.modules.first().filter(|_| !kernel.has_initrd())?;
    let (problem, hint) = match kernel.origin {
        Origin::Built(_) => ("has no `modules`", "write `modules = output \"modules.tar\" from BUILD` in the kernel"),
        _ => ("is compiled without modules", "write `modules = true` in the kernel"),
    };
    let message = format!("kernel `{}` {problem}, and cannot load those of the image", kernel.name);
    let mistake = Diagnostic::new(first.span, message).label("a module").related(machine.span, "the machine");
    Some(mistake.related(kernel.span, "the kernel").hint(hint))
}

/// A kernel out of a build without its configuration: nothing tells whether its machines can boot it.
fn unknown(recipe: &Recipe, kernel: &Kernel) -> Option<Diagnostic> {
    let Origin::Built(built) = &kernel.origin else { return None };
    let machine = recipe.machines.values().find(|machine| machine.kernel == kernel.name)?;
    if built.config.is_some() {
        return None;
    }
    let message =
        format!("kernel `{}` has no `config`: kiln cannot know whether its machines can boot it", kernel.name);
    let doubt = Diagnostic::new(built.image.span, message).label("comes without its configuration");
    let doubt = doubt.related(machine.span, "a machine that boots it");
    Some(doubt.hint(format!(
        "let the build leave the kernel's `.config` too, and write `config = output \"config\" from {}`",
        built.image.value.build
    )))
}

/// An image that is delivered by itself has no kernel for which modules could be.
fn no_kernel(image: &Image) -> Option<Diagnostic> {
    let first = image.modules.first()?;
    let message = format!("no machine boots image `{}`, so its modules are for no kernel", image.name);
    Some(Diagnostic::new(first.span, message).label("a module").hint("use the image in a machine"))
}

/// What the machines of a kernel out of a build need, and the recipe says that the kernel is without. Of a compiled kernel the same
/// words are a choice of whoever configures it.
fn without(recipe: &Recipe, kernel: &Kernel) -> Vec<Diagnostic> {
    let Origin::Built(built) = &kernel.origin else { return Vec::new() };
    let machines = recipe.machines.values().filter(|machine| machine.kernel == kernel.name);
    let needs = needs::all_of_ready(machines, built).into_iter();
    let doubt = |need: MachineNeed| {
        let MachineNeed { machine, option, purpose } = need;
        let span = built.without(&option)?;
        let message =
            format!("kernel `{}` is without {option}, which machine `{machine}` needs {purpose}", kernel.name);
        let doubt = Diagnostic::new(span, message).label("stated here, so the need is not checked");
        let doubt = doubt.related(recipe.machines.get(&machine)?.span, "the machine");
        Some(doubt.hint("remove this line if the kernel has to have it"))
    };
    needs.filter_map(doubt).collect()
}

type Machines = BTreeMap<String, Machine>;

/// Linux flushes caches before it commits a region and refuses to when it sees a hypervisor, unless it was built for
/// tests or the hypervisor hides (drivers/cxl/core/region.c; measured both ways on 6.12).
fn invalidation(machine: &Machine, kernel: &KernelFacts) -> Option<Diagnostic> {
    let expander = machine.cxl.as_ref()?.expanders().next()?.1;
    if machine.hides_hypervisor() || kernel.commits_in_guests != Some(false) {
        return None;
    }
    let message = "this kernel does not enable CXL memory in a guest: `Failed to synchronize CPU cache state`";
    let mistake = Diagnostic::new(machine.cpu.span, message).label("shows the guest that there is a hypervisor");
    let mistake = mistake.related(expander.span, "the memory");
    let hint = format!(
        "write `cpu = \"{},-hypervisor\"`, or compile a kernel with `option CXL_REGION_INVALIDATION_TEST = y`",
        machine.cpu.value
    );
    Some(mistake.note("Linux drivers/cxl/core/region.c; measured on 6.12").hint(hint))
}

/// Two machines with one address, or one card address, on one network.
fn addresses(machines: &Machines) -> Vec<Diagnostic> {
    let networks = networks(machines);
    let mut found = Vec::new();
    for (name, members) in networks.iter() {
        let addresses = members.iter().map(|member| (member.address, member.span));
        let mut taken: BTreeSet<Ipv4Addr> = members.iter().map(|member| member.address).collect();
        found.extend(repeated(addresses, |address| {
            let prefix = members.first().map_or(32, |member| member.prefix);
            let hint = match free_address(*address, prefix, &taken) {
                Some(free) => {
                    taken.insert(free);
                    format!("write `join {name} {{ address = \"{free}\" }}`")
                }
                None => format!("let fewer machines join `{name}`, or give it a shorter prefix"),
            };
            (format!("address {address} is used by more than one machine on `{name}`"), hint)
        }));
        let cards = members.iter().map(|member| (member.mac.clone(), member.span));
        found.extend(repeated(cards, |mac| {
            let message = format!("MAC address {mac} is used by more than one machine on `{name}`");
            (message, "rename one of the machines".to_owned())
        }));
    }
    found
}

/// The lowest address of the network with this address that no machine has.
fn free_address(address: Ipv4Addr, prefix: u8, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(prefix.into())?;
    let base = u32::from(address) & !hosts;
    // Of a large network, as many addresses as are taken are enough to find one that is not.
    let tried = (1..hosts).take(taken.len() + 1).map(|host| Ipv4Addr::from(base | host));
    tried.into_iter().find(|address| !taken.contains(address))
}

/// How long the kernel's command line may be: what Linux has room for, less the final zero.
pub fn longest_kernel_line(machine: &Machine) -> usize {
    machine.arch().facts().kernel.command_line - 1
}

/// What tests add at most. A launch of a disk that boots by itself does not see what the disk says, so room is kept.
pub const TEST_WORDS: usize = 640;

/// Neighbours are made known on the kernel's command line, so there is room for so many.
fn kernel_lines(machines: &Machines) -> Vec<Diagnostic> {
    let networks = networks(machines);
    let report = |machine: &Machine| {
        let attached = machine.attachments.first().map(|first| first.span);
        let first = attached.or_else(|| Some(machine.append.first()?.span))?;
        let longest = longest_kernel_line(machine);
        let room = match machine.firmware.value {
            Firmware::Direct => longest,
            Firmware::Seabios | Firmware::Uefi => longest - TEST_WORDS,
        };
        let length = kernel_line(machine, &networks).len();
        let message = format!("the kernel command line of `{}` would have {length} bytes", machine.name);
        let mistake = Diagnostic::new(first, message);
        let mistake = mistake.label(match attached {
            Some(_) => "it lists the other machines of the network",
            None => "these words are on it",
        });
        let kept = if room < longest { format!(", of which tests take {TEST_WORDS}") } else { String::new() };
        let mistake = mistake
            .hint(format!("Linux keeps {longest}{kept}: shorten `append`, or let fewer machines join the network"));
        (length > room).then_some(mistake)
    };
    machines.values().filter_map(report).collect()
}

/// Machines of a recipe run at the same time, so they cannot listen on one port.
fn host_ports(machines: &Machines) -> Vec<Diagnostic> {
    let ports =
        machines.values().flat_map(|machine| machine.forwards.iter().map(move |forward| (forward, &machine.name)));
    let mut taken: BTreeSet<u32> = ports.clone().map(|(forward, _)| forward.host.value.into()).collect();
    let mut seen: BTreeMap<u16, _> = BTreeMap::new();
    let mut found = Vec::new();
    for (forward, machine) in ports {
        match seen.get(&forward.host.value) {
            Some((span, other)) if *other != machine => {
                let message = format!("machines `{other}` and `{machine}` forward the same port of the host");
                let mistake = Diagnostic::new(forward.host.span, message).label("again here");
                let free = spare::number(forward.host.value.into(), 65535, &taken).unwrap_or_default();
                taken.insert(free);
                let hint = format!("write another port, such as `{free}`");
                found.push(mistake.related(*span, "first here").hint(hint));
            }
            // Twice in one machine is that machine's own mistake.
            Some(_) => {}
            None => drop(seen.insert(forward.host.value, (forward.host.span, machine))),
        }
    }
    found
}

/// One shared memory must be one device to everybody: the same serial number.
fn serials(machines: &Machines) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<String, (u64, crate::base::Span)> = BTreeMap::new();
    let mut found = Vec::new();
    for cxl in machines.values().filter_map(|machine| machine.cxl.as_ref()) {
        for at in crate::machine::Topology::of(cxl).expanders() {
            let Some(shared) = at.expander.shared() else { continue };
            let span = at.expander.serial.as_ref().map_or(at.expander.span, |serial| serial.span);
            let (serial, first) = *seen.entry(shared.name.clone()).or_insert((at.serial, span));
            if serial != at.serial {
                let message = format!("the memory `{}` has another serial number in another machine", shared.name);
                let mistake = Diagnostic::new(span, message).label(format!("0x{:x}", at.serial));
                let mistake = mistake.related(first, format!("0x{serial:x}"));
                found
                    .push(mistake.hint("remove `serial` in both: the serial number then comes from the memory's name"));
            }
        }
    }
    found
}
