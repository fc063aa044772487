//! A kernel that is compiled, held against the machines that boot it, through the front door and without a compiler: a build stops
//! before the kernel is compiled, at the machine, and says of each thing that it needs how the kernel gets it.

use super::archive_support::Package;
use super::attack::ground::{Ended, run};
use super::attack::host::tool;
use super::small_kernel::Miniature;

const MAKE: &str = include_str!("../fixtures/kernel/miniature/collect");

/// What machines need, with what for, as their owner is told.
const BOOTS: [(&str, &str); 6] = [
    ("BINFMT_ELF", "to start programs"),
    ("VIRTIO_PCI", "for its disk"),
    ("VIRTIO_BLK", "for its disk"),
    ("EXT4_FS", "for the file system of its disk"),
    ("DEVTMPFS", "for the devices in /dev"),
    ("SERIAL_8250_CONSOLE", "for its console"),
];
const FIRMWARE: [(&str, &str); 2] =
    [("EFI_PARTITION", "for the partitions of its disk"), ("EFI_STUB", "to be started by UEFI")];
const DEVICES: [(&str, &str); 7] = [
    ("VIRTIO_NET", "for its network"),
    ("NUMA", "for its NUMA nodes"),
    ("BLK_DEV_NVME", "for its NVMe disks"),
    ("ACPI_HMAT", "for the latencies and bandwidths of its nodes"),
    ("ACPI_NFIT", "to find its NVDIMMs"),
    ("BLK_DEV_PMEM", "for its NVDIMMs"),
    ("ACPI_HOTPLUG_MEMORY", "for memory that is plugged into its slots"),
];
const CXL: [(&str, &str); 8] = [
    ("CXL_ACPI", "to find its CXL bridges"),
    ("CXL_PCI", "to find its CXL devices"),
    ("CXL_MEM", "for its CXL memory"),
    ("CXL_REGION", "for regions of its CXL memory"),
    ("DEV_DAX_CXL", "for the memory of its volatile regions"),
    ("DEV_DAX_KMEM", "to use its volatile CXL memory as a NUMA node"),
    ("CXL_PMEM", "for its persistent CXL memory"),
    (
        "CXL_REGION_INVALIDATION_TEST",
        "to enable CXL memory in a guest (`Failed to synchronize CPU cache state`), or `cpu = \"max,-hypervisor\"`",
    ),
];

const PROPERTIES: &[u8] =
    b"more='acpi bus_nr cdat chassis cxl-fmw hdm_for_passthrough hmat label-size lsa mem-path memdev node nvdimm \
    persistent-memdev port share size slot sn unit volatile-memdev x-speed x-width readonly unarmed'\n";

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    BOOTS.into_iter().chain(FIRMWARE).chain(DEVICES).chain(CXL)
}

const VOLATILE: &str =
    "cxl { bridge b { port p { expander e { volatile = 256MiB } } } window w { targets = [b] size = 256MiB } }";

/// Two machines that together have whatever a kernel can be needed for.
const EVERYTHING: &str = "machine big { kernel = small image = lab qemu = host-tools cpus = 2 memory = 2GiB\n\
    node near { cpus = \"0-1\" memory = 1GiB } node far { memory = 1GiB }\n\
    latency near near = 10 latency near far = 100 bandwidth near near = 10GiB bandwidth near far = 1GiB\n\
    max-memory = 8GiB memory-slots = 4 nvdimm pm { size = 256MiB }\n\
    disk log { size = 1GiB bus = nvme } forward 8080 = 80\n\
    cxl { bridge b { port p { expander e { volatile = 256MiB } } port q { expander f { persistent = 256MiB } } }\n\
    window w { targets = [b] size = 512MiB } } }\n\
    machine itself { kernel = small image = lab qemu = host-tools cpus = 1 memory = 256MiB user-network = false\n\
    firmware = uefi boot = [\"ovmf\", \"systemd-boot-efi\"] }\n";

/// A recipe with such a kernel and with machines.
struct Lab(Miniature);

impl Lab {
    /// `None`, said aloud, where nothing can be built.
    fn new(name: &str) -> Option<Lab> {
        let mut kconfig: String = all().map(|(option, _)| format!("config {option}\n\tbool \"{option}\"\n")).collect();
        // As in Linux: a region is used through device-dax, and partitions need a disk.
        kconfig = kconfig.replace("\tbool \"DEV_DAX_CXL\"\n", "\tbool \"DEV_DAX_CXL\"\n\tdepends on DEV_DAX\n");
        kconfig.push_str("config DEV_DAX\n\tbool \"dax\"\n");
        let source = [
            ("Makefile", "VERSION = 6\n"),
            ("Kconfig", kconfig.as_str()),
            ("scripts/x", ""),
            ("arch/x86/configs/x", ""),
            ("kernel/configs/x", ""),
        ];
        let ovmf = Package::new("ovmf", "2025.02").file("/usr/share/OVMF/OVMF_CODE_4M.fd", 0o644, b"code").file(
            "/usr/share/OVMF/OVMF_VARS_4M.fd",
            0o644,
            b"vars",
        );
        let stub = tool("systemd-boot-efi", "257", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "no stub\n");
        // A QEMU that knows whatever these machines ask of it.
        let more = Package::new("qemu-properties", "1").file("/usr/share/attack/properties", 0o644, PROPERTIES);
        Miniature::beside(&format!("needs-{name}"), MAKE, &source, vec![ovmf, stub, more]).map(Lab)
    }

