//! `initrd.json`: what the initramfs must be able to do.
//!
//! It is an input of the step, so that its bytes are part of the step's id. Field order is the order below.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;

/// An initramfs as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitrdSpec {
    /// Kernel modules by name, whose dependencies come along; one that the kernel has built in is left out.
    pub modules: Vec<String>,
    /// The root when the command line has no `root=`: `/dev/vda`, `UUID=...`, `LABEL=...`, `PARTUUID=...`.
    pub root_device: String,
    /// Its file system when the command line has no `rootfstype=`.
    pub root_type: String,
    /// The time of every file.
    pub epoch: Timestamp,
}

impl InitrdSpec {
    /// Everything a root file system on a virtio disk needs.
    pub fn virtio_ext4(root_device: &str, epoch: Timestamp) -> InitrdSpec {
        let modules = ["virtio_pci", "virtio_blk", "ext4"].map(str::to_owned).to_vec();
        InitrdSpec { modules, root_device: root_device.to_owned(), root_type: "ext4".to_owned(), epoch }
    }

    /// The bytes of the step's input.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and numbers are always JSON")
    }
}
