//! `--bridge NAME`: machines on a network of the host.

use std::path::{Path, PathBuf};

use crate::guest::{GuestError, Launch};
use crate::machine::network::mac;
use crate::recipe::machine::Machine;
use crate::world::fs;

/// What tells this host from others (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// A bridge, and what tells the machines of this host from those of others on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lan {
    bridge: String,
    host: String,
    /// What tells the machines of this run from those of other recipes that have the same names.
    run: String,
}

impl Lan {
    /// The machines must have a card that can be connected to it. The first name of the run is the recipe's own, which
    /// is the same from wherever it is run.
    pub fn join(bridge: &str, sources: &[PathBuf], launches: &[&Launch]) -> Result<Lan, GuestError> {
        check_cards(Some(bridge), launches.iter().map(|launch| &launch.description.machine))?;
        let id = fs::read(Path::new(MACHINE_ID), 64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let host = match id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
            Some(id) => id,
            // Another address in each run.
            None => fs::random()?,
        };
        let run = sources.first().map_or_else(String::new, |name| name.display().to_string());
        Ok(Lan { bridge: bridge.to_owned(), host, run })
    }

    /// The address of a machine's card: the same in each run of a recipe, and another one for another recipe, and on another
    /// host, where somebody may run the same one.
    pub fn mac(&self, machine: &str) -> String {
        mac(machine, &format!("bridge {}\n{}", self.host, self.run))
    }

    /// What is told of it before the start.
    pub fn notice(&self, machine: &str) -> String {
        let (bridge, mac) = (&self.bridge, self.mac(machine));
        format!(
            "{machine} is on bridge {bridge} as {mac}: whoever is there reaches it, and it reaches them; no port is forwarded"
        )
    }
}

/// Refuses machines without a card that can be connected to a bridge, where one is asked for.
pub fn check_cards<'a>(bridge: Option<&str>, machines: impl Iterator<Item = &'a Machine>) -> Result<(), GuestError> {
    let without = |_: &str| machines.into_iter().find(|machine| !machine.user_network);
    let Some(machine) = bridge.and_then(without) else { return Ok(()) };
    let reason = format!("machine {} has no card for it, because of `user-network = false`", machine.name);
    Err(GuestError::Resource { option: "--bridge", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_one_name_have_addresses_of_their_own() {
        let of = |recipe: &str, from: &str, host: &str| {
            let joined = Lan::join("br0", &[recipe.into(), from.into()], &[]).unwrap();
            Lan { host: host.into(), ..joined }.mac("m")
        };
        let known = of("/a.kiln", "/x/result/a", "h");
        assert_eq!(known, of("/a.kiln", "/y/result/a", "h"), "the working directory is not what tells");
        assert_ne!(known, of("/b.kiln", "/x/result/a", "h"));
        assert_ne!(known, of("/a.kiln", "/x/result/a", "other"));
    }
}
