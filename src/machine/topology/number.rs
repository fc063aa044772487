//! Numbers siblings so that adding one leaves the others alone.

use std::collections::BTreeSet;

/// What decides one sibling's number.
pub(super) struct Wish<'a> {
    /// The recipe's own number.
    pub(super) fixed: Option<u32>,
    /// Its name, whose last digits are the next best.
    pub(super) name: &'a str,
}

/// One number a sibling: the fixed one, else the one its name ends with if below `limit` and free, else the lowest free.
pub(super) fn numbers<'a>(wishes: impl Iterator<Item = Wish<'a>>, limit: u32) -> Vec<u32> {
    let wishes: Vec<Wish> = wishes.collect();
    let mut taken: BTreeSet<u32> = wishes.iter().filter_map(|wish| wish.fixed).collect();
    let mut chosen: Vec<Option<u32>> = wishes.iter().map(|wish| wish.fixed).collect();
    for (choice, wish) in chosen.iter_mut().zip(&wishes).filter(|(choice, _)| choice.is_none()) {
        *choice = last_number(wish.name).filter(|number| *number < limit && taken.insert(*number));
    }
    let mut free = (0..).filter(|number| !taken.contains(number));
    // The range is endless, so there is always a next one; more siblings than numbers is a rule's business.
    chosen.into_iter().map(|choice| choice.or_else(|| free.next()).unwrap_or(u32::MAX)).collect()
}

/// The decimal number that a name ends with.
fn last_number(name: &str) -> Option<u32> {
    name[name.trim_end_matches(|c: char| c.is_ascii_digit()).len()..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(names: &[&str]) -> Vec<u32> {
        numbers(names.iter().map(|name| Wish { fixed: None, name }), 16)
    }

    #[test]
    fn names_that_end_in_numbers_say_their_own() {
        assert_eq!(number(&["p3", "p0", "p1"]), [3, 0, 1]);
        assert_eq!(number(&["left", "right"]), [0, 1]);
    }

    #[test]
    fn a_number_taken_twice_or_too_large_falls_back_to_the_lowest_free_one() {
        assert_eq!(number(&["a1", "b1", "c99"]), [1, 0, 2]);
    }

    #[test]
    fn adding_a_numbered_sibling_anywhere_leaves_the_others_alone() {
        assert_eq!(number(&["p0", "p2", "p1"])[..], [0, 2, 1]);
        assert_eq!(number(&["p0", "p3", "p2", "p1"])[..], [0, 3, 2, 1]);
    }

    #[test]
    fn a_fixed_number_wins_over_a_name() {
        let wishes = [Wish { fixed: None, name: "p1" }, Wish { fixed: Some(1), name: "x" }];
        assert_eq!(numbers(wishes.into_iter(), 16), [0, 1]);
    }
}
