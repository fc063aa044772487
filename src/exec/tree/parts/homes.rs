//! Homes of the recipe's users: what `useradd --create-home` does, once the recipe's files are there.

use std::path::{Path, PathBuf};

use super::login_defs::LoginDefs;
use super::paths::{Home, Homes, follow, inside, make};
use super::{Addition, subordinate};
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::tree::{Accounts, FileType, Go, RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::RootUser;
use crate::recipe::image::is_never_made;

/// Homes that belong to their users, or are going to: those of the recipe, and those that packages made.
pub(super) fn owned(addition: &Addition<'_>, accounts: &Accounts) -> Result<Homes, RootError> {
    let mut homes = Homes::default();
    for line in accounts.passwd.lines() {
        let Some(owner) = accounts.user(&line[0]) else { continue };
        let Some(place) = follow(addition.tree, Path::new(&line[5]))? else { continue };
        let there = addition.tree.stat(&place)?.is_some_and(|stat| stat.directory() && stat.uid == owner.0);
        if there || addition.newcomers.contains(&line[0]) {
            homes.insert(Home { place, owner });
        }
    }
    Ok(homes)
}

/// Where the home of a user of the recipe is; nothing when a package's links lead nowhere. A home that the recipe states
/// lies at that very path, or what is written there would lie elsewhere; one that it leaves to a package or to the usual
/// place lies where a login finds it.
pub(super) fn place(tree: &Tree, user: &RootUser, accounts: &Accounts) -> Result<Option<PathBuf>, RootError> {
    let name = &user.name;
    match &user.home {
        Some(home) => inside(tree, home).map(Some).map_err(|error| match error {
            RootError::Stated(failure) if failure.fault == Fault::Recipe => {
                let text = format!("the home {home} of user {name} leads through a symbolic link of the image");
                StepFailure::recipe(Statement::User(name.clone()), text).into()
            }
            other => other,
        }),
        None => {
            let usual = || format!("/home/{name}");
            let home = accounts.passwd.named(name).map_or_else(usual, |line| line[5].clone());
            follow(tree, Path::new(&home))
        }
    }
}

/// Makes the homes of users that have none, and gives everybody what the recipe says.
pub(crate) fn apply(addition: &Addition<'_>) -> Result<(), RootError> {
    let Addition { spec, tree, .. } = addition;
    let accounts = Accounts::read(tree)?;
    let defs = LoginDefs::read(tree)?;
    for user in &spec.users {
        let name = &user.name;
        let found = accounts.passwd.named(name).zip(accounts.user(name));
        let found = found.ok_or_else(|| {
            RootError::from(StepFailure::recipe(
                Statement::User(name.clone()),
                format!("/etc/passwd has no user {name}"),
            ))
        })?;
        let (line, owner) = found;
        shell(tree, name, &line[6])?;
        subordinate::give(addition, &defs, (name, owner.0))?;
        let Some(place) = place(tree, user, &accounts)? else {
            let text = format!("the home {} of user {name} is a symbolic link that leads nowhere", line[5]);
            return Err(StepFailure::recipe(Statement::User(name.clone()), text)
                .help("give the user another `home`")
                .into());
        };
        let home = Home { place, owner };
        if user.home.is_some() && tree.stat(&home.place)?.is_some_and(|stat| !stat.directory()) {
            let text = format!("the home /{} of user {name} is not a directory in the image", home.place.display());
            return Err(StepFailure::recipe(Statement::User(name.clone()), text).into());
        }
        if addition.newcomers.contains(name) && !is_never_made(&format!("/{}", home.place.display())) {
            new(addition, user, &home, defs.home_mode)?;
        }
        keys(addition, user, &home)?;
    }
    Ok(())
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
