//! Users and groups get the numbers of the lock's table, whatever their packages' scripts were given.
//!
//! Scripts take the first number that is free, by rules of their tool (`adduser` counts up from 100, `systemd-sysusers`
//! and `useradd -r` down from 999): what a user gets depends on who came before. Nothing makes all of these tools take
//! a number that they are told, so kiln lets them choose, and then moves every user and group to its own number: in the
//! account files, and in the owner of everything in the tree. Where the table and the scripts agree nothing is moved.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Accounts, Go, Place, RootError, Stat, Tree, TreeError};
use crate::exec::failure::StepFailure;
use crate::plan::Statement;
use crate::plan::root::{RootIds, RootSpec};

/// Above this numbers are for people, and are counted up (policy 9.2.2).
const LAST_SYSTEM: u32 = 999;
const FIRST_SYSTEM: u32 = 100;
const LAST: u32 = 59_999;

/// New number by old one; those that stay are not in it.
type Moves = BTreeMap<u32, u32>;

/// Says which package a user or group comes from, if anybody knows.
pub(crate) type Origin = fn(&Tree, &str) -> Result<Option<String>, RootError>;

/// Moves every user and group of a configured tree to its number.
pub(crate) fn settle(spec: &RootSpec, tree: &Tree, origin: Origin) -> Result<(), RootError> {
    let found = Accounts::read(tree)?.ids()?;
    if !spec.new_ids {
        unknown(spec, &found, |name| origin(tree, name))?;
    }
    let wanted = assign(&found, &spec.ids);
    let users = moves("user", &found.users, &wanted.users)?;
    let groups = moves("group", &found.groups, &wanted.groups)?;
    if users.is_empty() && groups.is_empty() {
        return Ok(());
    }
    let mut accounts = Accounts::read(tree)?;
    accounts.renumber(&users, &groups);
    accounts.write(tree)?;
    chown(tree, &users, &groups)
}

/// Refuses users and groups that the table should know.
fn unknown(
    spec: &RootSpec,
    found: &RootIds,
    origin: impl Fn(&str) -> Result<Option<String>, RootError>,
) -> Result<(), RootError> {
    for (what, known, found) in [("user", &spec.ids.users, &found.users), ("group", &spec.ids.groups, &found.groups)] {
        let Some(name) = found.keys().find(|name| !known.contains_key(*name)) else { continue };
        let maker = origin(name)?;
        let (who, update) = match &maker {
            Some(package) => (format!("package {package}"), format!("kiln lock --update {package}")),
            None => ("a package".to_owned(), "kiln lock --update".to_owned()),
        };
        let about = maker.map_or(Statement::Block, Statement::Package);
        return Err(StepFailure::recipe(about, format!("{who} creates the {what} {name}, which is not in the lock"))
            .help(format!("run `{update}` and build again: the new {what} gets an id, and all others keep theirs"))
            .into());
    }
    Ok(())
}

/// Every name with its number: the table's, else the one that the scripts chose, else (when that is somebody else's) a
/// free one, for a user and its own group the same.
fn assign(found: &RootIds, table: &RootIds) -> RootIds {
    let mut result = RootIds::default();
    let mut displaced: BTreeSet<&String> = BTreeSet::new();
    for (found, table, result) in
        [(&found.users, &table.users, &mut result.users), (&found.groups, &table.groups, &mut result.groups)]
    {
        let reserved: BTreeSet<u32> = table.values().copied().collect();
        for (name, id) in found {
            match table.get(name) {
                Some(id) => drop(result.insert(name.clone(), *id)),
                None if reserved.contains(id) => drop(displaced.insert(name)),
                None => drop(result.insert(name.clone(), *id)),
            }
        }
    }
    let taken: BTreeSet<u32> = [&result.users, &result.groups, &table.users, &table.groups]
        .into_iter()
        .flat_map(|numbers| numbers.values().copied())
        .collect();
    // Each goes on where the last one was found: none before it is free any more.
    let mut system = (FIRST_SYSTEM..=LAST_SYSTEM).rev().filter(|id| !taken.contains(id));
    let mut people = (LAST_SYSTEM + 1..=LAST).filter(|id| !taken.contains(id));
    for name in displaced {
        let old = found.users.get(name).or(found.groups.get(name)).copied().unwrap_or_default();
        let id = if old > LAST_SYSTEM { people.next() } else { system.next() };
        // Sixty thousand users later there is no room; their scripts would have failed before.
        let id = id.unwrap_or(old);
        for (found, table, result) in
            [(&found.users, &table.users, &mut result.users), (&found.groups, &table.groups, &mut result.groups)]
        {
            if found.get(name) == Some(&old) && !table.contains_key(name) {
                result.insert(name.clone(), id);
            }
        }
    }
    result
}

