//! Groups and users of the recipe, in the account files.

use std::collections::BTreeSet;

use super::{Addition, enrol, homes};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, RootError, Tree};
use crate::plan::root::{RootSpec, RootUser};

/// Adds or changes every group and user.
pub(crate) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    let mut accounts = Accounts::read(tree)?;
    spec.users.iter().try_for_each(check)?;
    let there = spec.users.iter().map(|user| &user.name).filter(|name| accounts.passwd.named(name).is_some());
    let before: BTreeSet<String> = there.cloned().collect();
    enrol::all(spec, &mut accounts)?;
    for user in &spec.users {
        if let Some(line) = accounts.line(&user.name) {
            user.home.iter().for_each(|home| line[5].clone_from(home));
            user.shell.iter().for_each(|shell| line[6].clone_from(shell));
        }
        match &user.password_hash {
            Some(hash) => accounts.set_hash(&user.name, hash)?,
            // A package's user keeps what the package says, as root does.
            None if before.contains(&user.name) => {}
            None => accounts.set_hash(&user.name, "*")?,
        }
    }
    accounts.write(tree)
}

/// The users of the recipe whose homes are not there yet.
pub(super) fn newcomers(spec: &RootSpec, tree: &Tree) -> Result<BTreeSet<String>, RootError> {
    let accounts = Accounts::read(tree)?;
    let mut names = BTreeSet::new();
    for user in &spec.users {
        if let Some(home) = homes::place(tree, user, &accounts)?
            && !tree.has(home)?
        {
            names.insert(user.name.clone());
        }
    }
    Ok(names)
}

fn check(user: &RootUser) -> Result<(), RootError> {
    let plain = |text: &str| !text.contains([':', '\n', '\0']) && !text.is_empty();
    let home = |home: &String| plain(home) && home.starts_with('/') && !home.split('/').any(|part| part == "..");
    let name = !user.name.contains(['/', ',']) && plain(&user.name);
    if name && user.shell.iter().all(|shell| plain(shell)) && user.home.iter().all(home) {
        return Ok(());
    }
    Err(RootError::from(StepFailure::bug(format!(
        "user {:?} has a name, shell or home that is not valid in /etc/passwd",
        user.name
    ))))
}
