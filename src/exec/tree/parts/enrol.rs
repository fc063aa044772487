//! Which groups and users are added, and what numbers they get: the recipe's, else the lock's, else a free one.
//!
//! The order of blocks in a recipe changes nothing but who gets the first free number: fixed numbers are given first, and
//! memberships are written once everybody is there.

use std::collections::BTreeSet;

use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, RootError};
use crate::plan::Statement;
use crate::plan::root::{RootGroup, RootSpec, RootUser};

/// Numbers for people (policy 9.2.2).
const FIRST: u32 = 1000;
const LAST: u32 = 59_999;

/// Adds every group and user of the recipe that is not there yet, and its memberships.
pub(super) fn all(spec: &RootSpec, accounts: &mut Accounts) -> Result<(), RootError> {
    let reserved = reserved(spec);
    let number = |group: &RootGroup| group.gid.or(spec.ids.groups.get(&group.name).copied());
    for group in &spec.groups {
        if let Some(gid) = number(group) {
            fixed_group(accounts, &group.name, gid)?;
        }
    }
    for user in &spec.users {
        self::user(spec, accounts, (user, &reserved))?;
    }
    for group in spec.groups.iter().filter(|group| number(group).is_none()) {
        if accounts.gid(&group.name).is_none() {
            let gid = free(accounts, &reserved)?;
            accounts.add_group(&group.name, gid);
        }
    }
    for user in &spec.users {
        user.groups.iter().try_for_each(|group| accounts.join(&user.name, group))?;
    }
    Ok(())
}

/// Numbers that belong to somebody, whether there yet or not.
fn reserved(spec: &RootSpec) -> BTreeSet<u32> {
    let users = spec.users.iter().filter_map(|user| user.uid);
    let groups = spec.groups.iter().filter_map(|group| group.gid);
    let table = spec.ids.users.values().chain(spec.ids.groups.values());
    users.chain(groups).chain(table.copied()).collect()
}

fn fixed_group(accounts: &mut Accounts, name: &str, gid: u32) -> Result<(), RootError> {
    match accounts.gid(name) {
        Some(there) if there == gid => return Ok(()),
        Some(there) => {
            let text = format!("group {name} already has the gid {there}; the recipe requests {gid}");
            return Err(RootError::from(StepFailure::recipe(Statement::Group(name.to_owned()), text)));
        }
        None => {}
    }
    if let Some(owner) = accounts.group.iter().find(|line| has_number(line, gid)) {
        return Err(RootError::from(StepFailure::recipe(
            Statement::Group(name.to_owned()),
            format!("gid {gid} of group {name} already belongs to the group {}", owner[0]),
        )));
    }
    accounts.add_group(name, gid);
    Ok(())
}

/// A user that is there keeps its number; a new one gets a group of its own, with its number where that is free.
fn user(
    spec: &RootSpec,
    accounts: &mut Accounts,
    (user, reserved): (&RootUser, &BTreeSet<u32>),
) -> Result<(), RootError> {
    let name = &user.name;
    if let Some((there, _)) = accounts.user(name) {
        return match user.uid {
            Some(uid) if uid != there => {
                let text = format!("user {name} already has the uid {there}; the recipe requests {uid}");
                Err(RootError::from(StepFailure::recipe(Statement::User(name.clone()), text)))
            }
            _ => Ok(()),
        };
    }
    let uid = match user.uid.or(spec.ids.users.get(name).copied()) {
        Some(uid) => uid,
        None => free(accounts, reserved)?,
    };
    if let Some(owner) = accounts.passwd.iter().find(|line| has_number(line, uid)) {
        return Err(RootError::from(StepFailure::recipe(
            Statement::User(name.clone()),
            format!("uid {uid} of user {name} already belongs to the user {}", owner[0]),
        )));
    }
    let gid = match accounts.gid(name) {
        Some(gid) if spec.groups.iter().any(|group| group.name == *name) => gid,
        Some(_) => {
            let text = format!("cannot create a group for user {name}: a package already created a group {name}");
            return Err(StepFailure::recipe(Statement::User(name.clone()), text)
                .help(format!("give the user another name; `groups = [\"{name}\"]` makes it a member"))
                .into());
        }
        None => {
            let gid = own_group(spec, accounts, (name, uid), reserved)?;
            accounts.add_group(name, gid);
            gid
        }
    };
    accounts.add_user(name, (uid, gid));
    Ok(())
}

/// Whether a line of a table has this number, however it is spelled.
fn has_number(line: &[String], number: u32) -> bool {
    line[2].parse() == Ok(number)
}

/// The lock's number, else the user's, else a free one.
fn own_group(
    spec: &RootSpec,
    accounts: &Accounts,
    (name, uid): (&str, u32),
    reserved: &BTreeSet<u32>,
) -> Result<u32, RootError> {
    let taken = |gid: u32| accounts.group.iter().any(|line| has_number(line, gid));
    let elsewhere = |gid: u32| spec.groups.iter().any(|group| group.name != name && group.gid == Some(gid));
    let wanted = [spec.ids.groups.get(name).copied(), Some(uid)].into_iter().flatten();
    match wanted.into_iter().find(|gid| !taken(*gid) && !elsewhere(*gid)) {
        Some(gid) => Ok(gid),
        None => free(accounts, reserved),
    }
}

/// The first number that neither a user nor a group has, so that a new user and its group can share it.
fn free(accounts: &Accounts, reserved: &BTreeSet<u32>) -> Result<u32, RootError> {
    let numbers = |lines: &[Vec<String>]| lines.iter().filter_map(|line| line[2].parse().ok()).collect::<Vec<u32>>();
    let taken: BTreeSet<u32> = numbers(&accounts.passwd).into_iter().chain(numbers(&accounts.group)).collect();
    let found = (FIRST..=LAST).find(|id| !taken.contains(id) && !reserved.contains(id));
    found.ok_or_else(|| {
        RootError::from(StepFailure::input(format!("no number from {FIRST} to {LAST} is free for a user or a group")))
    })
}
