//! Whether the files of a machine are still those that were compared with a manifest.

use super::Launch;
use crate::guest::GuestError;
use crate::world::dir::Dir;
use crate::world::plain::FileState;

/// Refuses files that were exchanged or written to since they were compared. Somebody who may write the directory can
/// still do so in the moment before QEMU opens them, and then the guest sees other bytes; nobody else does.
pub(super) fn refuse(launch: &Launch) -> Result<(), GuestError> {
    if launch.states.is_empty() {
        return Ok(());
    }
    let held = Dir::open_named(&launch.artifacts)?;
    let same = |(name, state): (&String, &FileState)| {
        held.plain(name).is_ok_and(|plain| plain.state().is_ok_and(|found| found == *state))
    };
    match launch.states.iter().find(|state| !same(*state)) {
        Some((name, _)) => Err(GuestError::Changed { machine: launch.machine.clone(), file: name.clone() }),
        None => Ok(()),
    }
}
