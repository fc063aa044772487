//! The rule about `qemu-args`: options that name nothing of the host.
//!
//! A recipe and a result directory may come from anybody, and `launch.sh` starts QEMU without kiln's confinement. So
//! only listed options, devices and objects are taken, none of their properties may name a file, a descriptor, a socket
//! or a device of the host, and no value may have a slash in it. For everything else there is `kiln run RECIPE -- WORDS`,
//! which only the user who starts the machine can write.

use super::Context;
use crate::base::{Diagnostic, Spanned};

/// What an option's value must look like.
#[derive(Clone, Copy)]
enum ValueForm {
    /// There is none.
    None,
    /// Names of things to log.
    Words,
    /// Properties without a kind of their own.
    Plain,
    /// `KEY=VALUE,...` with these keys only.
    Keys(&'static [&'static str]),
    /// One of these kinds, then properties.
    Kind(&'static [&'static str]),
    /// `DRIVER.PROPERTY=VALUE`
    Global,
}

const OPTIONS: [(&str, ValueForm); 11] = [
    ("-action", ValueForm::Keys(&["panic", "reboot", "shutdown", "watchdog"])),
    ("-boot", ValueForm::Keys(&["menu", "once", "order", "reboot-timeout", "strict"])),
    ("-d", ValueForm::Words),
    ("-device", ValueForm::Kind(&DEVICES)),
    ("-global", ValueForm::Global),
    ("-icount", ValueForm::Keys(&["align", "shift", "sleep"])),
    ("-machine", ValueForm::Keys(&BOARD)),
    ("-no-reboot", ValueForm::None),
    ("-numa", ValueForm::Plain),
    ("-object", ValueForm::Kind(&OBJECTS)),
    ("-rtc", ValueForm::Keys(&["base", "clock", "driftfix"])),
];

/// Devices that live in the guest alone.
const DEVICES: [&str; 50] = [
    "ahci",
    "bochs-display",
    "cxl-downstream",
    "cxl-rp",
    "cxl-switch-mailbox-cci",
    "cxl-type3",
    "cxl-upstream",
    "e1000",
    "e1000e",
    "edu",
    "i6300esb",
    "ich9-ahci",
    "ich9-usb-ehci1",
    "igb",
    "intel-iommu",
    "ioh3420",
    "isa-debug-exit",
    "lsi53c895a",
    "megasas",
    "mptsas1068",
    "nec-usb-xhci",
    "nvdimm",
    "nvme",
    "nvme-subsys",
    "pc-dimm",
    "pci-bridge",
    "pci-testdev",
    "pcie-pci-bridge",
    "pcie-root-port",
    "pvpanic",
    "pvpanic-pci",
    "pvscsi",
    "pxb-pcie",
    "qemu-xhci",
    "rtl8139",
    "sdhci-pci",
    "usb-ehci",
    "usb-hub",
    "usb-kbd",
    "usb-mouse",
    "usb-tablet",
    "virtio-balloon-pci",
    "virtio-iommu-pci",
    "virtio-keyboard-pci",
    "virtio-mem-pci",
    "virtio-mouse-pci",
    "virtio-net-pci",
    "virtio-scsi-pci",
    "virtio-serial-pci",
    "vmxnet3",
];

const OBJECTS: [&str; 6] =
    ["acpi-generic-initiator", "acpi-generic-port", "iothread", "memory-backend-ram", "rng-builtin", "throttle-group"];

/// Properties of machine types that take switches and numbers.
const BOARD: [&str; 13] = [
    "acpi",
    "default-bus-bypass-iommu",
    "dump-guest-core",
    "hmat",
    "hpet",
    "i8042",
    "max-ram-below-4g",
    "mem-merge",
    "nvdimm",
    "nvdimm-persistence",
    "pit",
    "smm",
    "vmport",
];

/// Parts of the names of properties that lead to the host (`romfile`, `mem-path`, `vhostfd`, `cdat`, `host-nodes`), or that
/// replace the kind that stands first.
const FORBIDDEN: [&str; 14] = [
    "cdat", "chardev", "dir", "driver", "drive", "exec", "fd", "file", "fsdev", "helper", "host", "path", "qom-type",
    "script",
];

