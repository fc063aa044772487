//! Homes of the recipe's users: what `useradd --create-home` does, once the recipe's files are there.

use std::path::Path;

use super::login_defs::LoginDefs;
use super::paths::{Home, inside, make};
use super::{Addition, subordinate};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, FileType, Go, RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::RootUser;

/// Homes that belong to their users, or are going to: those of the recipe, and those that packages made.
pub(super) fn owned(addition: &Addition<'_>, accounts: &Accounts) -> Result<Vec<Home>, RootError> {
    let mut homes = Vec::new();
    for line in &accounts.passwd {
        let (Some(owner), Ok(place)) = (accounts.user(&line[0]), inside(addition.tree, &line[5])) else { continue };
        let there = addition.tree.stat(&place)?.is_some_and(|stat| stat.directory() && stat.uid == owner.0);
        if there || addition.newcomers.contains(&line[0]) {
            homes.push(Home { place, owner });
        }
    }
    Ok(homes)
}

/// Makes the homes of users that have none, and gives everybody what the recipe says.
pub(crate) fn apply(addition: &Addition<'_>) -> Result<(), RootError> {
    let Addition { spec, tree, .. } = addition;
    let accounts = Accounts::read(tree)?;
    let defs = LoginDefs::read(tree)?;
    for user in &spec.users {
        let name = &user.name;
        let line = accounts.passwd.iter().find(|line| line[0] == *name);
        let found = line.zip(accounts.user(name));
        let found = found.ok_or_else(|| {
            RootError::from(StepFailure::recipe(
                Statement::User(name.clone()),
                format!("/etc/passwd has no user {name}"),
            ))
        })?;
        let (line, owner) = found;
        shell(tree, name, &line[6])?;
        subordinate::give(addition, &defs, (name, owner.0))?;
        let home = Home { place: inside(tree, &line[5])?, owner };
        if addition.newcomers.contains(name) && !is_never_made(&line[5]) {
            new(addition, user, &home, defs.home_mode)?;
        }
        keys(addition, user, &home)?;
    }
    Ok(())
}

/// Homes that are nowhere: Debian's name for none (policy 9.2.3), and what is mounted over at every boot.
fn is_never_made(home: &str) -> bool {
    let top = home.trim_start_matches('/').split('/').next();
    home == "/nonexistent" || matches!(top, Some("dev" | "proc" | "run" | "sys"))
}

/// A login ends at once when its shell is not there, and nobody says why.
fn shell(tree: &Tree, user: &str, shell: &str) -> Result<(), RootError> {
    if shell.is_empty() || tree.has(shell)? {
        return Ok(());
    }
    let text = format!("user {user} has the shell {shell}, which is not in the image");
    Err(StepFailure::recipe(Statement::User(user.to_owned()), text)
        .help("add the package that has it, or give the user another `shell`")
        .into())
}

/// A home with a copy of `/etc/skel`, but for what the recipe puts there itself.
fn new(addition: &Addition<'_>, user: &RootUser, home: &Home, mode: u32) -> Result<(), RootError> {
    let Addition { tree, .. } = addition;
    let path = format!("/{}", home.place.display());
    if home.place.starts_with("etc/skel") {
        // The copy would be copied in turn.
        let name = user.name.clone();
        let text = format!("the home {path} of user {name} is below /etc/skel, which is copied into it");
        return Err(StepFailure::recipe(Statement::User(name), text).into());
    }
    if addition.named(&[&path]).is_none() {
        if let Some(parent) = home.place.parent() {
            tree.directory(parent)?;
        }
        make(tree, &home.place, mode, home.owner)?;
    }
    tree.visit("etc/skel", &mut |place, stat| {
        let below = place.path().strip_prefix("etc/skel").unwrap_or(Path::new(""));
        let target = home.place.join(below);
        if let Some(there) = tree.stat(&target)? {
            return Ok(if there.directory() && stat.directory() { Go::Down } else { Go::On });
        }
        match stat.kind {
            FileType::Directory => make(tree, &target, stat.mode, home.owner)?,
            FileType::RegularFile => {
                let mut from = place.context("read", place.read())?.0;
                tree.copy(&mut from, &target, 0o600)?;
                tree.own(&target, home.owner)?;
                tree.permit(&target, stat.mode)?;
            }
            FileType::Symlink => {
                tree.link(&target, place.context("read", place.target())?)?;
                tree.own(&target, home.owner)?;
            }
            _ => {
                let odd = format!("/{} is neither a file, a directory nor a link", place.path().display());
                return Err(RootError::from(StepFailure::input(odd)));
            }
        }
        Ok(Go::Down)
    })
}

/// Writes `authorized_keys`.
fn keys(addition: &Addition<'_>, user: &RootUser, home: &Home) -> Result<(), RootError> {
    let Addition { tree, .. } = addition;
    if user.authorized_keys.is_empty() {
        return Ok(());
    }
    let file = home.place.join(".ssh/authorized_keys");
    let path = format!("/{}", file.display());
    if addition.named(&[&path]).is_some() || addition.is_placed(&file)? {
        let text = format!(
            "{path} is set by both a file of the recipe and `authorized-keys` of user {}; keep one of them",
            user.name
        );
        return Err(RootError::from(StepFailure::recipe(Statement::User(user.name.clone()), text)));
    }
    if !tree.has(&home.place)? {
        let text = format!("user {} has no home for its `authorized-keys`: /{}", user.name, home.place.display());
        return Err(RootError::from(StepFailure::recipe(Statement::User(user.name.clone()), text)));
    }
    let ssh = home.place.join(".ssh");
    if !tree.has(&ssh)? {
        make(tree, &ssh, 0o700, home.owner)?;
    }
    let keys: String = user.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    tree.put(&file, keys.as_bytes(), 0o600)?;
    tree.own(&file, home.owner)?;
    Ok(tree.permit(&file, 0o600)?)
}
