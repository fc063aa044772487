//! The argv of QEMU as a value.
//!
//! Input: a machine that passed the rules, the locked QEMU, what the launch wants. Output: [`CommandLine`]: options in
//! a fixed order, with places open for what only a launch knows. It knows no path of any machine.

mod credential;
mod cxl;
mod device;
mod memory;
mod network;
mod option;
mod share;
mod text;

pub use credential::Credential;
pub use cxl::table_name;
pub(crate) use memory::generic_port;
pub use memory::{nvdimm_file, private};
pub use option::{CommandLine, Property, QemuOption};
pub use share::{FileServer, MAX_SHARES, SharedDirectory};
pub use text::{Place, Text, quote};

use super::network::Networks;
use super::version::Emulator;
use crate::plan::boot;
use crate::recipe::image::DiskFormat;
use crate::recipe::machine::{Chipset, Firmware, Machine};

/// What a launch wants besides the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOptions<'a> {
    /// Whether there is an initramfs.
    pub initrd: bool,
    /// Who is on the private networks; from [`super::network::networks`].
    pub networks: &'a Networks,
    /// What executes the guest.
    pub accel: Accel,
    /// Where the first serial port leads.
    pub console: Console,
    /// What `${disk}` is.
    pub disk: DiskFormat,
    /// What becomes of writes to the image.
    pub writes: Writes,
    /// How the user network reaches the world.
    pub user_network: UserNetworkBackend,
    /// The address of its card, when it is not the machine's own.
    pub mac: Option<String>,
    /// Whether ports of the host lead into the guest.
    pub forwards: Forwards,
    /// A second serial port for tests: QEMU connects to the socket `${run}/agent`.
    pub agent: bool,
    /// A QMP monitor at the socket `${run}/qmp`.
    pub qmp: QmpPort,
    /// Stop before the first instruction (`-S`).
    pub paused: bool,
    /// What memory that nobody else sees is made of.
    pub memory: MemoryBacking,
    /// Words added to the kernel's command line.
    pub append: Vec<String>,
    /// What systemd in the guest is handed.
    pub credentials: Vec<Credential>,
    /// Directories of the host, [`MAX_SHARES`] at most.
    pub shares: Vec<SharedDirectory>,
    /// Words added after all options.
    pub arguments: Vec<String>,
}

/// What executes the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// Software emulation.
    Tcg,
    Kvm,
    /// Left open as `${accel}`.
    Open,
}

/// Where the first serial port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// The terminal, with QEMU's monitor behind Ctrl-A C and the way out behind Ctrl-A X.
    Terminal,
    /// The file `${log}`, and no monitor.
    Log,
}

/// What the host makes memory of that no other machine sees. What is kept or shared is always a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryBacking {
    /// Anonymous memory of QEMU.
    #[default]
    Anonymous,
    /// A file without a name for each, which another process can map.
    Shareable,
    /// A file in `${memory}` for each.
    Files,
    /// Huge pages of this many bytes.
    HugePages(u64),
}

/// Who speaks to QEMU while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QmpPort {
    /// Nobody.
    None,
    /// QEMU connects to somebody who listens before the guest says its first word, as it does with the test agent.
    Connects,
    /// QEMU listens, and serves one client after the other.
    Listens,
}

/// What becomes of writes to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// QEMU itself throws them away (`snapshot=on`).
    ThrownAway,
    /// They go to what `${disk}` is: an overlay.
    Kept,
}

/// How the user network reaches the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserNetworkBackend {
    /// QEMU does it itself, with the network that it runs in.
    Slirp,
    /// Another program does it and forwards ports, too; QEMU connects to its socket `${run}/network`.
    Socket,
}

/// Whether ports of the host lead into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwards {
    /// As the machine says.
    Open,
    /// None: tests work inside the guest, and two of them may run side by side.
    Closed,
}

