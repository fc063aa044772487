//! What to do about a QEMU that ended: a way out for the refusals whose cause is kiln's machine or its sandbox.
//!
//! Input: what QEMU said on standard error. Output: a line for the report, or none.

/// What QEMU says, and what helps. Words of QEMU 7.2 to 11; other ones only lose the advice.
const KNOWN: [(&str, &str); 4] = [
    (
        "bridges can be plugged into pxb-cxl",
        "without `bus`, QEMU takes a CXL host bridge: `-device NAME,bus=pcie.0` plugs it into the root complex",
    ),
    ("No 'usb-bus' bus found", "add a controller before it: `-device qemu-xhci,bus=pcie.0`"),
    (
        "'/dev/net/tun'",
        "QEMU reaches no network of the host; `kiln run --bridge NAME` connects its machines to a bridge",
    ),
    (
        "No such file or directory",
        "QEMU sees no files of the host: `kiln run --share NAME=DIR` shows the guest a directory, and a recipe has images and \
         disks",
    ),
];

/// The advice as a line of its own, or nothing.
pub(super) fn help(said: &str) -> String {
    let known = KNOWN.iter().find(|(words, _)| said.contains(words));
    known.map(|(_, advice)| format!("\n  help: {advice}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::guest::GuestError;

    #[test]
    fn refusals_that_come_from_the_machine_or_the_sandbox_have_a_way_out() {
        let told = |said: &str| {
            let (machine, what) = ("m".to_owned(), "ended (exit status: 1)".to_owned());
            GuestError::Qemu { machine, what, said: said.to_owned() }.to_string()
        };
        let bus = told("qemu: -device e1000: PCI: Only PCI/PCIe bridges can be plugged into pxb-cxl");
        assert!(bus.contains("pxb-cxl\n  help: without `bus`") && bus.contains("bus=pcie.0"), "{bus}");
        let tap = told("-netdev tap,id=n: Could not open '/dev/net/tun': No such file or directory");
        assert!(tap.contains("--bridge") && !tap.contains("--share"), "{tap}");
        let file = told("could not open kernel file '/boot/vmlinuz': No such file or directory");
        assert!(file.contains("--share"), "{file}");
        assert!(!told("-device foo: 'foo' is not a valid device model name").contains("help:"));
    }
}
