//! Fields of archive members, side by side, each decoded as its format means it.

use super::{Differences, Rule};
use crate::base::Timestamp;

/// What archives say of a member besides its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Sorted as archives of ours are.
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: i64,
    pub(super) size: u64,
    /// Whatever else there is, by name.
    pub(super) more: Vec<(String, String)>,
}

/// Tells every field that differs.
pub(super) fn compare(place: &str, one: &Facts, two: &Facts, found: &mut Differences) {
    let mut field = |name: &str, one: String, two: String, rule: Rule| {
        if one != two {
            found.add(place, format!("{name} {one} then {two}"));
            found.help(rule);
        }
    };
    field("type", one.kind.clone(), two.kind.clone(), Rule::Content);
    field("mode", format!("{:04o}", one.mode), format!("{:04o}", two.mode), Rule::Mode);
    let owner = |facts: &Facts| format!("{}:{}", facts.owner.0, facts.owner.1);
    field("owner", owner(one), owner(two), Rule::Owner);
    let time = |mtime: i64| format!("{mtime} ({})", Timestamp(mtime));
    field("mtime", time(one.mtime), time(two.mtime), Rule::Time);
    field("size", one.size.to_string(), two.size.to_string(), Rule::Content);
    let names: std::collections::BTreeSet<&String> = one.more.iter().chain(&two.more).map(|(name, _)| name).collect();
    for name in names {
        let value = |facts: &Facts| {
            let found = facts.more.iter().find(|(known, _)| known == name);
            found.map_or_else(|| "absent".to_owned(), |(_, value)| value.clone())
        };
        field(name, value(one), value(two), Rule::Content);
    }
}

/// A member's place within its archive's.
pub(super) fn within(place: &str, path: &str) -> String {
    if place.is_empty() { path.to_owned() } else { format!("{place} > {path}") }
}

/// Which of two sorted archives lacks a member that the other has; tells it.
pub(super) fn missing(place: &str, one: Option<&Facts>, two: Option<&Facts>, found: &mut Differences) -> Side {
    match (one, two) {
        (Some(one), Some(two)) if one.path == two.path => Side::Both,
        (Some(one), two) if two.is_none_or(|two| one.path < two.path) => {
            found.add(&within(place, &one.path), "only in the first");
            Side::First
        }
        _ => {
            if let Some(two) = two {
                found.add(&within(place, &two.path), "only in the second");
            }
            Side::Second
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    First,
    Second,
}
