//! Users of the recipe, with their homes and keys.

use std::path::{Path, PathBuf};

use super::Addition;
use crate::exec::tree::{Accounts, RootError, Tree, layout};
use crate::plan::root::{RootSpec, RootUser};

/// Adds or changes every user.
pub(crate) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    let mut accounts = Accounts::read(tree)?;
    for user in &spec.users {
        check(user)?;
        account(spec, &mut accounts, user)?;
    }
    accounts.write(tree)?;
    for user in &spec.users {
        let (uid, gid) = accounts.user(&user.name).expect("the loop above made it");
        home(tree, user, (uid, gid))?;
    }
    Ok(())
}

fn check(user: &RootUser) -> Result<(), RootError> {
    let plain = |text: &str| !text.contains([':', '\n', '\0']) && !text.is_empty();
    let climbs = user.home.split('/').any(|part| part == "..");
    let name = !user.name.contains(['/', ',']) && plain(&user.name);
    if name && plain(&user.shell) && plain(&user.home) && user.home.starts_with('/') && !climbs {
        return Ok(());
    }
    Err(RootError::Broken(format!("user {:?} has a name, shell or home that /etc/passwd cannot hold", user.name)))
}

fn account(spec: &RootSpec, accounts: &mut Accounts, user: &RootUser) -> Result<(), RootError> {
    let locked = spec.ids.users.get(&user.name).copied();
    let line = accounts.ensure_user(&user.name, user.uid.or(locked))?;
    line[5] = user.home.clone();
    line[6] = user.shell.clone();
    for group in &user.groups {
        accounts.join(&user.name, group)?;
    }
    accounts.set_hash(&user.name, user.password_hash.as_deref().unwrap_or("*"))
}

/// The home directory (a copy of `/etc/skel` when new) and `authorized_keys`.
fn home(tree: &Tree, user: &RootUser, owner: (u32, u32)) -> Result<(), RootError> {
    let place = inside(tree, &user.home)?;
    if !tree.has(&place)? {
        if let Some(parent) = place.parent() {
            tree.directory(parent)?;
        }
        make(tree, &place, 0o755, owner)?;
        for file in tree.list("etc/skel")? {
            let Some(text) = file.text()? else { continue };
            let name = file.path().file_name().unwrap_or_default();
            own_file(tree, &place.join(name), (text.as_bytes(), 0o644), owner)?;
        }
    }
    if user.authorized_keys.is_empty() {
        return Ok(());
    }
    let ssh = place.join(".ssh");
    if !tree.has(&ssh)? {
        make(tree, &ssh, 0o700, owner)?;
    }
    let keys: String = user.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    own_file(tree, &ssh.join("authorized_keys"), (keys.as_bytes(), 0o600), owner)
}

/// Where an absolute path of the image lies in the tree; refused when a link stands in the way: what is written there
/// would lie at another path than the recipe says.
pub(super) fn inside(tree: &Tree, path: &str) -> Result<PathBuf, RootError> {
    let link = || RootError::Broken(format!("the path {path} leads through a symbolic link of the image"));
    let linked = |place: &Path| Ok::<_, RootError>(tree.stat(place)?.is_some_and(|stat| stat.link()));
    let mut place = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(RootError::Broken(format!("the path {path} climbs with `..`")));
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

fn own_file(tree: &Tree, path: &Path, (bytes, mode): (&[u8], u32), owner: (u32, u32)) -> Result<(), RootError> {
    tree.put(path, bytes, mode)?;
    tree.own(path, owner)?;
    Ok(tree.permit(path, mode)?)
}
