//! Holds a machine against the tables.

use super::Findings;
use super::kernel::KernelFacts;
use super::table::{CAPABILITIES, Capability, KERNELS, KnownProblem, MachineKind, MemoryKind, PROBLEMS};
use crate::base::{Diagnostic, Span};
use crate::machine::version::{Emulator, Version};
use crate::recipe::machine::cxl::{Cxl, PortTarget};
use crate::recipe::machine::{Chipset, Machine};

/// The first Linux that gives up a CXL device without event logs.
const EVENT_LOGS: Version = Version::new(6, 3);

/// What the locked QEMU lacks, and what is known to go wrong with it.
pub fn check(machine: &Machine, emulator: &Emulator, kernel: &KernelFacts) -> Findings {
    let mut findings = Findings::default();
    for (capability, span) in needs(machine) {
        for row in CAPABILITIES.iter().filter(|row| row.capability == capability && row.since > emulator.version) {
            let message = format!("QEMU {} has no {}", emulator.version, row.what);
            let mistake = Diagnostic::new(span, message).label(format!("needs QEMU {} or newer", row.since));
            let mistake =
                mistake.related(machine.qemu.span(), "the QEMU of this machine").note(format!("QEMU {}", row.source));
            findings.error(mistake.hint(format!("take QEMU {} or newer from another archive", row.since)));
        }
    }
    findings.errors.extend(check_kernel(machine, kernel));
    for problem in PROBLEMS {
        let (first, fixed) = problem.versions;
        if !(first..fixed).contains(&emulator.version) {
            continue;
        }
        for span in struck(problem.kind, machine, kernel) {
            let report = describe(problem, emulator, span).related(machine.qemu.span(), "the QEMU of this machine");
            if problem.fatal { findings.error(report) } else { findings.warning(report) }
        }
    }
    findings
}

/// Memory that the kernel can make no region of: the guest would show the device, and nothing could use it.
pub fn check_kernel(machine: &Machine, kernel: &KernelFacts) -> Vec<Diagnostic> {
    let (Some(cxl), Some(version)) = (&machine.cxl, kernel.version) else { return Vec::new() };
    let expanders = cxl.expanders();
    let memories = expanders.flat_map(|(_, expander)| {
        let volatile = expander.volatile.as_ref().map(|memory| (MemoryKind::Volatile, memory.span));
        volatile.into_iter().chain(expander.persistent.as_ref().map(|memory| (MemoryKind::Persistent, memory.span)))
    });
    let lacking = memories.filter_map(|(memory, span)| {
        let row = KERNELS.iter().find(|row| row.memory == memory && row.since > version)?;
        let mistake = Diagnostic::new(
            span,
            format!("kernel `{}` (Linux {version}) does not support {}", machine.kernel, row.what),
        );
        let mistake = mistake.label(format!("needs Linux {} or newer", row.since)).note(row.source);
        Some(mistake.hint(format!("boot the machine with Linux {} or newer", row.since)))
    });
    lacking.collect()
}

fn describe(problem: &KnownProblem, emulator: &Emulator, span: Span) -> Diagnostic {
    let message = format!("QEMU {} {}", emulator.version, problem.what);
    Diagnostic::new(span, message).label("would be hit").note(problem.source).hint(problem.hint)
}

/// What the machine needs, each with the words that ask for it.
fn needs(machine: &Machine) -> Vec<(Capability, Span)> {
    let mut needs: Vec<(Capability, Span)> = Vec::new();
    needs.extend(machine.attachments.iter().map(|attachment| (Capability::Datagrams, attachment.span)));
    needs.extend((machine.chipset.value == Chipset::Virt).then_some((Capability::SecondPort, machine.chipset.span)));
    let Some(cxl) = &machine.cxl else { return needs };
    needs.push((Capability::Cxl, cxl.span));
    needs.extend(cxl.bridges.iter().filter(|bridge| bridge.decoders).map(|bridge| (Capability::Decoders, bridge.span)));
    let ports = machine.generic_ports().map(|bridge| &bridge.name.value);
    let ports = ports.filter_map(|name| machine.attributes.iter().find(|one| one.to.value == *name));
    needs.extend(ports.map(|attribute| (Capability::GenericPort, attribute.to.span)));
    needs.extend(mailboxes(cxl).map(|span| (Capability::Mailbox, span)));
    for (_, expander) in cxl.expanders() {
        let speed = expander.speed.as_ref().map(|speed| speed.span);
        let wanted = [
            (Capability::Volatile, expander.volatile.as_ref().map(|memory| memory.span)),
            (Capability::Dynamic, expander.dynamic.as_ref().map(|dynamic| dynamic.memory.span)),
            (Capability::Link, speed.or(expander.width.as_ref().map(|width| width.span))),
            (Capability::BackInvalidate, expander.back_invalidate),
            (Capability::Flit256, expander.flit256),
        ];
        needs.extend(wanted.into_iter().filter_map(|(capability, span)| Some((capability, span?))));
    }
    needs
}

fn mailboxes(cxl: &Cxl) -> impl Iterator<Item = Span> {
    let below = cxl.bridges.iter().flat_map(|bridge| &bridge.ports).flat_map(|port| &port.below);
    below.filter_map(|below| if let PortTarget::Switch(switch) = below { switch.mailbox } else { None })
}

/// Where a problem strikes.
fn struck(kind: MachineKind, machine: &Machine, kernel: &KernelFacts) -> Vec<Span> {
    let Some(cxl) = &machine.cxl else { return Vec::new() };
    let first = cxl.expanders().next().map(|(_, expander)| expander.span);
    let strikes = match kind {
        MachineKind::LonelyPort => {
            let lonely = cxl.bridges.iter().filter(|bridge| bridge.ports.len() == 1);
            return lonely.map(|bridge| bridge.span).collect();
        }
        MachineKind::NoMailboxInterrupt => kernel.version.is_none_or(|version| version >= EVENT_LOGS),
        MachineKind::AnyExpander => true,
        MachineKind::Unbounced => !machine.bounce,
    };
    first.filter(|_| strikes).into_iter().collect()
}
