//! What of a machine outlives a power cut, as files with their sizes: what `--keep` keeps, and says when it does not.
//!
//! The names are those that the machine's argv has for them, in the directory of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::GuestError;
use super::launch::{self, Launch, VARIABLES};
use crate::base::{ByteSize, Digest};
use crate::machine::argv::{Place, nvdimm_file};
use crate::machine::topology::Topology;

/// Everything of a machine that lasts, and what it must be compared by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastingState {
    /// Digest of the built disk below its overlay.
    pub disk: Digest,
    /// Bytes of every other file: disks, persistent memories and their labels, variables of the firmware.
    pub files: BTreeMap<String, u64>,
    /// Serial numbers of devices with persistent memory: labels name them.
    pub serials: BTreeMap<String, u64>,
    /// Bytes of every memory that it shares with others.
    pub shared: BTreeMap<String, u64>,
}

/// What lasts of a machine.
pub fn of(launch: &Launch) -> Result<LastingState, GuestError> {
    let machine = &launch.description.machine;
    let mut state =
        LastingState { disk: launch.disk, files: BTreeMap::new(), serials: BTreeMap::new(), shared: BTreeMap::new() };
    for disk in &machine.disks {
        state.files.insert(format!("{}.disk", disk.name.value), disk.size.value);
    }
    state.files.extend(machine.nvdimms.iter().map(|module| (nvdimm_file(module), module.file_size())));
    for at in machine.cxl.as_ref().map(Topology::of).iter().flat_map(Topology::expanders) {
        let own = at.expander.persistent.as_ref().filter(|memory| memory.value.shared.is_none());
        state.files.extend(own.map(|memory| (format!("{}.persistent", at.id), memory.value.size)));
        state.files.extend(at.expander.labels.as_ref().map(|size| (format!("{}.labels", at.id), size.value)));
        state.serials.extend(at.expander.persistent.as_ref().map(|_| (at.id.clone(), at.serial)));
    }
    let nodes = machine.nodes.iter().filter_map(|node| node.memory.as_ref());
    let expanders = machine.cxl.iter().flat_map(|cxl| cxl.expanders());
    for memory in nodes.chain(expanders.flat_map(|(_, expander)| expander.memories())) {
        let shared = memory.value.shared.as_ref().map(|shared| (shared.name.clone(), memory.value.size));
        state.shared.extend(shared);
    }
    if launch.files.contains_key(&Place::FirmwareVars) {
        state.files.insert(VARIABLES.to_owned(), launch::variables(launch)?.len() as u64);
    }
    Ok(state)
}

impl LastingState {
    /// The first thing in which this machine is not the one that `kept` is of.
    pub fn difference(&self, kept: &LastingState) -> Option<String> {
        if self.disk != kept.disk {
            let (here, there) = (self.disk.short(), kept.disk.short());
            return Some(format!("its disk was built anew (sha256 {here}, the kept writes are above {there})"));
        }
        let files = different(&self.files, &kept.files).or_else(|| different(&self.shared, &kept.shared));
        files.or_else(|| {
            let changed = self.serials.iter().find(|(name, serial)| kept.serials.get(*name) != Some(*serial));
            changed.map(|(name, _)| format!("expander `{name}` has another serial number"))
        })
    }

    /// What of it is memory or labels of persistent devices, by name.
    pub fn persistent(&self) -> Vec<&str> {
        let modules = self.files.keys().filter_map(|name| name.strip_suffix(".nvdimm"));
        self.serials.keys().map(String::as_str).chain(modules).collect()
    }
}

fn different(here: &BTreeMap<String, u64>, there: &BTreeMap<String, u64>) -> Option<String> {
    let gone = there.keys().find(|name| !here.contains_key(*name));
    let differs = here.iter().find_map(|(name, size)| match there.get(name) {
        Some(kept) if kept == size => None,
        Some(kept) => Some(format!("`{name}` has {} now and {} there", ByteSize(*size), ByteSize(*kept))),
        None => Some(format!("`{name}` is not there")),
    });
    differs.or_else(|| gone.map(|name| format!("it has no `{name}` any more")))
}
