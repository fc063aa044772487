//! The places that may have a locked file, in the order of `docs/lock.md`.

use super::error::{OpsError, UsageError};
use crate::debian::mirror::{self, Mirrors};
use crate::plan::step::FetchPlace;
use crate::world::World;

/// What the user, their configuration and the host name. The hosts of these mirrors are places that kiln may go to.
pub fn known(world: &dyn World) -> Result<Mirrors, OpsError> {
    let mirrors = Mirrors::of(world).map_err(UsageError::Mirrors)?;
    world.trust(&mut mirrors.hosts());
    Ok(mirrors)
}

/// The addresses of a file.
pub fn addresses(mirrors: &Mirrors, place: &FetchPlace) -> Vec<String> {
    match place {
        FetchPlace::Url(url) => mirrors.copies(url),
        FetchPlace::Recipe(_) => Vec::new(),
        FetchPlace::Repository { repository, path, snapshot } => {
            let bases = mirrors.bases(repository, &mirror::states(*snapshot));
            bases.iter().map(|base| format!("{}/{path}", base.trim_end_matches('/'))).collect()
        }
    }
}
