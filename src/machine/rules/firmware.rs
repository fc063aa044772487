//! Rules about machines that firmware boots from their own disk.

use super::Context;
use crate::base::Diagnostic;
use crate::plan::boot;
use crate::recipe::machine::{Chipset, Firmware, Machine};

/// Firmware without what it needs, or what it needs without firmware.
pub(super) fn packages(context: &Context) -> Vec<Diagnostic> {
    let (firmware, set) = (&context.machine.firmware, &context.machine.boot);
    let needed = context.machine.boot_packages();
    let asked = |name: &&&str| set.iter().flat_map(|set| &set.requests).any(|request| request.name == **name);
    let names = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let missing: Vec<&str> = needed.iter().filter(|name| !asked(name)).copied().collect();
    match set {
        Some(set) if needed.is_empty() => {
            let mistake = Diagnostic::new(set.span, "`boot` has no effect on this machine");
            let mistake = mistake.label("not used");
            vec![
                mistake
                    .hint("remove `boot`, or write `firmware = uefi` or `firmware = seabios` to boot through firmware"),
            ]
        }
        _ if missing.is_empty() => Vec::new(),
        _ => {
            let message = format!("this firmware needs {} in `boot`", names(&missing));
            let mistake = Diagnostic::new(firmware.span, message).label("needs them");
            let mistake = match set {
                Some(set) => mistake.related(set.span, "what there is"),
                None => mistake,
            };
            vec![mistake.hint(format!("write `boot = [{}]`", names(&needed)))]
        }
    }
}

/// Firmware of builds on a machine that does not start it.
pub(super) fn built(context: &Context) -> Vec<Diagnostic> {
    let Machine { uefi: Some(built), firmware, .. } = context.machine else { return Vec::new() };
    if firmware.value == Firmware::Uefi {
        return Vec::new();
    }
    let mistake = Diagnostic::new(built.span, "`uefi` has no effect on this machine").label("not used");
    let mistake = mistake.related(firmware.span, "does not start it");
    vec![mistake.hint("remove this block, or write `firmware = uefi` in the machine")]
}

/// Firmware on a chipset that it cannot run on, or that kiln does not know how to give it.
pub(super) fn chipset(context: &Context) -> Vec<Diagnostic> {
    let (firmware, chipset) = (&context.machine.firmware, &context.machine.chipset);
    let directly = match context.machine.boot {
        Some(_) => "remove `firmware` and `boot`: QEMU then loads the kernel",
        None => "remove `firmware`: QEMU then loads the kernel",
    };
    let (message, hint) = match (chipset.value, firmware.value) {
        (_, Firmware::Direct) | (Chipset::Q35, _) | (Chipset::I440fx, Firmware::Seabios) => return Vec::new(),
        (Chipset::I440fx, Firmware::Uefi) => {
            ("UEFI needs the chipset q35", "write `type = q35`, or `firmware = seabios`")
        }
        (Chipset::Virt, Firmware::Seabios) => ("SeaBIOS is a BIOS of PCs, and there is none on `virt`", directly),
        (Chipset::Virt, Firmware::Uefi) => ("kiln has no UEFI for `virt` yet", directly),
    };
    let mistake = Diagnostic::new(firmware.span, message).label("asked for here");
    vec![mistake.related(chipset.span, "the machine type").hint(hint)]
}

/// Words that GRUB would hand to the kernel in another spelling.
pub(super) fn words(context: &Context) -> Vec<Diagnostic> {
    if context.machine.firmware.value != Firmware::Seabios {
        return Vec::new();
    }
    let words = context.machine.append.iter().filter(|word| boot::is_lost_by_grub(&word.value));
    let mistake = |span| {
        let mistake = Diagnostic::new(span, "GRUB cannot pass this parameter to the kernel unchanged");
        let mistake = mistake.label("contains a single quote, a backslash, or a single double quote");
        mistake.hint("write the parameter without it, or write `firmware = uefi`")
    };
    words.map(|word| mistake(word.span)).collect()
}
