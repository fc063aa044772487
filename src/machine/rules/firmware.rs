//! Rules about machines that firmware boots from their own disk.

use super::Context;
use crate::base::Diagnostic;
use crate::recipe::machine::{Chipset, Firmware};

/// Firmware without what it needs, or what it needs without firmware.
pub(super) fn packages(context: &Context) -> Vec<Diagnostic> {
    let (firmware, set) = (&context.machine.firmware, &context.machine.boot);
    let needed = firmware.value.packages();
    let asked = |name: &&&str| set.iter().flat_map(|set| &set.requests).any(|request| request.name == **name);
    let names = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let missing: Vec<&str> = needed.iter().filter(|name| !asked(name)).copied().collect();
    match set {
        Some(set) if needed.is_empty() => {
            let mistake = Diagnostic::new(set.span, "`boot` has no effect on this machine");
            let mistake = mistake.label("not used");
            vec![mistake.hint("QEMU loads the kernel directly: write `firmware = uefi`, or remove `boot`")]
        }
        _ if missing.is_empty() => Vec::new(),
        _ => {
            let message = format!("this firmware needs {} in `boot`", names(&missing));
            let mistake = Diagnostic::new(firmware.span, message).label("needs them");
            let mistake = match set {
                Some(set) => mistake.related(set.span, "what there is"),
                None => mistake,
            };
            vec![mistake.hint(format!("write `boot = [{}]`", names(needed)))]
        }
    }
}

/// OVMF on a chipset that it cannot run on.
pub(super) fn chipset(context: &Context) -> Vec<Diagnostic> {
    let (firmware, chipset) = (&context.machine.firmware, &context.machine.chipset);
    if firmware.value != Firmware::Uefi || chipset.value == Chipset::Q35 {
        return Vec::new();
    }
    let mistake = Diagnostic::new(firmware.span, "UEFI needs the chipset q35").label("asked for here");
    let mistake = mistake.related(chipset.span, "not q35");
    vec![mistake.hint("write `type = q35`, or `firmware = seabios`")]
}

/// Words that GRUB would hand to the kernel in another spelling.
pub(super) fn words(context: &Context) -> Vec<Diagnostic> {
    if context.machine.firmware.value != Firmware::Seabios {
        return Vec::new();
    }
    let lost = |word: &str| word.contains(['\'', '\\']) || word.matches('"').count() % 2 == 1;
    let words = context.machine.append.iter().filter(|word| lost(&word.value));
    let mistake = |span| {
        let mistake = Diagnostic::new(span, "GRUB cannot pass this parameter to the kernel unchanged");
        let mistake = mistake.label("contains a single quote, a backslash, or a single double quote");
        mistake.hint("GRUB escapes them with a backslash: write the parameter differently, or use `firmware = uefi`")
    };
    words.map(|word| mistake(word.span)).collect()
}
