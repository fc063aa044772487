//! `boot.json`: the identities of a disk that firmware boots.
//!
//! It is an input of the step, so that its bytes are part of the step's id. Field order is the order below.

use serde::{Deserialize, Serialize};

use crate::base::{Arch, Timestamp};

/// What the step must know besides the files themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSpec {
    /// Whose programs the firmware starts.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// The time of every file of the boot partition.
    pub epoch: Timestamp,
    /// Who is who.
    pub ids: BootIds,
}

/// Identities, all of them from the lock's seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootIds {
    /// The partition table's.
    pub disk: String,
    /// The boot partition's.
    pub boot: String,
    /// The root partition's.
    pub root: String,
    /// The partition's that holds what a BIOS starts.
    pub bios: String,
    /// Those of further partitions, in the order of their inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionId>,
    /// The FAT file system's.
    pub serial: u32,
}

/// A partition besides those that every disk has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionId {
    /// Its identity.
    pub id: String,
    /// Its name in the table: `var-log`.
    pub name: String,
}

impl BootSpec {
    /// The bytes of the step's input.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and numbers are always JSON")
    }
}
