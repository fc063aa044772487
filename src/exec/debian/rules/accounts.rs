//! Rules about users: their files in one order, and no day of change.

use super::RuleInput;
use crate::exec::tree::{Accounts, RootError, Tree};

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
