//! `launch.json` as it is spelled: the words of a recipe's machine, with everything evaluated.
//!
//! Nothing here is believed: [`super::read`] hands all of it to the reader of recipes and to the rules.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{FIRST_PORT, LaunchArtifact, LaunchError};
use crate::machine::QemuOrigin;
use crate::machine::argv::Place;
use crate::recipe::image::DiskFormat;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    pub(super) qemu: String,
    #[serde(rename = "qemu-origin", default, skip_serializing_if = "QemuOrigin::is_packages")]
    pub(super) origin: QemuOrigin,
    pub(super) machine: Machine,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) memories: Vec<SharedMemory>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) networks: Vec<Network>,
    /// Never guessed: a raw disk holds whatever its guest wrote, the head of a qcow2 among it.
    #[serde(rename = "disk-format", default, skip_serializing_if = "is_usual")]
    pub(super) disk_format: DiskFormat,
    pub(super) artifacts: BTreeMap<Place, LaunchArtifact>,
}

fn is_usual(format: &DiskFormat) -> bool {
    *format == DiskFormat::default()
}

/// Networks of a machine: as many as it may join.
const NETWORKS: usize = 4;
/// Machines on one of them. Every machine is compared with every other.
const MEMBERS: usize = 64;

impl File {
    /// Refuses what would take long to judge, and what no stranger may ask for, before anything is made of it.
    pub(super) fn bounded(&self) -> Result<(), LaunchError> {
        let members = self.networks.iter().map(|network| ("machines on a network", network.members.len(), MEMBERS));
        let mut counts = members.chain([("networks", self.networks.len(), NETWORKS)]);
        if let Some((what, found, most)) = counts.find(|(_, found, most)| found > most) {
            return Err(LaunchError::Many { what, found, most });
        }
        match self.machine.forwards.iter().find(|forward| (1..FIRST_PORT).contains(&forward.host)) {
            Some(forward) => Err(LaunchError::Port(forward.host)),
            None => Ok(()),
        }
    }
}

/// What every version of the file has.
#[derive(Deserialize)]
pub(super) struct AnyFormat {
    pub(super) format: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) r#type: Chipset,
    pub(super) firmware: Firmware,
    pub(super) cpus: u32,
    pub(super) memory: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory_slots: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nvdimms: Vec<Nvdimm>,
    pub(super) cpu: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) append: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) qemu_args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) nodes: Vec<Node>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) distances: Vec<Distance>,
    /// Nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) latencies: Vec<Attribute>,
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bandwidths: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cxl: Option<Cxl>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) disks: Vec<Disk>,
    pub(super) user_network: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) forwards: Vec<Forward>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) joins: Vec<Join>,
    pub(super) bounce: bool,
    pub(super) rng: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Chipset {
    Q35,
    Pc,
    Virt,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Firmware {
    Direct,
    Seabios,
    Uefi,
}

/// Bytes, or the name of one of [`File::memories`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Memory {
    Size(u64),
    Shared(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SharedMemory {
    pub(super) name: String,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) subnet: String,
    /// Every machine on it, with its address.
    pub(super) members: BTreeMap<String, Ipv4Addr>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cpus: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<Memory>,
    /// In front of its memory, level 1 first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) caches: Vec<Cache>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) size: u64,
    pub(super) associativity: String,
    pub(super) policy: String,
    pub(super) line: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nvdimm {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) lsa: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Distance {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) value: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attribute {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) value: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) size: u64,
    /// `nvme`; absent is `virtio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bus: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forward {
    pub(super) guest: u16,
    pub(super) host: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    pub(super) network: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cxl {
    pub(super) bridges: Vec<Bridge>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) windows: Vec<Window>,
}

impl Cxl {
    /// Every table of performance.
    pub(super) fn tables(&self) -> Vec<&str> {
        let mut tables = Vec::new();
        let mut ports: Vec<&Port> = self.bridges.iter().flat_map(|bridge| &bridge.ports).collect();
        while let Some(port) = ports.pop() {
            tables.extend(port.expander.as_ref().and_then(|expander| expander.cdat.as_deref()));
            tables.extend(port.switch.as_ref().and_then(|switch| switch.cdat.as_deref()));
            ports.extend(port.switch.iter().flat_map(|switch| &switch.ports));
        }
        tables
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bridge {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bus: Option<u32>,
    pub(super) decoders: bool,
    pub(super) ports: Vec<Port>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Port {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expander: Option<Box<Expander>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) switch: Option<Switch>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    pub(super) name: String,
    pub(super) mailbox: bool,
    /// A table of performance in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cdat: Option<String>,
    pub(super) ports: Vec<Port>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expander {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) volatile: Option<Memory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) persistent: Option<Memory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lsa: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dynamic: Option<Memory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) regions: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) speed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<u32>,
    pub(super) back_invalidate: bool,
    pub(super) flit256: bool,
    /// A table of performance in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cdat: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) name: String,
    pub(super) targets: Vec<String>,
    pub(super) size: u64,
    pub(super) granularity: u64,
}