    /// Locks and builds these machines with a kernel that has these options.
    fn build(&self, options: &str, machines: &str) -> Ended {
        self.0.options(options);
        let recipe = self.0.ground.path("lab.kiln");
        let kernel = std::fs::read_to_string(&recipe).unwrap();
        let text = format!(
            "{kernel}packages host-tools {{ include = [\"busybox-static\", \"e2fsprogs\", \"kmod\", \"libarchive13t64\", \
             \"qemu-properties\", \"qemu-system-x86\", \"userland\"] base = none }}\n\
             image lab {{ size = 64MiB tools = host-tools packages = [] base = essential serial-console = false dhcp = false }}\n\
             {machines}"
        );
        std::fs::write(&recipe, text).unwrap();
        let locked = run(self.0.ground.kiln().args(["lock", "lab.kiln"]));
        assert_eq!(locked.code, Some(0), "{}", locked.text());
        run(self.0.ground.kiln().args(["build", "--allow-leaks", "lab.kiln"]))
    }

    /// What machines lack with these options; the build ended before the kernel was compiled.
    fn lacks(&self, options: &str, machines: &str) -> Vec<String> {
        let ended = self.build(options, machines);
        let said = ended.text();
        assert!(ended.code == Some(1) && !said.contains("kernel-build small: running"), "{said}");
        assert!(said.contains("the kernel configuration does not match the recipe"), "{said}");
        said.lines().filter_map(|line| line.split("machine `").nth(1)).map(|line| format!("machine `{line}")).collect()
    }

    /// The configuration is as the machines need it: the build goes on to the kernel, which this source has no code for.
    fn is_taken(&self, options: &str, machines: &str) {
        let said = self.build(options, machines).text();
        assert!(said.contains("step kernel-build small failed"), "{options}: {said}");
    }
}

/// `option X = y` of all but these.
fn on_but(off: &[&str]) -> String {
    let on = all().map(|(option, _)| option).chain(["DEV_DAX"]).filter(|option| !off.contains(option));
    on.map(|option| format!("option {option} = y ")).collect()
}

fn volatile(machine: &str) -> String {
    format!(
        "machine m {{ kernel = small image = lab qemu = host-tools cpus = 1 memory = 256MiB {machine} {VOLATILE} }}\n"
    )
}

#[test]
fn every_need_of_every_machine_stops_a_build_before_the_kernel_is_compiled() {
    let Some(lab) = Lab::new("all") else { return };
    let said = lab.lacks("", EVERYTHING);
    let machine = |option: &str| if FIRMWARE.iter().any(|(name, _)| *name == option) { "itself" } else { "big" };
    let mut expected: Vec<String> = all()
        .map(|(option, purpose)| {
            let why = match option {
                "DEV_DAX_CXL" => {
                    "DEV_DAX_CXL needs DEV_DAX, which is not set; add `option DEV_DAX = y` and `option DEV_DAX_CXL = y`"
                        .to_owned()
                }
                _ => format!("{option} is not set, although nothing prevents it; add `option {option} = y`"),
            };
            format!("machine `{}` needs {option} {purpose}: {why}", machine(option))
        })
        .collect();
    let mut found = said;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    lab.is_taken(&on_but(&[]), EVERYTHING);
}

#[test]
fn a_build_that_stops_points_at_the_machine_and_at_the_kernel() {
    let Some(lab) = Lab::new("place") else { return };
    let said = lab.build(&on_but(&["EXT4_FS"]), &volatile("")).text();
    for words in ["kernel small {", "machine m {"] {
        let line = said.lines().find(|line| line.contains(words));
        assert!(line.is_some_and(|line| line.contains(" | ")), "{words}: {said}");
    }
}

#[test]
fn cxl_memory_needs_regions_dax_and_a_kernel_that_enables_it_in_a_guest_or_a_hidden_hypervisor() {
    let Some(lab) = Lab::new("cxl") else { return };
    for (off, word) in [
        ("CXL_REGION", "needs CXL_REGION for regions of its CXL memory"),
        ("DEV_DAX", "needs DEV_DAX_CXL for the memory of its volatile regions"),
        ("DEV_DAX_KMEM", "needs DEV_DAX_KMEM to use its volatile CXL memory as a NUMA node"),
        ("CXL_REGION_INVALIDATION_TEST", "(`Failed to synchronize CPU cache state`), or `cpu = \"max,-hypervisor\"`"),
    ] {
        let said = lab.lacks(&on_but(&[off]), &volatile(""));
        assert!(said.len() == 1 && said[0].contains(word), "{off}: {said:?}");
    }
    // It is this machine's CPU that hides it.
    let said = lab.lacks(&on_but(&["CXL_REGION_INVALIDATION_TEST"]), &volatile("cpu = \"EPYC-Genoa\""));
    assert!(said[0].contains("or `cpu = \"EPYC-Genoa,-hypervisor\"`"), "{said:?}");
    let invalidation = on_but(&["CXL_REGION_INVALIDATION_TEST"]);
    lab.is_taken(&invalidation, &volatile("cpu = \"max,-hypervisor\""));
    // Who turns it off himself wants device-dax alone.
    for word in ["option", "require"] {
        lab.is_taken(&format!("{} {word} DEV_DAX_KMEM = n", on_but(&["DEV_DAX_KMEM"])), &volatile(""));
    }
}
