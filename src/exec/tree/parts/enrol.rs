//! Which groups and users are added, and what numbers they get: the recipe's, else the lock's, else a free one.
//!
//! The order of blocks in a recipe changes nothing but who gets the first free number: fixed numbers are given first, and
//! memberships are written once everybody is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, RootError};
use crate::plan::Statement;
use crate::plan::root::{RootGroup, RootSpec, RootUser};

/// Numbers for people (policy 9.2.2).
const FIRST: u32 = 1000;
const LAST: u32 = 59_999;

/// Adds every group and user of the recipe that is not there yet, and its memberships.
pub(super) fn all(spec: &RootSpec, accounts: &mut Accounts) -> Result<(), RootError> {
    unclaimed(spec)?;
    let mut free = FreeNumbers { reserved: reserved(spec), next: FIRST };
    let number = |group: &RootGroup| group.gid.or(spec.ids.groups.get(&group.name).copied());
    for group in &spec.groups {
        if let Some(gid) = number(group) {
            fixed_group(accounts, &group.name, gid)?;
        }
    }
    for user in &spec.users {
        self::user(spec, accounts, (user, &mut free))?;
    }
    for group in spec.groups.iter().filter(|group| number(group).is_none()) {
        if accounts.gid(&group.name).is_none() {
            let gid = free.take(accounts)?;
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
    if let Some(owner) = accounts.group.numbered(gid) {
        let text = format!("gid {gid} of group {name} already belongs to the group {owner}");
        return Err(RootError::from(StepFailure::recipe(Statement::Group(name.to_owned()), text)));
    }
    accounts.add_group(name, gid);
    Ok(())
}

/// A user that is there keeps its number; a new one gets a group of its own, with its number where that is free.
fn user(
    spec: &RootSpec,
    accounts: &mut Accounts,
    (user, free): (&RootUser, &mut FreeNumbers),
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
        None => free.take(accounts)?,
    };
    if let Some(owner) = accounts.passwd.numbered(uid) {
        let text = format!("uid {uid} of user {name} already belongs to the user {owner}");
        return Err(RootError::from(StepFailure::recipe(Statement::User(name.clone()), text)));
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
            let gid = own_group(spec, accounts, (name, uid), free)?;
            accounts.add_group(name, gid);
            gid
        }
    };
    accounts.add_user(name, (uid, gid));
    Ok(())
}

/// The lock's number, else the user's, else a free one.
fn own_group(
    spec: &RootSpec,
    accounts: &Accounts,
    (name, uid): (&str, u32),
    free: &mut FreeNumbers,
) -> Result<u32, RootError> {
    let taken = |gid: u32| accounts.group.numbered(gid).is_some();
    let elsewhere = |gid: u32| spec.groups.iter().any(|group| group.name != name && group.gid == Some(gid));
    let wanted = [spec.ids.groups.get(name).copied(), Some(uid)].into_iter().flatten();
    match wanted.into_iter().find(|gid| !taken(*gid) && !elsewhere(*gid)) {
        Some(gid) => Ok(gid),
        None => free.take(accounts),
    }
}

/// Numbers that nobody has yet.
struct FreeNumbers {
    /// Those that are spoken for.
    reserved: BTreeSet<u32>,
    /// All below it are taken; what is taken stays so.
    next: u32,
}

impl FreeNumbers {
    /// The first number that neither a user nor a group has, so that a new user and its group can share it.
    fn take(&mut self, accounts: &Accounts) -> Result<u32, RootError> {
        let taken = |id: u32| accounts.passwd.numbered(id).is_some() || accounts.group.numbered(id).is_some();
        let found = (self.next..=LAST).find(|id| !self.reserved.contains(id) && !taken(*id));
        self.next = found.unwrap_or(LAST);
        found.ok_or_else(|| {
            let text = format!("no number from {FIRST} to {LAST} is free for a user or a group");
            RootError::from(StepFailure::input(text))
        })
    }
}

/// What the recipe and the lock say of the numbers of users, or of groups.
struct Stated<'a> {
    /// The field of the recipe, and what has it.
    words: (&'static str, &'static str),
    /// In the recipe, by name: the number, if it states one.
    numbers: BTreeMap<&'a str, Option<u32>>,
    /// In the lock.
    locked: &'a BTreeMap<String, u32>,
    statement: fn(String) -> Statement,
}

impl Stated<'_> {
    /// Refuses a number of the recipe that the lock gives to somebody else in it: were that one moved to another number,
    /// files of older images, such as those on a kept disk, would belong to the wrong one.
    fn unclaimed(&self) -> Result<(), RootError> {
        let (field, what) = self.words;
        let unstated = self.numbers.iter().filter(|(_, number)| number.is_none());
        let owners: BTreeMap<u32, &str> =
            unstated.filter_map(|(name, _)| Some((*self.locked.get(*name)?, *name))).collect();
        for (name, number) in &self.numbers {
            let Some((number, owner)) = number.and_then(|number| Some((number, *owners.get(&number)?))) else {
                continue;
            };
            let text = format!("{field} {number} of {what} {name} belongs to the {what} {owner} in the lock");
            return Err(StepFailure::recipe((self.statement)((*name).to_owned()), text)
                .about((self.statement)(owner.to_owned()))
                .help(format!("choose another `{field}`, or give {owner} a `{field}` of its own"))
                .into());
        }
        Ok(())
    }
}

fn unclaimed(spec: &RootSpec) -> Result<(), RootError> {
    let users = Stated {
        words: ("uid", "user"),
        numbers: spec.users.iter().map(|user| (user.name.as_str(), user.uid)).collect(),
        locked: &spec.ids.users,
        statement: Statement::User,
    };
    let groups = Stated {
        words: ("gid", "group"),
        numbers: spec.groups.iter().map(|group| (group.name.as_str(), group.gid)).collect(),
        locked: &spec.ids.groups,
        statement: Statement::Group,
    };
    users.unclaimed()?;
    groups.unclaimed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_lock_gives_to_another_is_refused_until_that_one_states_its_own() {
        let locked = BTreeMap::from([("alice".to_owned(), 1000), ("gone".to_owned(), 1002)]);
        let stated = |alice: Option<u32>, bob: u32| Stated {
            words: ("uid", "user"),
            numbers: BTreeMap::from([("alice", alice), ("bob", Some(bob))]),
            locked: &locked,
            statement: Statement::User,
        };
        let RootError::Stated(failure) = stated(None, 1000).unclaimed().unwrap_err() else { panic!("it is stated") };
        assert_eq!(failure.message, "uid 1000 of user bob belongs to the user alice in the lock");
        assert_eq!(failure.about, ["bob", "alice"].map(|name| Statement::User(name.to_owned())));
        stated(Some(1001), 1000).unclaimed().unwrap();
        stated(None, 1002).unclaimed().unwrap();
    }
}
