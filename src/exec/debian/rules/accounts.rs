//! Rules about users: their files in one order, no day of change, and the table that the lock keeps.

use std::collections::BTreeMap;

use super::super::RootError;
use super::super::parts::Accounts;
use super::RuleInput;
use crate::exec::tree::Tree;
use crate::plan::root::RootIds;

/// Lines stand in the order in which scripts ran; `shadow` holds the day of the build.
pub(super) fn order(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    let mut accounts = Accounts::read(tree)?;
    accounts.normalise(terms.epoch.0.div_euclid(86_400));
    accounts.write(tree)?;
    for name in ["subuid", "subgid"] {
        tree.edit(format!("etc/{name}"), |text| sorted(text, ""))?;
    }
    Ok(tree.edit("etc/shells", |text| sorted(text, "#"))?)
}

/// Lines that begin with `mark` stay on top.
fn sorted(text: &str, mark: &str) -> String {
    let (top, mut rest): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| !mark.is_empty() && line.starts_with(mark));
    rest.sort_unstable();
    top.into_iter().chain(rest).map(|line| format!("{line}\n")).collect()
}

/// Every user and group with its number.
pub(crate) fn table(tree: &Tree) -> Result<RootIds, RootError> {
    let accounts = Accounts::read(tree)?;
    let numbers = |lines: &[Vec<String>]| -> Result<BTreeMap<String, u32>, RootError> {
        let number = |line: &Vec<String>| {
            let odd = |_| RootError::Broken(format!("{} has the number `{}`", line[0], line[2]));
            Ok((line[0].clone(), line[2].parse().map_err(odd)?))
        };
        lines.iter().map(number).collect()
    };
    Ok(RootIds { users: numbers(&accounts.passwd)?, groups: numbers(&accounts.group)? })
}
