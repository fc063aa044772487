//! The tables. *Measured* rows were seen on packages from Debian; the others come from the named source.

use crate::machine::version::Version;

/// Something a machine can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Type 3 devices with persistent memory, and switches.
    Cxl,
    /// Decoders in a bridge with one root port.
    Decoders,
    /// Volatile memory.
    Volatile,
    /// A switch's mailbox.
    Mailbox,
    /// Dynamic capacity.
    Dynamic,
    /// Link speed and width.
    Link,
    /// Back-invalidation.
    BackInvalidate,
    /// 256-byte flits.
    Flit256,
    /// Generic ports of CXL bridges.
    GenericPort,
    /// Networks of datagram sockets.
    Datagrams,
    /// The serial port over which tests speak, on `virt`.
    SecondPort,
}

/// Since when QEMU has it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub capability: Capability,
    /// The first version with it.
    pub since: Version,
    /// In words that fit after "QEMU 9.0 has no".
    pub what: &'static str,
    /// Where this can be looked up.
    pub source: &'static str,
    /// Whether it was seen on a real binary.
    pub measured: bool,
}

const fn row(capability: Capability, since: (u32, u32), what: &'static str, source: &'static str) -> Row {
    Row { capability, since: Version::new(since.0, since.1), what, source, measured: false }
}

const fn seen(row: Row) -> Row {
    Row { measured: true, ..row }
}

/// What each QEMU has.
pub const CAPABILITIES: &[Row] = &[
    row(Capability::Cxl, (7, 2), "CXL switches and serial numbers", "hw/pci-bridge/cxl_upstream.c, hw/mem/cxl_type3.c"),
    row(Capability::Datagrams, (7, 2), "datagram networks (`-netdev dgram`)", "net/dgram.c"),
    row(Capability::Decoders, (8, 0), "`hdm_for_passthrough`", "hw/pci-bridge/pci_expander_bridge.c"),
    row(Capability::Volatile, (8, 1), "volatile CXL memory", "hw/mem/cxl_type3.c (`volatile-memdev`)"),
    row(Capability::Mailbox, (8, 2), "the mailbox of a CXL switch", "hw/cxl/switch-mailbox-cci.c"),
    row(
        Capability::SecondPort,
        (9, 1),
        "second serial port on `virt`, which tests need",
        "hw/arm/virt.c (`create_uart`)",
    ),
    row(Capability::GenericPort, (9, 2), "generic ports", "hw/acpi/acpi_generic_initiator.c (`acpi-generic-port`)"),
    row(Capability::Dynamic, (9, 1), "dynamic capacity", "hw/mem/cxl_type3.c (`num-dc-regions`)"),
    seen(row(Capability::Link, (10, 0), "link speed and width of CXL devices", "hw/mem/cxl_type3.c (`x-speed`)")),
    seen(row(Capability::BackInvalidate, (11, 0), "back-invalidation", "hw/mem/cxl_type3.c (`hdm-db`)")),
    seen(row(Capability::Flit256, (11, 0), "256-byte flits", "hw/mem/cxl_type3.c (`x-256b-flit`)")),
];

/// A range of versions in which something goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct KnownProblem {
    pub kind: MachineKind,
    /// First version with it, and the first without.
    pub versions: (Version, Version),
    pub what: &'static str,
    pub hint: &'static str,
    /// Where this can be looked up.
    pub source: &'static str,
    /// Whether it stops the build.
    pub fatal: bool,
}

/// Which machines a [`KnownProblem`] strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineKind {
    /// A bridge with one root port.
    LonelyPort,
    /// Linux since 6.3 with any expander.
    NoMailboxInterrupt,
    /// Any expander.
    AnyExpander,
    /// Any expander, without bounce buffers.
    Unbounced,
}

const OLDEST: Version = Version::new(0, 0);

