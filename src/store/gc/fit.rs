//! What goes so that the rest fits: no more than is needed.
//!
//! What was used longest ago goes first. A build uses all of its results within moments, so of what was used at the same time, that
//! goes first which is missed least ([`Role`]); and among equals whatever comes closest to what is still too much.

use std::collections::{BTreeMap, BTreeSet};

use super::{ALWAYS, Entry, Role, size};
use crate::base::Digest;
use crate::store::{Output, Store, StoreError};

/// Takes positions out of a list of sizes until their sum is at least `excess`, or all are taken; no more than need be.
fn taken(sizes: &[u64], excess: u64) -> Vec<usize> {
    let (mut taken, mut surplus) = at_least(sizes, excess);
    // What one more made needless stays.
    taken.sort_by_key(|at| std::cmp::Reverse(sizes[*at]));
    taken.retain(|at| {
        let is_needless = sizes[*at] <= surplus;
        surplus -= if is_needless { sizes[*at] } else { 0 };
        !is_needless
    });
    taken
}

/// The same with perhaps some that need not be, and how much more they are.
fn at_least(sizes: &[u64], mut excess: u64) -> (Vec<usize>, u64) {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(sizes[*at]));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for at in order {
        // What is empty frees nothing.
        if sizes[at] > 0 && sizes[at] <= excess {
            excess -= sizes[at];
            taken.push(at);
        } else {
            left.push(at);
        }
    }
    let one_more = left.into_iter().rev().find(|at| excess > 0 && sizes[*at] > 0);
    taken.extend(one_more);
    (taken, one_more.map_or(0, |at| sizes[at].saturating_sub(excess)))
}

impl Store {
    /// Parts entries into those that go so that no more than `most` bytes stay, and the others.
    pub(super) fn beyond(&self, entries: Vec<Entry>, most: u64) -> Result<(Vec<Entry>, Vec<Entry>), StoreError> {
        let sizes = entries.iter().map(|entry| size(&entry.path)).collect::<Result<Vec<u64>, StoreError>>()?;
        let mut groups: BTreeMap<(i64, Role), Vec<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.last_used != ALWAYS) {
            groups.entry((entry.last_used, entry.role)).or_default().push(at);
        }
        let mut excess = sizes.iter().sum::<u64>().saturating_sub(most);
        let mut gone = BTreeSet::new();
        for group in groups.into_values() {
            let of_group: Vec<u64> = group.iter().map(|at| sizes[*at]).collect();
            for at in taken(&of_group, excess) {
                excess = excess.saturating_sub(of_group[at]);
                gone.insert(group[at]);
            }
        }
        gone.extend(self.useless(&entries, &gone));
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        for (at, entry) in entries.into_iter().enumerate() {
            if gone.contains(&at) { out.push(entry) } else { kept.push(entry) }
        }
        Ok((out, kept))
    }

    /// Results that have an output less: their steps run again.
    fn useless(&self, entries: &[Entry], gone: &BTreeSet<usize>) -> Vec<usize> {
        let lost: BTreeSet<Digest> = gone
            .iter()
            .filter(|at| matches!(entries[**at].part, "cas" | "tree"))
            .filter_map(|at| entries[*at].digest)
            .collect();
        let has_lost = |action: &Digest| {
            let outputs = self.peek_result(action).unwrap_or_default();
            outputs.values().any(|output| match output {
                Output::File { digest, .. } => lost.contains(digest),
                Output::Tree { root, .. } => lost.contains(root),
            })
        };
        let results = entries.iter().enumerate().filter(|(_, entry)| entry.part == "ac" && entry.last_used != ALWAYS);
        results.filter(|(_, entry)| entry.digest.as_ref().is_some_and(has_lost)).map(|(at, _)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_goes_than_is_too_much() {
        let sizes = [10, 300, 0, 50, 120];
        for (excess, expected) in [
            (0, vec![]),
            (1, vec![10]),
            (55, vec![50, 10]),
            (60, vec![50, 10]),
            (115, vec![120]),
            (125, vec![120, 10]),
            (299, vec![300]),
            (300, vec![300]),
            (1000, vec![300, 120, 50, 10]),
        ] {
            let found: Vec<u64> = taken(&sizes, excess).into_iter().map(|at| sizes[at]).collect();
            assert_eq!(found, expected, "{excess}");
            assert!(excess > 480 || found.iter().sum::<u64>() >= excess);
        }
    }
}
