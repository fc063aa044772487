//! What systemd would do at the first boot of every machine, done once: caches of files, and the stamps that say so.

use crate::exec::debian::run::Runner;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;

const SCRIPT: &str = include_str!("updates.sh");

/// What the script makes, of which a recipe may have its own.
const MADE: [&str; 5] =
    ["/etc/.updated", "/etc/ld.so.cache", "/etc/udev/hwdb.bin", "/var/.updated", "/var/lib/systemd/catalog/database"];

/// Updates, after everything else is in the tree: a library or a catalog of the recipe is in the caches, too.
pub(super) fn apply(addition: &Addition<'_>, runner: &Runner<'_>) -> Result<(), RootError> {
    if !addition.tree.has("usr/lib/systemd/system/systemd-update-done.service")? {
        return Ok(());
    }
    let stated: Vec<&str> = MADE.into_iter().filter(|path| addition.named(&[path]).is_some()).collect();
    let script = format!("root=\nstated='{}'\n{SCRIPT}", stated.join(" "));
    runner.script("updating caches for the first boot", &script, &mut |line| (runner.log)(line))
}
