//! Rules about what one architecture has and another has not.

use super::Context;
use crate::base::{Arch, Diagnostic};

/// Flags such as `-hypervisor` and `+x2apic`, which QEMU knows for x86 CPUs only; all others take `name=value`.
pub(super) fn cpu_flags(context: &Context) -> Vec<Diagnostic> {
    let cpu = &context.machine.cpu;
    if context.machine.arch() == Arch::Amd64 {
        return Vec::new();
    }
    let Some(flag) = cpu.value.split(',').skip(1).find(|flag| flag.starts_with(['+', '-']) || !flag.contains('='))
    else {
        return Vec::new();
    };
    let message =
        format!("the flag `{flag}` is spelled as for x86 CPUs, and this machine is {}", context.machine.arch());
    let mistake = Diagnostic::new(cpu.span, message).label("QEMU would not take it");
    let mut words = cpu.value.split(',');
    let model = words.next().unwrap_or_default().to_owned();
    let words: Vec<String> = std::iter::once(model).chain(words.map(spelled)).collect();
    let hint = format!("write `cpu = \"{}\"`", words.join(","));
    vec![mistake.related(context.machine.chipset.span, "the machine type").hint(hint)]
}

/// A flag as CPUs of every architecture take it.
fn spelled(flag: &str) -> String {
    match (flag.strip_prefix('-'), flag.strip_prefix('+')) {
        (Some(name), _) => format!("{name}=off"),
        (_, Some(name)) => format!("{name}=on"),
        _ if flag.contains('=') => flag.to_owned(),
        _ => format!("{flag}=on"),
    }
}
