//! Which attestations were accepted before: whoever has seen a newer word of a builder is not shown an older one again.

use crate::base::{Foreign, Timestamp};
use crate::deliver::attestation::BuildIdentity;
use crate::ops::error::OpsError;
use crate::ops::sign::{Accepted, AcceptedKind};
use crate::world::World;

use super::tally::{Attester, Said};

/// Whether attestations count that are older than what was accepted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Older {
    /// They do, and nothing is remembered: a report changes nothing.
    #[default]
    Counts,
    /// They do not.
    Refused,
}

/// The newest words that were accepted of a build.
pub(super) struct Seen {
    accepted: Option<Accepted>,
    /// Under which names: that of the build, and that of the recipe, if a directory says itself which lock it is of. Who names a lock may
    /// well mean an old one.
    names: Vec<String>,
}

impl Seen {
    pub(super) fn open(
        world: &dyn World,
        older: Older,
        (build, is_directory): (&BuildIdentity, bool),
    ) -> Result<Seen, OpsError> {
        let accepted = match older {
            Older::Counts => None,
            Older::Refused => Some(Accepted::open(world, AcceptedKind::Attested)?),
        };
        let of_lock = format!("{} of lock {}", build.recipe, build.lock);
        let names = [of_lock].into_iter().chain(is_directory.then(|| build.recipe.clone())).collect();
        Ok(Seen { accepted, names })
    }

    /// Leaves out what is older, and tells so.
    pub(super) fn without_older(&self, said: Vec<Said>, problem: &mut dyn FnMut(String)) -> Vec<Said> {
        let newest = |one: &Attester| -> Option<Timestamp> {
            let accepted = self.accepted.as_ref()?;
            self.names.iter().filter_map(|name| accepted.newest(name, &one.key)).max()
        };
        let mut is_new = |one: &Said| {
            let Attester { name, key, attested, place, .. } = &one.attester;
            let Some(known) = newest(&one.attester).filter(|known| known > attested) else { return true };
            let by = format!("{place}: by {} ({key})", Foreign(name));
            problem(format!("{by}, it is a rollback: of {attested}, but one of {known} was accepted before"));
            false
        };
        said.into_iter().filter(|one| is_new(one)).collect()
    }

    /// Remembers what was accepted.
    pub(super) fn remember(&mut self, attesters: &[Attester]) -> Result<(), OpsError> {
        let Some(accepted) = &mut self.accepted else { return Ok(()) };
        for name in &self.names {
            for one in attesters {
                accepted.add(name, &one.key, one.attested)?;
            }
        }
        Ok(())
    }
}
