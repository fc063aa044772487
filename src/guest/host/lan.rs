//! `--bridge NAME`: machines on a network of the host.

use std::path::Path;

use crate::guest::{GuestError, Launch};
use crate::machine::network::mac;
use crate::world::fs;

/// What tells this host from others (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// A bridge, and what tells the machines of this host from those of others on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lan {
    bridge: String,
    host: String,
}

impl Lan {
    /// The machines must have a card that can be connected to it.
    pub fn join(bridge: &str, launches: &[&Launch]) -> Result<Lan, GuestError> {
        if let Some(launch) = launches.iter().find(|launch| !launch.description.machine.user_network) {
            let reason = format!("machine {} has no card for it, because of `user-network = false`", launch.machine);
            return Err(GuestError::Resource { option: "--bridge", reason });
        }
        let id = fs::read(Path::new(MACHINE_ID), 64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let host = match id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
            Some(id) => id,
            // Another address in each run.
            None => fs::random()?,
        };
        Ok(Lan { bridge: bridge.to_owned(), host })
    }

    /// The address of a machine's card: the same in each run, and another one on another host, where somebody may run the
    /// same recipe.
    pub fn mac(&self, machine: &str) -> String {
        mac(machine, &format!("bridge {}", self.host))
    }

    /// What is told of it before the start.
    pub fn notice(&self, machine: &str) -> String {
        let (bridge, mac) = (&self.bridge, self.mac(machine));
        format!(
            "{machine} is on bridge {bridge} as {mac}: whoever is there reaches it, and it reaches them; no port is forwarded"
        )
    }
}
