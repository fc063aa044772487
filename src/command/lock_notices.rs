//! What became of a lock that was there, in words on standard error.

use crate::base::Foreign;
use crate::ops::event::Notice;

/// Parts of a lock that are named.
const MAX_PARTS: usize = 20;

/// Says it, of notices about locks.
pub(super) fn tell(notice: Notice<'_>) {
    match notice {
        Notice::Relocked { committed, used, changes } => {
            crate::tell!(
                "warning: no server has some files of {} any more; this build uses other versions:",
                Foreign(committed.display())
            );
            changes.iter().for_each(|change| crate::tell!("  {change}"));
            crate::tell!(
                "warning: its lock is {}; {} is unchanged (`kiln lock --gone` would change it)",
                Foreign(used.display()),
                Foreign(committed.display())
            );
        }
        Notice::LockIgnored { path, error } => {
            crate::tell!("error: {}: {error}", path.display());
            crate::tell!("warning: it is made again from scratch");
        }
        Notice::LockSalvaged { path, error, lost } => {
            let reason = error.to_string();
            let reason = reason.split("\n  help: ").next().unwrap_or_default();
            crate::tell!("warning: {}: {reason}", Foreign(path.display()));
            first("made again", lost);
            crate::tell!("every other pin is kept");
        }
        Notice::LockSettled { path, error, settled } => {
            let reason = error.to_string();
            let reason = reason.split("\n  help: ").next().unwrap_or_default();
            crate::tell!("warning: {}: {reason}", Foreign(path.display()));
            crate::tell!(
                "kept: {} pins that both sides have, and {} of one side as far as the recipe needs them",
                settled.agreed,
                settled.one_sided
            );
            settled.contested.iter().for_each(|pin| crate::tell!("resolved again: {pin}"));
        }
        Notice::LockChanged { path, odd } => {
            crate::tell!(
                "warning: {} was edited or merged; its pins are kept, as this store does not have it as kiln wrote it (`git diff` may show what was edited)",
                Foreign(path.display())
            );
            first("resolved again", odd);
        }
        Notice::LockEdited { path, lines } => {
            crate::tell!("warning: {} was edited since `kiln lock` wrote it", Foreign(path.display()));
            let told =
                lines.iter().map(|(line, is_kept)| format!("{line}: {}", if *is_kept { "kept" } else { "undone" }));
            first("edited", &told.collect::<Vec<_>>());
        }
        _ => {}
    }
}

/// Names the first parts of a lock to which something happens.
fn first(what: &str, parts: &[impl std::fmt::Display]) {
    parts.iter().take(MAX_PARTS).for_each(|part| crate::tell!("{what}: {part}"));
    if parts.len() > MAX_PARTS {
        crate::tell!("{what}: {} more", parts.len() - MAX_PARTS);
    }
}
