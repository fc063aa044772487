//! `launch.json` and `launch.sh`: everything needed to start a machine, beside the artifacts themselves.
//!
//! Input: a machine that passed the rules, and the artifacts' digests. Output: two texts. `launch.json` describes the
//! machine and holds no command line: whoever starts it writes the argv anew from the description. It is read back by
//! `kiln run DIR`, and since a directory may come from anybody, what is read passes every check that a recipe's machine
//! passes: there is nothing it can say that some recipe could not have said.

mod block;
mod error;
mod read;
mod script;
mod starter;
mod wire;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::LaunchError;
pub use script::script;
pub use starter::{DELIVERED_QEMU, DeliveredQemu, QEMU_LOADER, QemuPlaces, starter};

use crate::base::Digest;
use crate::deliver::plain::is_plain;
use crate::machine::Description;
pub use crate::machine::argv::Place;

/// Version of the format. Format 1 held an argv.
pub const FORMAT: u32 = 2;
/// A larger file is not one of ours.
pub const LIMIT: u64 = 1 << 20;
/// Ports of the host that a directory may ask for begin here. Those below need a privilege, which whoever starts a
/// directory may have, and the host's own services are looked for there.
const FIRST_PORT: u16 = 1024;
pub const FILE: &str = "launch.json";
/// The name of the script beside it.
pub const SCRIPT: &str = "launch.sh";

/// What `launch.json` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchFile {
    /// What the argv is written from.
    pub description: Description,
    /// Files beside this one, by the place that each fills.
    pub artifacts: BTreeMap<Place, LaunchArtifact>,
}

/// A file that fills a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchArtifact {
    /// Its name beside `launch.json`.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
}

impl LaunchFile {
    /// The text of `launch.json`.
    pub fn json(&self) -> String {
        let described = &self.description;
        let file = wire::File {
            format: FORMAT,
            qemu: described.qemu.clone(),
            origin: described.origin,
            machine: write::machine(&described.machine),
            memories: write::memories(&described.machine),
            networks: write::networks(described),
            disk_format: described.disk,
            artifacts: self.artifacts.clone(),
        };
        let value = serde_json::to_value(file).expect("a launch file has string keys only");
        format!("{value:#}\n")
    }

    /// Reads and checks `launch.json`.
    pub fn read(bytes: &[u8]) -> Result<LaunchFile, LaunchError> {
        let failed = |error: serde_json::Error| LaunchError::Json(error.to_string());
        let any: wire::AnyFormat = serde_json::from_slice(bytes).map_err(failed)?;
        if any.format != FORMAT {
            return Err(LaunchError::Format(any.format));
        }
        let file: wire::File = serde_json::from_slice(bytes).map_err(failed)?;
        file.bounded()?;
        let names = file.artifacts.values().map(|artifact| &artifact.file).chain([&file.machine.name]);
        if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
            return Err(LaunchError::Name(name.clone()));
        }
        if let Some(place) = file.artifacts.keys().find(|place| !place.is_artifact()) {
            return Err(LaunchError::Place(place.name()));
        }
        let description = read::description(&file, file.artifacts.contains_key(&Place::Initrd))?;
        let launch = LaunchFile { description, artifacts: file.artifacts };
        let open = launch.description.argv(|_| ()).places();
        match open.into_iter().find(|place| place.is_artifact() && !launch.artifacts.contains_key(place)) {
            Some(place) => Err(LaunchError::Unfilled(place.name())),
            None => Ok(launch),
        }
    }
}