impl<'a> LaunchOptions<'a> {
    /// What `kiln run` and `launch.sh` start: the terminal, a throw-away qcow2, the accelerator left open.
    pub fn plain(initrd: bool, networks: &'a Networks) -> Self {
        LaunchOptions {
            initrd,
            networks,
            accel: Accel::Open,
            console: Console::Terminal,
            disk: DiskFormat::Qcow2,
            writes: Writes::ThrownAway,
            user_network: UserNetworkBackend::Slirp,
            mac: None,
            forwards: Forwards::Open,
            agent: false,
            qmp: QmpPort::None,
            paused: false,
            memory: MemoryBacking::Anonymous,
            append: Vec::new(),
            credentials: Vec::new(),
            shares: Vec::new(),
            arguments: Vec::new(),
        }
    }
}

/// The argv of a machine that passed the rules.
pub fn argv(machine: &Machine, emulator: &Emulator, launch: &LaunchOptions) -> CommandLine {
    let mut options = platform(machine, emulator, launch);
    options.extend(memory::options(machine, launch.memory));
    options.extend(credential::options(machine, launch));
    options.extend(firmware(machine, launch));
    options.extend(device::serial(launch));
    options.extend(device::disks(machine, launch));
    options.extend(network::options(machine, launch));
    options.extend(device::rng(machine));
    options.extend(cxl::options(machine, launch.memory));
    let own: Vec<String> = machine.arguments.iter().map(|word| word.value.clone()).collect();
    options.extend(QemuOption::given(&own));
    options.extend(share::options(machine, launch));
    options.extend(launch.paused.then(|| QemuOption::bare("-S")));
    options.extend(QemuOption::given(&launch.arguments));
    CommandLine { options }
}

/// Machine type, CPUs and everything that QEMU must not add by itself.
fn platform(machine: &Machine, emulator: &Emulator, launch: &LaunchOptions) -> Vec<QemuOption> {
    let accel: Text = match launch.accel {
        Accel::Tcg => "tcg".into(),
        Accel::Kvm => "kvm".into(),
        Accel::Open => Place::Accel.into(),
    };
    let board = board(machine, emulator);
    let board = if machine.attributes.is_empty() { board } else { board.with("hmat", "on") };
    let board = if machine.nvdimms.is_empty() { board } else { board.with("nvdimm", "on") };
    let board = board.with_some("memory-backend", memory::of_board(machine, launch.memory));
    let board = cxl::board(machine, board);
    let smp = QemuOption::kind("-smp", machine.cpus.value.to_string());
    let smp = smp.with("sockets", "1").with("cores", machine.cpus.value.to_string()).with("threads", "1");
    vec![
        QemuOption::whole("-name", machine.name.as_str()),
        QemuOption::bare("-nodefaults"),
        QemuOption::bare("-no-user-config"),
        confined(),
        QemuOption::whole("-display", "none"),
        board,
        QemuOption::whole("-accel", accel),
        QemuOption::whole("-cpu", machine.cpu.value.as_str()),
        smp,
    ]
}

/// The versioned machine type. Where a chipset comes with several interrupt controllers, the machine has the one that
/// serves as many CPUs as a recipe may ask for, whatever executes it and however many there are.
fn board(machine: &Machine, emulator: &Emulator) -> QemuOption {
    let board = QemuOption::kind("-machine", emulator.machine_type(machine.chipset.value));
    match machine.chipset.value {
        Chipset::Q35 | Chipset::I440fx => board,
        Chipset::Virt => board.with("gic-version", "3"),
    }
}

/// QEMU's own filter of system calls: it starts no program (`helper=`, `script=`), becomes nobody else, and changes no
/// priority or affinity. Measured: 7.2 and 11.1 run machines with all of it, under TCG and KVM.
fn confined() -> QemuOption {
    let denied = ["obsolete", "elevateprivileges", "spawn", "resourcecontrol"];
    denied.into_iter().fold(QemuOption::kind("-sandbox", "on"), |option, what| option.with(what, "deny"))
}

/// What an OEM string of SMBIOS begins with whose rest is added to the kernel's command line: systemd's stub reads it
/// from UEFI (systemd-stub(7)), and the GRUB that kiln puts onto a disk from a BIOS.
const SMBIOS_WORDS: [&str; 2] = ["io.systemd.stub.kernel-cmdline-extra=", "kiln.kernel-words="];

