//! What the recipe removes from what the packages left, before it adds anything.

use super::Addition;
use crate::base::glob;
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Go, Place, RootError};
use crate::plan::Statement;

/// Removes everything that a pattern matches; a directory with all that is in it.
pub(crate) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    if spec.remove.is_empty() {
        return Ok(());
    }
    let mut idle: Vec<bool> = vec![true; spec.remove.len()];
    let mut removed: Vec<Place> = Vec::new();
    // All of it is looked at before anything is removed: a pattern may match only what another one takes along.
    tree.visit("", &mut |place, _| {
        let path = format!("/{}", place.path().to_string_lossy());
        let mut matched = false;
        for (pattern, idle) in spec.remove.iter().zip(&mut idle) {
            if glob::matches(pattern, &path) {
                (matched, *idle) = (true, false);
            }
        }
        // A directory comes right before what is in it.
        let taken_along = removed.last().is_some_and(|last| place.path().starts_with(last.path()));
        if matched && !taken_along {
            removed.push(place.clone());
        }
        Ok::<Go, RootError>(Go::Down)
    })?;
    for place in removed {
        place.remove()?;
    }
    match spec.remove.iter().zip(idle).find(|(_, idle)| *idle) {
        Some((pattern, _)) => Err(StepFailure::recipe(
            Statement::Pattern(pattern.clone()),
            format!("nothing that the packages leave matches `{pattern}`"),
        )
        .help("links are not followed: `/lib` is `/usr/lib`; `*` also matches `/`")
        .into()),
        None => Ok(()),
    }
}
