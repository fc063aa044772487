//! Disks, forwarded ports and private networks.

use std::net::Ipv4Addr;

use crate::base::span::{Span, Spanned};

/// `disk NAME { size = ... bus = ... }`: an empty disk that lives as long as the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its name, and its serial number in the guest (`/dev/disk/by-id/virtio-NAME`, `nvme-QEMU_NVMe_Ctrl_NAME`).
    pub name: Spanned<String>,
    /// Bytes.
    pub size: Spanned<u64>,
    /// What the guest finds it on.
    pub bus: DiskBus,
    /// Where it was declared.
    pub span: Span,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskBus {
    /// `virtio-blk-pci`: `/dev/vdb`.
    #[default]
    Virtio,
    /// A controller with one namespace: `/dev/nvme0n1`.
    Nvme,
}

impl DiskBus {
    /// Every one.
    pub const ALL: [DiskBus; 2] = [DiskBus::Virtio, DiskBus::Nvme];

    /// In recipes and in `launch.json`.
    pub fn name(self) -> &'static str {
        match self {
            DiskBus::Virtio => "virtio",
            DiskBus::Nvme => "nvme",
        }
    }
}

/// `forward GUEST = HOST`: a TCP port of the host's loopback address that leads into the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Port in the guest; `ssh` is 22.
    pub guest: Spanned<u16>,
    /// Port on the host's loopback address.
    pub host: Spanned<u16>,
}

/// `join NETWORK { address = ... }`: an interface on a private network of the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network.
    pub network: Network,
    /// The machine's address there; derived from its name when absent.
    pub address: Option<Spanned<Ipv4Addr>>,
    /// Where it was declared.
    pub span: Span,
}

/// `network NAME { subnet = "10.52.0.0/24" }`: a network between the machines of a recipe, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// First address of the subnet.
    pub base: Ipv4Addr,
    /// Bits of the prefix, 8 to 30.
    pub prefix: u8,
    /// Where it was declared.
    pub span: Span,
}