/// Combinations that crash or crawl.
pub const PROBLEMS: &[KnownProblem] = &[
    KnownProblem {
        kind: MachineKind::LonelyPort,
        versions: (OLDEST, Version::new(8, 0)),
        what: "silently corrupts the memory behind a bridge with one root port",
        hint: "add a second, empty port to the bridge, or use a newer QEMU",
        source: "QEMU hw/cxl/cxl-host.c before the pass-through decoder",
        fatal: true,
    },
    KnownProblem {
        kind: MachineKind::NoMailboxInterrupt,
        versions: (OLDEST, Version::new(8, 1)),
        what: "has no event logs, without which Linux since 6.3 rejects a CXL device (`Failed to get interrupt for event Info log`)",
        hint: "use QEMU 8.1 or newer, or a kernel before 6.3",
        source: "Linux drivers/cxl/pci.c (cxl_event_config)",
        fatal: true,
    },
    KnownProblem {
        kind: MachineKind::AnyExpander,
        versions: (Version::new(8, 2), Version::new(9, 0)),
        what: "aborts when a program runs from CXL memory",
        hint: "use QEMU 9.0 or newer; 11.1 is the first that is fast",
        source: "QEMU accel/tcg/translate-all.c (cpu_io_recompile)",
        fatal: true,
    },
    KnownProblem {
        kind: MachineKind::Unbounced,
        versions: (Version::new(9, 0), Version::new(11, 1)),
        what: "emulates CXL memory as MMIO: 70 times slower, and a disk whose buffers lie there stops (`virtio: bogus descriptor`); under KVM the machine is reported to crash",
        hint: "use QEMU 11.1 (trixie-backports), or write `bounce = true` in the machine",
        source: "measured: QEMU 10.0.13 writes 0.9 MB/s, 11.1.3 63 MB/s",
        fatal: false,
    },
];

/// The memory of an expander.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// A region of it is made with `cxl create-region -t ram`.
    Volatile,
    /// `cxl create-region -t pmem`.
    Persistent,
}

/// Since when Linux makes regions of a kind of memory.
#[derive(Debug, Clone, Copy)]
pub struct KernelRow {
    /// Of which memory.
    pub memory: MemoryKind,
    /// The first version that does.
    pub since: Version,
    /// In words that fit after "Linux 6.1, makes no".
    pub what: &'static str,
    /// Where this can be looked up.
    pub source: &'static str,
    /// Whether Debian's kernels before and after it, as far as there are any, were seen to agree.
    pub measured: bool,
}

/// What each Linux can do.
pub const KERNELS: &[KernelRow] = &[
    KernelRow {
        memory: MemoryKind::Persistent,
        since: Version::new(6, 0),
        what: "regions of persistent CXL memory",
        source: "Linux drivers/cxl/core/region.c (`create_pmem_region`)",
        measured: false,
    },
    KernelRow {
        memory: MemoryKind::Volatile,
        since: Version::new(6, 3),
        what: "regions of volatile CXL memory",
        source: "Linux drivers/cxl/core/region.c (`create_ram_region`); measured on 6.1 and 6.12",
        measured: true,
    },
];

/// A kernel and a QEMU of Debian that were booted together with one expander behind one root port.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Debian's own kernel.
    pub kernel: Version,
    /// Debian's own QEMU.
    pub qemu: Version,
    pub memory: MemoryKind,
    /// Whether its region was committed, came online as a node, and ran programs that gave the right answer.
    pub works: bool,
}

const fn trial(kernel: (u32, u32), qemu: (u32, u32), memory: MemoryKind, works: bool) -> Trial {
    Trial { kernel: Version::new(kernel.0, kernel.1), qemu: Version::new(qemu.0, qemu.1), memory, works }
}

/// *Measured* with `recipes/cxl-stock-kernels.kiln` and, where it does not work, with the same machine beside the rules:
/// Linux 6.1.176, 6.12.117 and 7.3.4, QEMU 10.0.13 and 11.1.3, software emulation, the hypervisor hidden.
pub const TRIALS: &[Trial] = &[
    trial((6, 1), (10, 0), MemoryKind::Persistent, true),
    trial((6, 1), (11, 1), MemoryKind::Persistent, true),
    trial((6, 1), (10, 0), MemoryKind::Volatile, false),
    trial((6, 1), (11, 1), MemoryKind::Volatile, false),
    trial((6, 12), (10, 0), MemoryKind::Volatile, true),
    trial((6, 12), (11, 1), MemoryKind::Volatile, true),
    trial((7, 3), (10, 0), MemoryKind::Volatile, true),
    trial((7, 3), (11, 1), MemoryKind::Volatile, true),
];
