//! A machine with everything that its argv depends on, so that whoever has this can write the argv anew.
//!
//! Input: a recipe's machine and the QEMU of its lock, or what `launch.json` says of them. Output: the argv of every
//! start: `kiln run`, `kiln test`, `--print` and `launch.sh` differ in the [`LaunchOptions`] alone.

use serde::{Deserialize, Serialize};

use super::argv::{CommandLine, LaunchOptions, argv, kernel_line};
use super::capability::Emulator;
use super::network::Networks;
use crate::recipe::image::DiskFormat;
use crate::recipe::machine::Machine;
use crate::recipe::qemu::MachineQemu;

/// Where a QEMU comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QemuOrigin {
    /// Packages of an archive.
    #[default]
    Packages,
    /// A build of the recipe, with patches perhaps.
    Build,
}

impl QemuOrigin {
    /// That of a machine's QEMU.
    pub fn of(qemu: &MachineQemu) -> QemuOrigin {
        if qemu.built().is_some() { QemuOrigin::Build } else { QemuOrigin::Packages }
    }

    /// Whether the version alone says which QEMU it is.
    pub fn is_packages(&self) -> bool {
        *self == QemuOrigin::Packages
    }
}

/// What an argv is written from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// A machine that passed the rules.
    pub machine: Machine,
    /// Who is on the private networks, those of this machine at least.
    pub networks: Networks,
    /// Upstream version of the locked QEMU: `11.1.3`.
    pub qemu: String,
    /// Whether that is a QEMU that anybody can install.
    pub origin: QemuOrigin,
    /// What that version means.
    pub emulator: Emulator,
    /// Whether there is an initramfs.
    pub initrd: bool,
    /// How the bytes of its disk lie in the file.
    pub disk: DiskFormat,
}

impl Description {
    /// The argv; `change` says what this launch wants besides the machine itself.
    pub fn argv(&self, change: impl FnOnce(&mut LaunchOptions<'_>)) -> CommandLine {
        let mut launch = LaunchOptions { disk: self.disk, ..LaunchOptions::plain(self.initrd, &self.networks) };
        change(&mut launch);
        argv(&self.machine, &self.emulator, &launch)
    }

    /// What the kernel is told at every launch.
    pub fn kernel_line(&self) -> String {
        kernel_line(&self.machine, &self.networks)
    }

    /// Names of the memories that it shares with other machines.
    pub fn shared_memories(&self) -> impl Iterator<Item = &str> {
        let nodes = self.machine.nodes.iter().filter_map(|node| node.memory.as_ref());
        let expanders = self.machine.cxl.iter().flat_map(|cxl| cxl.expanders());
        let memories = nodes.chain(expanders.flat_map(|(_, expander)| expander.memories()));
        memories.filter_map(|memory| memory.value.shared.as_ref()).map(|shared| shared.name.as_str())
    }
}
