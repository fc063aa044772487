//! `launch.json` and `launch.sh`: everything needed to start a machine, beside the artifacts themselves.
//!
//! Input: the machine's argv with open places, and the artifacts' digests. Output: two texts. `launch.json` is read
//! back by `kiln run DIR`, and since a directory may come from anybody, what is read is checked like the recipe was:
//! no file name leads out of the directory, and no place is unknown.

mod error;
mod script;

use serde::{Deserialize, Serialize};

pub use error::LaunchError;
pub use script::script;

use crate::base::Digest;
use crate::machine::argv::{CommandLine, Place, Text};
use crate::machine::capability::Version;
use crate::recipe::machine::Machine;

/// Version of the format.
pub const FORMAT: u32 = 1;
/// A larger file is not one of ours.
pub const LIMIT: u64 = 1 << 20;

/// What `launch.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchFile {
    /// [`FORMAT`]
    pub format: u32,
    /// The machine's name.
    pub machine: String,
    /// Upstream version of the locked QEMU: `11.1.3`.
    pub qemu: String,
    /// `pc-q35-11.1`
    pub machine_type: String,
    /// Files beside this one that fill places.
    pub artifacts: Vec<LaunchArtifact>,
    /// Empty files that a launch makes in `${run}` before it starts.
    pub empty: Vec<EmptyFile>,
    /// The argv after the program, with open places spelled `${name}` and dollar signs `$$`.
    pub argv: Vec<String>,
}

/// A file that fills a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchArtifact {
    /// `kernel`, `initrd`, `disk`, `firmware-code` or `firmware-vars`.
    pub place: String,
    /// Its name beside `launch.json`.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// A file that a launch makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptyFile {
    /// Its name in `${run}`.
    pub file: String,
    /// Bytes, none of them written.
    pub size: u64,
}

impl LaunchFile {
    /// For a machine whose argv is `line`, on the QEMU of upstream version `qemu`.
    pub fn new(machine: &Machine, qemu: &str, line: &CommandLine, artifacts: Vec<LaunchArtifact>) -> LaunchFile {
        let emulator = crate::machine::capability::Emulator::of(qemu);
        let machine_type = emulator.map(|emulator| emulator.machine_type(machine.chipset.value)).unwrap_or_default();
        let empty = machine.disks.iter().map(|disk| {
            let file = format!("{}.disk", disk.name.value);
            EmptyFile { file, size: disk.size.value }
        });
        LaunchFile {
            format: FORMAT,
            machine: machine.name.clone(),
            qemu: qemu.to_owned(),
            machine_type,
            artifacts,
            empty: empty.collect(),
            argv: line.template(),
        }
    }

    /// The text of `launch.json`.
    pub fn json(&self) -> String {
        let value = serde_json::to_value(self).expect("a launch file has string keys only");
        format!("{value:#}\n")
    }

    /// Reads and checks `launch.json`.
    pub fn read(bytes: &[u8]) -> Result<LaunchFile, LaunchError> {
        let file: LaunchFile = serde_json::from_slice(bytes).map_err(|error| LaunchError::Json(error.to_string()))?;
        if file.format != FORMAT {
            return Err(LaunchError::Format(file.format));
        }
        let names =
            file.artifacts.iter().map(|artifact| &artifact.file).chain(file.empty.iter().map(|empty| &empty.file));
        if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
            return Err(LaunchError::Name(name.clone()));
        }
        if !is_plain(&file.machine) || Version::parse(&file.qemu).is_none() || !file.qemu.bytes().all(is_version) {
            return Err(LaunchError::Name(format!("{} on {}", file.machine, file.qemu)));
        }
        for artifact in &file.artifacts {
            place(&artifact.place)?;
        }
        let words = file.words()?;
        let filled = |place: Place| file.artifacts.iter().any(|artifact| artifact.place == place.name());
        let open = words.iter().flat_map(|word| word.places().collect::<Vec<_>>());
        match open.into_iter().find(|place| is_file(*place) && !filled(*place)) {
            Some(place) => Err(LaunchError::Unfilled(place.name())),
            None => Ok(file),
        }
    }

    /// The argv with open places.
    pub fn words(&self) -> Result<Vec<Text>, LaunchError> {
        let read = |word: &String| Text::parse(word).ok_or_else(|| LaunchError::Word(word.clone()));
        self.argv.iter().map(read).collect()
    }

    /// The argv with places filled in.
    pub fn fill(&self, fill: &dyn Fn(Place) -> String) -> Result<Vec<String>, LaunchError> {
        Ok(self.words()?.iter().map(|word| word.fill(fill)).collect())
    }
}

/// Places that an artifact fills.
fn is_file(place: Place) -> bool {
    matches!(place, Place::Kernel | Place::Initrd | Place::Disk | Place::FirmwareCode | Place::FirmwareVars)
}

fn place(name: &str) -> Result<Place, LaunchError> {
    let found = Place::ALL.into_iter().find(|place| place.name() == name && is_file(*place));
    found.ok_or_else(|| LaunchError::Name(name.to_owned()))
}

/// One path component that neither a shell nor an option string could misread.
fn is_plain(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 100 && name.chars().all(legal) && !name.starts_with(['.', '-'])
}

fn is_version(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.'
}
