//! Users of the recipe, with their homes and keys.

use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use super::super::unpack::fs_error;
use super::super::{RootError, tree};
use super::Accounts;
use crate::plan::root::{RootSpec, RootUser};

/// Adds or changes every user.
pub(super) fn apply(spec: &RootSpec, root: &Path) -> Result<(), RootError> {
    let mut accounts = Accounts::read(root)?;
    for user in &spec.users {
        check(user)?;
        account(spec, &mut accounts, user)?;
    }
    accounts.write(root)?;
    for user in &spec.users {
        let (uid, gid) = accounts.user(&user.name).expect("the loop above made it");
        home(root, user, (uid, gid))?;
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
fn home(root: &Path, user: &RootUser, owner: (u32, u32)) -> Result<(), RootError> {
    let place = inside(root, &user.home)?;
    if !place.exists() {
        if let Some(parent) = place.parent() {
            tree::directory(parent)?;
        }
        make(&place, 0o755, owner)?;
        for file in tree::entries(&root.join("etc/skel"))? {
            let Some(text) = tree::text(&file)? else { continue };
            own_file(&place.join(file.file_name().unwrap_or_default()), text.as_bytes(), 0o644, owner)?;
        }
    }
    if user.authorized_keys.is_empty() {
        return Ok(());
    }
    let ssh = place.join(".ssh");
    if !ssh.exists() {
        make(&ssh, 0o700, owner)?;
    }
    let keys: String = user.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    own_file(&ssh.join("authorized_keys"), keys.as_bytes(), 0o600, owner)
}

/// Where an absolute path of the image lies; refused when a link stands in the way, which could lead out.
pub(super) fn inside(root: &Path, path: &str) -> Result<PathBuf, RootError> {
    let mut place = root.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(RootError::Broken(format!("the path {path} climbs with `..`")));
        }
        // Merged /usr is the one link that everybody writes through.
        if place.is_symlink() {
            let target = place.strip_prefix(root).ok().and_then(|name| name.to_str()).map(super::super::layout::place);
            let merged = target.filter(|target| root.join(target).is_dir() && !root.join(target).is_symlink());
            let link = || RootError::Broken(format!("the path {path} leads through a symbolic link of the image"));
            place = root.join(merged.ok_or_else(link)?);
        }
        place.push(part);
    }
    if path.is_empty() || place.parent().is_some_and(Path::is_symlink) {
        return Err(RootError::Broken(format!("the path {path} leads through a symbolic link of the image")));
    }
    Ok(place)
}

pub(super) fn make(path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), RootError> {
    tree::directory(path)?;
    own(path, owner)?;
    tree::permit(path, mode)
}

pub(super) fn own_file(path: &Path, bytes: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), RootError> {
    tree::put(path, bytes, mode)?;
    own(path, owner)?;
    tree::permit(path, mode)
}

pub(super) fn own(path: &Path, (uid, gid): (u32, u32)) -> Result<(), RootError> {
    lchown(path, Some(uid), Some(gid)).map_err(|error| fs_error("change owner of", path, error))
}
