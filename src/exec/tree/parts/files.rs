//! Files, trees, directories and links of the recipe, in the order of their paths: what lies deeper comes later.

use std::collections::BTreeSet;
use std::path::Path;

use super::Addition;
use super::homes;
use super::paths::{Homes, inside, make, parents};
use super::trees::Placing;
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::{RootContent, RootFile};
use crate::world::fs;

/// Writes them all; owners are looked up among the users of the image.
pub(crate) fn apply(addition: &Addition<'_>) -> Result<(), RootError> {
    let accounts = Accounts::read(addition.tree)?;
    let homes = homes::owned(addition, &accounts)?;
    for file in &addition.spec.files {
        let owner = owner(&accounts, file)?;
        write(addition, (file, owner), &homes)?;
    }
    Ok(())
}

fn write(addition: &Addition<'_>, (file, owner): (&RootFile, (u32, u32)), homes: &Homes) -> Result<(), RootError> {
    let Addition { tree, inputs, .. } = addition;
    let place = inside(tree, &file.path)?;
    let there = tree.stat(&place)?.is_some_and(|stat| stat.directory());
    if there && !matches!(file.content, RootContent::Directory | RootContent::Tree(_)) {
        return Err(RootError::from(StepFailure::recipe(
            Statement::File(file.path.clone()),
            format!("{} is a directory in the image", file.path),
        )));
    }
    unobstructed(tree, file, &place)?;
    parents(tree, &place, homes)?;
    let input = |name: &String| {
        inputs.get(name).ok_or_else(|| RootError::from(StepFailure::bug(format!("there is no input `{name}`"))))
    };
    match &file.content {
        RootContent::Directory => make(tree, &place, file.mode, owner),
        RootContent::Link(target) => {
            tree.link(&place, target)?;
            Ok(tree.own(&place, owner)?)
        }
        RootContent::Tree(name) => {
            let mut placing = Placing { tree, file, owner, placed: BTreeSet::new() };
            placing.all(input(name)?, &place)?;
            addition.placed.borrow_mut().append(&mut placing.placed);
            Ok(())
        }
        RootContent::Input(name) => {
            let mut bytes = fs::open_unless_directory(input(name)?)?.ok_or_else(|| {
                // Only a build can leave one: everything else that is an input is a file.
                RootError::from(StepFailure::recipe(
                    Statement::File(file.path.clone()),
                    format!("the build left a directory, and {} is to be a file", file.path),
                ))
            })?;
            tree.copy(&mut bytes, &place, 0o600)?;
            tree.own(&place, owner)?;
            tree.permit(&place, file.mode)?;
            // Last: a new owner and new bytes take them away.
            file.capabilities.map_or(Ok(()), |capabilities| Ok(tree.empower(&place, &capabilities.attribute())?))
        }
    }
}

/// What a package has where the recipe needs a directory is not replaced by one.
fn unobstructed(tree: &Tree, file: &RootFile, place: &Path) -> Result<(), RootError> {
    let own = match file.content {
        RootContent::Directory | RootContent::Tree(_) => 0,
        RootContent::Link(_) | RootContent::Input(_) => 1,
    };
    for above in place.ancestors().skip(own) {
        // Links were refused before, but for those of merged /usr.
        if tree.stat(above)?.is_some_and(|stat| !stat.directory() && !stat.link()) {
            let text =
                format!("/{} is not a directory in the image, and {} needs one there", above.display(), file.path);
            return Err(StepFailure::recipe(Statement::File(file.path.clone()), text).into());
        }
    }
    Ok(())
}

fn owner(accounts: &Accounts, file: &RootFile) -> Result<(u32, u32), RootError> {
    let missing = |what, name: &str| {
        RootError::from(StepFailure::recipe(
            Statement::File(file.path.clone()),
            format!("{what} {name}, the owner of {}, does not exist in the image", file.path),
        ))
    };
    let uid = file.owner.parse().ok().or_else(|| accounts.user(&file.owner).map(|(uid, _)| uid));
    let gid = file.group.parse().ok().or_else(|| accounts.gid(&file.group));
    Ok((uid.ok_or_else(|| missing("user", &file.owner))?, gid.ok_or_else(|| missing("group", &file.group))?))
}