/// `qemu-args` with words that are not allowed.
pub(super) fn options(context: &Context) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut words = context.machine.arguments.iter();
    while let Some(option) = words.next() {
        let Some((name, form)) = OPTIONS.iter().find(|(name, _)| *name == option.value) else {
            found.push(unknown(option));
            // What follows it is its value as likely as not.
            while words.as_slice().first().is_some_and(|word| !word.value.starts_with('-')) {
                words.next();
            }
            continue;
        };
        if matches!(form, ValueForm::None) {
            continue;
        }
        let Some(value) = words.next() else {
            let mistake = Diagnostic::new(option.span, format!("`{name}` needs a value")).label("the list ends here");
            found.push(mistake.hint("write the value as the next string of the list, or remove the option"));
            break;
        };
        found.extend(wrong(*form, &value.value).map(|why| {
            let mistake = Diagnostic::new(value.span, format!("`{name}` of a recipe cannot be given this value"));
            mistake.label(why).related(option.span, "the option").hint(way_out(&option.value, Some(&value.value)))
        }));
    }
    found
}

/// Options for which a recipe or a command has words of its own.
const INSTEAD: [(&str, &str); 12] = [
    ("-append", "write `append = [...]` in the machine"),
    ("-cpu", "write `cpu = ...` in the machine"),
    ("-fsdev", "use `kiln run RECIPE --share NAME=DIR`"),
    ("-gdb", "use `kiln run RECIPE --gdb`"),
    ("-m", "write `memory = ...` in the machine"),
    ("-M", "write `type = ...` in the machine"),
    ("-netdev", "write `join NETWORK` or `forward` in the machine"),
    ("-nic", "write `join NETWORK` or `forward` in the machine"),
    ("-s", "use `kiln run RECIPE --gdb`"),
    ("-S", "use `kiln run RECIPE --gdb --wait`"),
    ("-smp", "write `cpus = ...` in the machine"),
    ("-virtfs", "use `kiln run RECIPE --share NAME=DIR`"),
];

/// Who starts a machine may say more than its recipe.
fn way_out(option: &str, value: Option<&str>) -> String {
    if let Some((name, value)) = option.split_once([' ', '='])
        && OPTIONS.iter().any(|(known, _)| *known == name)
    {
        return format!("write `\"{name}\", \"{}\"`: the option and its value are two strings", value.trim());
    }
    if let Some((_, instead)) = INSTEAD.iter().find(|(name, _)| *name == option) {
        return (*instead).to_owned();
    }
    let kind = value.is_some_and(|value| value.split(',').any(|word| word == "q35" || word == "pc" || word == "virt"));
    if option == "-machine" && kind {
        return "write `type = ...` in the machine".to_owned();
    }
    format!("remove it; whoever starts the machine may add options to one run: `kiln run RECIPE -- {option} ...`")
}

fn unknown(option: &Spanned<String>) -> Diagnostic {
    let names: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
    let mistake =
        Diagnostic::new(option.span, format!("`{}` is not an option that a recipe can give QEMU", option.value));
    mistake.label(format!("one of: {}", names.join(", "))).hint(way_out(&option.value, None))
}

/// Why a value is not allowed.
fn wrong(form: ValueForm, value: &str) -> Option<String> {
    if let Some(found) = value.chars().find(|c| !c.is_ascii_graphic() || "/\\{}".contains(*c)) {
        return Some(format!("contains {found:?}"));
    }
    if value.contains(",,") {
        return Some("contains an escaped comma".to_owned());
    }
    let parts = value.split(',');
    match form {
        ValueForm::None | ValueForm::Words => None,
        ValueForm::Plain => forbidden(parts),
        ValueForm::Global => {
            let (name, _) = value.split_once('=').unwrap_or((value, ""));
            match name.split_once('.') {
                Some((_, property)) => forbidden(std::iter::once(property)),
                None => Some("expected `DRIVER.PROPERTY=VALUE`".to_owned()),
            }
        }
        ValueForm::Keys(known) => {
            let mut names = parts.map(|part| part.split_once('=').map_or(part, |(name, _)| name));
            let odd = names.find(|name| !known.contains(name))?;
            Some(format!("`{odd}` is not one of: {}", known.join(", ")))
        }
        ValueForm::Kind(known) => {
            let mut parts = parts;
            let kind = parts.next().unwrap_or_default();
            if known.contains(&kind) {
                forbidden(parts)
            } else {
                Some(format!("`{kind}` is not in the list in docs/qemu.md"))
            }
        }
    }
}

/// A property that leads to the host.
fn forbidden<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = |part: &'a str| part.split_once('=').map_or(part, |(name, _)| name);
    let found = parts.find(|part| FORBIDDEN.iter().any(|word| name(part).to_ascii_lowercase().contains(word)))?;
    Some(format!("`{}` may name something of the host", name(found)))
}
