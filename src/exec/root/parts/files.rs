//! Files, directories and links of the recipe.

use std::path::Path;

use super::super::job::Job;
use super::super::{RootError, tree};
use super::Accounts;
use super::users::{inside, make, own};
use crate::plan::root::{RootContent, RootFile};

/// Writes them all; owners are looked up among the users of the image.
pub(super) fn apply(job: &Job, files: &[RootFile]) -> Result<(), RootError> {
    let accounts = Accounts::read(&job.root)?;
    for file in files {
        let owner = owner(&accounts, file)?;
        write(job, file, owner)?;
    }
    Ok(())
}

fn write(job: &Job, file: &RootFile, owner: (u32, u32)) -> Result<(), RootError> {
    let place = inside(&job.root, &file.path)?;
    if place.is_dir() && !place.is_symlink() && file.content != RootContent::Directory {
        return Err(RootError::Broken(format!("{} is a directory in the image", file.path)));
    }
    if let Some(parent) = place.parent() {
        tree::directory(parent)?;
    }
    match &file.content {
        RootContent::Directory => make(&place, file.mode, owner),
        RootContent::Link(target) => {
            tree::link(&place, target)?;
            own(&place, owner)
        }
        RootContent::Input(name) => {
            let source = job.inputs.get(name);
            let source = source.ok_or_else(|| RootError::Broken(format!("there is no input `{name}`")))?;
            tree::copy(Path::new(source), &place)?;
            own(&place, owner)?;
            tree::permit(&place, file.mode)
        }
    }
}

fn owner(accounts: &Accounts, file: &RootFile) -> Result<(u32, u32), RootError> {
    let missing = |what, name: &str| {
        RootError::Broken(format!("{} is to belong to the {what} {name}, which the image does not have", file.path))
    };
    let uid = file.owner.parse().ok().or_else(|| accounts.user(&file.owner).map(|(uid, _)| uid));
    let gid = file.group.parse().ok().or_else(|| accounts.gid(&file.group));
    Ok((uid.ok_or_else(|| missing("user", &file.owner))?, gid.ok_or_else(|| missing("group", &file.group))?))
}
