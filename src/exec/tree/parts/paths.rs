//! Where a recipe's paths lie in a tree, and the directories above them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree, TreeError, layout};
use crate::plan::Statement;

/// Links on the way to one file: as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Where a user's home is, and whose what is made below it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) place: PathBuf,
    pub(super) owner: (u32, u32),
}

/// Homes by place.
#[derive(Debug, Default)]
pub(super) struct Homes(BTreeMap<PathBuf, (u32, u32)>);

impl Homes {
    pub(super) fn insert(&mut self, home: Home) {
        self.0.insert(home.place, home.owner);
    }

    /// The nearest home that a place is in.
    fn around(&self, place: &Path) -> Option<Home> {
        let found = place.ancestors().find_map(|path| self.0.get_key_value(path));
        found.map(|(place, owner)| Home { place: place.clone(), owner: *owner })
    }
}

/// Where a path that a package chose leads in the tree, whatever links are on the way; nothing when they lead in a circle.
pub(super) fn follow(tree: &Tree, path: &Path) -> Result<Option<PathBuf>, RootError> {
    let (mut place, mut links) = (PathBuf::new(), 0);
    let mut open: Vec<OsString> = parts(path);
    while let Some(part) = open.pop() {
        if part == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        if !tree.stat(&next)?.is_some_and(|stat| stat.link()) {
            place = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Ok(None);
        }
        let target = tree.at(&next).and_then(|link| link.target());
        let target = PathBuf::from(target.map_err(|error| TreeError::file("read", &next, error))?);
        if target.is_absolute() {
            place = PathBuf::new();
        }
        open.extend(parts(&target));
    }
    Ok(Some(place))
}

/// The names in a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.rev().collect()
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
pub(super) fn parents(tree: &Tree, place: &Path, homes: &Homes) -> Result<(), RootError> {
    let Some(parent) = place.parent() else { return Ok(()) };
    let home = homes.around(parent).filter(|home| !home.place.as_os_str().is_empty());
    let Some(home) = home else { return Ok(tree.directory(parent)?) };
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
