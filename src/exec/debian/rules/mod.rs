//! Everything that is taken out of a configured system, or put in order, so that two builds are equal.
//!
//! Input: the tree as packages and recipe left it. Output: the same tree without what only this build knew, and the
//! table of its users. Each rule is a function with its reason; [`crate::plan::root::RULES`] is their version.

mod accounts;
mod caches;
mod databases;
mod foresight;
mod identity;
mod keys;
pub(super) mod keystore;
mod kinds;
mod leftovers;
mod random;
mod secrets;

pub(crate) use foresight::foresee;

use crate::base::Timestamp;
use crate::exec::debian::maker::Makers;
use crate::exec::failure::StepFailure;
use crate::exec::tree::{Accounts, RootError, Tree};
use crate::plan::root::{Finding, RULES, RootFile, RootIds};

/// The step whose tree is put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Packages alone: what the recipe says of their files is not known yet.
    Base,
    /// Packages and recipe.
    Root,
}

/// What rules must know besides the tree.
pub(crate) struct RuleInput<'a> {
    /// The rules that the plan was made for.
    pub(crate) rules: u32,
    /// No file is younger.
    pub(crate) epoch: Timestamp,
    /// Which of the two steps asks.
    pub(crate) stage: Stage,
    /// Files of the recipe, which are there on purpose.
    pub(crate) files: &'a [RootFile],
}

/// One rule.
pub(super) type Rule = fn(&RuleInput<'_>, &Tree) -> Result<(), RootError>;

/// In this order; a name per rule for errors and documentation.
pub(super) const ALL: [(&str, Rule); 17] = [
    ("placeholders", foresight::remove),
    ("machine-id", identity::machine_id),
    ("secrets", secrets::remove),
    ("ssh-host-keys", identity::ssh_host_keys),
    ("private-keys", keys::private),
    ("resolver", identity::resolver),
    ("apt-sources", identity::apt_sources),
    ("logs", leftovers::logs),
    ("temporary-files", leftovers::temporary),
    ("backups", leftovers::backups),
    ("bytecode", caches::bytecode),
    ("loader-cache", caches::loader),
    ("archive-caches", caches::apt),
    ("timed-caches", caches::timed),
    ("java-keystore", keystore::date),
    ("accounts", accounts::order),
    ("databases", databases::sort),
];

/// Applies every rule and returns the users of the result. Doing it twice is doing it once: a base is put in order, and
/// once more what a recipe made of it.
pub(crate) fn apply(terms: &RuleInput<'_>, tree: &Tree) -> Result<RootIds, RootError> {
    if terms.rules != RULES {
        return Err(RootError::from(StepFailure::bug(format!(
            "the plan is for version {} of the rules, but this kiln has version {RULES}",
            terms.rules
        ))));
    }
    let tree = &tree.keeping(terms.files.iter().map(|file| &file.path))?;
    for (name, rule) in ALL {
        rule(terms, tree).map_err(|error| RootError::Rule { rule: name, source: Box::new(error) })?;
    }
    Accounts::read(tree)?.ids()
}

/// Files of a base that may be secrets: those that look random, and private keys that a package ships.
pub(crate) fn doubtful(tree: &Tree) -> Result<Vec<Finding>, RootError> {
    let makers = Makers::read(tree)?;
    Ok([random::find(tree, &makers)?, kinds::shipped(tree, &makers)?].concat())
}

/// Whether `dpkg --verify` says something that a rule did on purpose.
pub(crate) fn expected_finding(line: &str) -> bool {
    let path = line.split_ascii_whitespace().next_back().unwrap_or_default();
    leftovers::is_log(path) || caches::is_bytecode(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules that are no step of [`ALL`]: in `numbers`, `times`, `pack` and `parts::updates`.
    const ELSEWHERE: [&str; 4] = ["numbers", "times", "owners-and-attributes", "first-boot"];

    #[test]
    fn the_page_names_every_rule_and_no_other() {
        let page = include_str!("../../../../docs/reproducibility.md");
        let section = page.split("\n## ").find(|section| section.starts_with("Rules of the root file system"));
        let rows = section.unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
        let rules: Vec<&str> = ALL.iter().map(|(name, _)| *name).chain(ELSEWHERE).collect();
        assert_eq!(named, rules);
        assert!(page.contains(&format!("rules of root file systems, now {RULES} ")), "the page has another version");
        assert!(
            page.contains(&format!("output version, now {} ", crate::lock::OUTPUT)),
            "the page has another version"
        );
    }
}