/// What becomes of each number. One that two names share must stay one.
fn moves(what: &str, found: &BTreeMap<String, u32>, wanted: &BTreeMap<String, u32>) -> Result<Moves, RootError> {
    let mut targets: BTreeMap<u32, (&String, u32)> = BTreeMap::new();
    let mut sources: BTreeMap<u32, u32> = BTreeMap::new();
    for (name, &old) in found {
        let new = wanted.get(name).copied().unwrap_or(old);
        let (other, before) = targets.entry(old).or_insert((name, new));
        if *before != new {
            let text = format!("{what}s {other} and {name} share id {old}, but the lock has {before} and {new}");
            return Err(RootError::from(StepFailure::input(text)));
        }
        if *sources.entry(new).or_insert(old) != old {
            let text = format!("the lock gives id {new} to more than one {what}; one is {name}");
            return Err(RootError::from(StepFailure::input(text)));
        }
        if (old == 0) != (new == 0) {
            let text = format!("the lock has id {new} for {what} {name} instead of {old}");
            return Err(RootError::from(StepFailure::input(text)));
        }
    }
    Ok(targets.into_iter().map(|(old, (_, new))| (old, new)).filter(|(old, new)| old != new).collect())
}

/// Gives a tree to the new numbers. Files with several names are moved once.
fn chown(tree: &Tree, users: &Moves, groups: &Moves) -> Result<(), RootError> {
    let mut seen = BTreeSet::new();
    let mut give = |place: &Place, stat: &Stat| {
        if stat.directory() || stat.links <= 1 || seen.insert(stat.inode) {
            let owner = (users.get(&stat.uid).copied(), groups.get(&stat.gid).copied());
            place.context("change owner of", own(place, stat, owner))?;
        }
        Ok::<Go, RootError>(Go::Down)
    };
    let root = tree.at("").and_then(|root| root.stat().map(|stat| (root, stat)));
    let (root, stat) = root.map_err(|error| TreeError::file("change owner of", "", error))?;
    give(&root, &stat)?;
    tree.visit("", &mut give)
}

fn own(place: &Place, stat: &Stat, (uid, gid): (Option<u32>, Option<u32>)) -> io::Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    // A change of owner takes set-id bits and capabilities away.
    let capable = if stat.file() { Some(place.read()?.0) } else { None };
    let capability = capable.as_ref().map(super::capability).transpose()?.flatten();
    place.own(uid, gid)?;
    if !stat.link() {
        place.permit(stat.mode)?;
    }
    capable.zip(capability).map_or(Ok(()), |(file, value)| super::set_capability(&file, &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(users: &[(&str, u32)], groups: &[(&str, u32)]) -> RootIds {
        let map = |pairs: &[(&str, u32)]| pairs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        RootIds { users: map(users), groups: map(groups) }
    }

    #[test]
    fn the_table_wins_and_who_is_in_its_way_moves_on() {
        let table = ids(&[("a", 999), ("b", 998)], &[("a", 999), ("b", 998), ("g", 101)]);
        let found = ids(
            &[("a", 998), ("b", 997), ("c", 999), ("p", 1000)],
            &[("a", 998), ("b", 997), ("c", 999), ("g", 102), ("h", 101), ("p", 1000)],
        );
        let result = assign(&found, &table);
        let users = [("a", 999), ("b", 998), ("c", 997), ("p", 1000)];
        let groups = [("a", 999), ("b", 998), ("c", 997), ("g", 101), ("h", 996), ("p", 1000)];
        assert_eq!(result, ids(&users, &groups));
        let moved = moves("user", &found.users, &result.users).unwrap();
        assert_eq!(moved, Moves::from([(997, 998), (998, 999), (999, 997)]));
    }

    #[test]
    fn what_a_build_recorded_is_what_the_next_one_gives() {
        let found = ids(&[("a", 100), ("b", 101)], &[("a", 100), ("b", 101)]);
        let first = assign(&found, &RootIds::default());
        assert_eq!(first, found);
        let pinned = ids(&[("b", 100)], &[("b", 100)]);
        let first = assign(&found, &pinned);
        assert_eq!(assign(&found, &first), first);
        assert_eq!(first, ids(&[("a", 999), ("b", 100)], &[("a", 999), ("b", 100)]));
    }

    #[test]
    fn tables_that_cannot_be_are_refused() {
        let numbers = |pairs: &[(&str, u32)]| ids(pairs, &[]).users;
        let shared = numbers(&[("a", 5), ("b", 5)]);
        assert!(moves("user", &shared, &numbers(&[("a", 5), ("b", 6)])).is_err());
        assert_eq!(moves("user", &shared, &numbers(&[("a", 6), ("b", 6)])).unwrap(), Moves::from([(5, 6)]));
        let two = numbers(&[("a", 5), ("b", 6)]);
        assert!(moves("user", &two, &numbers(&[("a", 7), ("b", 7)])).is_err());
        assert!(moves("user", &numbers(&[("root", 0)]), &numbers(&[("root", 5)])).is_err());
    }
}
