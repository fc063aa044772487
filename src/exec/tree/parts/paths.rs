//! Where a recipe's paths lie in a tree, and the directories above them.

use std::path::{Path, PathBuf};

use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree, layout};
use crate::plan::Statement;

/// Where a user's home is, and whose what is made below it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) place: PathBuf,
    pub(super) owner: (u32, u32),
}

/// Where an absolute path of the image lies in the tree; refused when a link stands in the way: what is written there
/// would lie at another path than the recipe says.
pub(super) fn inside(tree: &Tree, path: &str) -> Result<PathBuf, RootError> {
    let link = || {
        RootError::from(StepFailure::recipe(
            Statement::File(path.to_owned()),
            format!("the path {path} leads through a symbolic link of the image"),
        ))
    };
    let linked = |place: &Path| Ok::<_, RootError>(tree.stat(place)?.is_some_and(|stat| stat.link()));
    let mut place = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(RootError::from(StepFailure::recipe(
                Statement::File(path.to_owned()),
                format!("the path {path} contains `..`"),
            )));
        }
        // Merged /usr is the one link that everybody writes through.
        if linked(&place)? {
            let merged = place.to_str().map(layout::place).ok_or_else(link)?;
            if !tree.stat(&merged)?.is_some_and(|stat| stat.directory()) {
                return Err(link());
            }
            place = PathBuf::from(merged);
        }
        place.push(part);
    }
    let through = place.parent().map_or(Ok(false), linked)?;
    if path.is_empty() || through { Err(link()) } else { Ok(place) }
}

pub(super) fn make(tree: &Tree, path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), RootError> {
    tree.directory(path)?;
    tree.own(path, owner)?;
    Ok(tree.permit(path, mode)?)
}

/// Makes the directories above a place. Those in somebody's home belong to that user, or nothing else could be put there.
pub(super) fn parents(tree: &Tree, place: &Path, homes: &[Home]) -> Result<(), RootError> {
    let Some(parent) = place.parent() else { return Ok(()) };
    let around = |home: &&Home| parent.starts_with(&home.place);
    let home = homes.iter().filter(around).max_by_key(|home| home.place.components().count());
    let Some(home) = home.filter(|home| !home.place.as_os_str().is_empty()) else { return Ok(tree.directory(parent)?) };
    let mut above: Vec<&Path> = parent.ancestors().take_while(|path| path.starts_with(&home.place)).collect();
    if let Some(outside) = home.place.parent() {
        tree.directory(outside)?;
    }
    while let Some(directory) = above.pop() {
        if tree.find(directory)?.is_none() {
            make(tree, directory, 0o755, home.owner)?;
        }
    }
    Ok(())
}
