//! `/etc/subuid` and `/etc/subgid`: ids that users may give to their containers (subuid(5)).

use super::Addition;
use super::login_defs::{LoginDefs, Subordinate};
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::plan::Statement;

/// Gives a new user a range in each of the two files that the image has, as `useradd` does.
pub(super) fn give(addition: &Addition<'_>, defs: &LoginDefs, (name, uid): (&str, u32)) -> Result<(), RootError> {
    if !(defs.uid_min..=defs.uid_max).contains(&u64::from(uid)) {
        return Ok(());
    }
    for (file, ids) in [("etc/subuid", defs.users), ("etc/subgid", defs.groups)] {
        let tree = addition.tree;
        // A file of the recipe is as the recipe has it.
        if addition.named(&[&format!("/{file}")]).is_some() {
            continue;
        }
        let Some(text) = tree.text(file)? else { continue };
        let missing = || {
            RootError::from(StepFailure::recipe(
                Statement::User(name.to_owned()),
                format!("/{file} has no {} ids left for user {name}", ids.count),
            ))
        };
        if ids.count > 0 && !text.lines().any(|line| line.split(':').next() == Some(name)) {
            let first = start(&text, ids, u64::from(uid) - defs.uid_min).ok_or_else(missing)?;
            tree.edit(file, |text| format!("{}{name}:{first}:{}\n", ended(text), ids.count))?;
        }
    }
    Ok(())
}

/// A text whose last line has an end, as scripts do not always leave it.
fn ended(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}")
}

/// The range that the user's number alone decides, so that it stays when other users come and go; where that is taken, the
/// first free one.
fn start(text: &str, ids: Subordinate, place: u64) -> Option<u64> {
    let field = |line: &str, at: usize| line.split(':').nth(at).and_then(|field| field.parse::<u64>().ok());
    let taken = text.lines().filter_map(|line| Some((field(line, 1)?, field(line, 2)?)));
    let mut taken: Vec<(u64, u64)> = taken.map(|(first, count)| (first, first.saturating_add(count))).collect();
    taken.sort_unstable();
    let fits = |first: u64| first.saturating_add(ids.count) <= ids.max.saturating_add(1);
    let meets = |first: u64, (other, until): &(u64, u64)| first < *until && *other < first.saturating_add(ids.count);
    let own = place.checked_mul(ids.count).and_then(|offset| ids.min.checked_add(offset));
    let own = own.filter(|first| fits(*first) && !taken.iter().any(|range| meets(*first, range)));
    own.or_else(|| {
        // In the order of their beginnings: what a range does not leave free, none before it does.
        let first = taken.iter().fold(ids.min, |first, range| if meets(first, range) { range.1 } else { first });
        fits(first).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::within_cpu_seconds;

    const IDS: Subordinate = Subordinate { min: 100_000, max: 300_000, count: 65_536 };

    #[test]
    fn a_line_without_an_end_is_not_continued() {
        assert_eq!(ended("daemon:100000:10"), "daemon:100000:10\n");
        assert_eq!((ended("a:1:1\n"), ended("")), ("a:1:1\n".to_owned(), String::new()));
    }

    #[test]
    fn a_users_number_decides_its_range() {
        assert_eq!(start("", IDS, 0), Some(100_000));
        assert_eq!(start("", IDS, 1), Some(165_536));
        assert_eq!(start("other:100000:65536\n", IDS, 1), Some(165_536));
    }

    #[test]
    fn many_ranges_are_looked_at_once() {
        within_cpu_seconds(60, "exec::tree::parts::subordinate::tests::many_ranges_are_looked_at_once", || {
            let ids = Subordinate { min: 100_000, max: u64::from(u32::MAX), count: 10 };
            let text: String = (0..200_000).rev().map(|at| format!("u{at}:{}:10\n", 100_000 + at * 10)).collect();
            assert_eq!(start(&text, ids, 0), Some(2_100_000));
        });
    }

    #[test]
    fn a_range_that_is_taken_or_out_of_bounds_is_replaced() {
        assert_eq!(start("other:90000:20000\n", IDS, 0), Some(110_000));
        assert_eq!(start("", IDS, 900), Some(100_000));
        assert_eq!(start("a:100000:200001\n", IDS, 900), None);
        assert_eq!(start("nonsense\nb:x:y\n", IDS, u64::MAX), Some(100_000));
    }
}