fn firmware(machine: &Machine, launch: &LaunchOptions) -> Vec<QemuOption> {
    let [stub, grub] = SMBIOS_WORDS;
    match machine.firmware.value {
        Firmware::Direct => {
            let mut options = vec![QemuOption::whole("-kernel", Place::Kernel)];
            options.extend(launch.initrd.then(|| QemuOption::whole("-initrd", Place::Initrd)));
            options.push(QemuOption::whole("-append", kernel_command_line(machine, launch)));
            options
        }
        Firmware::Seabios => vec![oem_string(grub, &boot::grub_words(&added_line(machine, launch)))],
        Firmware::Uefi => {
            let flash =
                |unit: &str| QemuOption::keyed("-drive").with("if", "pflash").with("unit", unit).with("format", "raw");
            vec![
                flash("0").with("readonly", "on").with("file", Place::FirmwareCode),
                flash("1").with("file", Place::FirmwareVars),
                oem_string(stub, &added_line(machine, launch)),
            ]
        }
    }
}

/// Stands there even when nothing is added, so that every launch of a machine has the same options.
fn oem_string(before: &str, words: &str) -> QemuOption {
    QemuOption::kind("-smbios", "type=11").with("value", format!("{before}{words}"))
}

/// What a disk that boots by itself does not say to its kernel.
fn added_line(machine: &Machine, launch: &LaunchOptions) -> String {
    launch
        .networks
        .kernel_words(&machine.name)
        .into_iter()
        .chain(launch.append.iter().cloned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn kernel_command_line(machine: &Machine, launch: &LaunchOptions) -> String {
    let own = kernel_line(machine, launch.networks);
    std::iter::once(own).chain(launch.append.iter().cloned()).collect::<Vec<_>>().join(" ")
}

/// What the kernel is told at every launch. The disk is a whole file system and the first virtio-blk device of the bus;
/// one that boots by itself has its own way to name the root.
pub fn kernel_line(machine: &Machine, networks: &Networks) -> String {
    if machine.firmware.value != Firmware::Direct {
        let own = boot::kernel_line(machine, LONGEST_ROOT);
        return std::iter::once(own).chain(networks.kernel_words(&machine.name)).collect::<Vec<_>>().join(" ");
    }
    let own = boot::first_words(machine, "/dev/vda").into_iter().chain(networks.kernel_words(&machine.name));
    own.chain(machine.append.iter().map(|word| word.value.clone())).collect::<Vec<_>>().join(" ")
}

/// As long as every root of a disk that boots by itself.
const LONGEST_ROOT: &str = "PARTUUID=00000000-0000-0000-0000-000000000000";

/// A size as QEMU reads it: the largest of G, M and K that divides it.
fn size(bytes: u64) -> String {
    match [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")].into_iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
        Some((unit, name)) if bytes > 0 => format!("{}{name}", bytes / unit),
        _ => bytes.to_string(),
    }
}

/// Where devices sit on the root bus: 0 is the host bridge. On q35, 31 is the chipset and 15 to 30 belong to CXL bridges;
/// on i440fx, 1 is the chipset and every device sits one further up, so that their order is the same. On virt all others
/// are free.
mod slot {
    use crate::recipe::machine::Chipset;

    pub(super) const ROOT_DISK: u32 = 1;
    pub(super) const USER_NETWORK: u32 = 2;
    pub(super) const RNG: u32 = 3;
    /// Up to [`crate::machine::rules::DISKS`] more disks.
    pub(super) const DISKS: u32 = 4;
    /// Up to [`crate::machine::rules::NETWORKS`] private networks.
    pub(super) const NETWORKS: u32 = 10;

    /// The root bus and the `addr` property (QEMU hw/pci-host/q35.c, i440fx.c, gpex.c; hw/i386/pc_piix.c puts the PIIX at
    /// 1).
    pub(super) fn place(chipset: Chipset, slot: u32) -> (&'static str, String) {
        let slot = match chipset {
            Chipset::Q35 | Chipset::Virt => slot,
            Chipset::I440fx => slot + 1,
        };
        (bus(chipset), addr(slot))
    }

    /// The root bus.
    pub(super) fn bus(chipset: Chipset) -> &'static str {
        match chipset {
            Chipset::Q35 | Chipset::Virt => "pcie.0",
            Chipset::I440fx => "pci.0",
        }
    }

    /// The `addr` property.
    pub(super) fn addr(slot: u32) -> String {
        format!("0x{slot:x}")
    }
}
