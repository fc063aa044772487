//! What hints offer: names and numbers that are free, sizes that are allowed.

use std::collections::BTreeSet;

use crate::base::ByteSize;

/// What windows and capacities are multiples of.
pub(super) const QUANTUM: u64 = 256 << 20;
/// As long as a name may be (`recipe::machine::check`).
const MAX_NAME: usize = 40;

/// A name that is not taken: `wanted` itself, else with the next number at its end.
pub(super) fn name(wanted: &str, taken: &BTreeSet<&str>) -> String {
    if wanted.len() <= MAX_NAME && !taken.contains(wanted) {
        return wanted.to_owned();
    }
    let stem = wanted.trim_end_matches(|c: char| c.is_ascii_digit());
    // Room for a number.
    let stem: String = stem.chars().take(MAX_NAME - 5).collect();
    let names = (1..).map(|number: u32| format!("{stem}{number}"));
    names.into_iter().find(|name| !taken.contains(name.as_str())).unwrap_or_default()
}

/// The lowest number that is not taken, `wanted` or above it if there is one.
pub(super) fn number(wanted: u32, last: u32, taken: &BTreeSet<u32>) -> Option<u32> {
    (wanted..=last).chain(0..wanted).find(|number| !taken.contains(number))
}

/// The next size that windows and capacities may have.
pub(super) fn whole(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(QUANTUM).unwrap_or(u64::MAX / QUANTUM * QUANTUM)
}

/// The next multiple of a unit that is not below `least` and not above `most`.
pub(super) fn within(size: u64, unit: u64, least: u64, most: u64) -> ByteSize {
    ByteSize(size.checked_next_multiple_of(unit).unwrap_or(most).clamp(least, most))
}

/// `"a", "b"` as a recipe's list has them: `[a, b]`.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", "))
}

/// A sentence's list of names, at most four of them.
pub(super) fn named(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().take(4).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(quoted.len()) {
        0 => quoted.join(", "),
        more => format!("{} and {more} more", quoted.join(", ")),
    }
}

/// CPUs as a recipe writes them: `0-3,8`.
pub(super) fn cpus(sorted: impl IntoIterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_offered_is_free_and_not_too_long() {
        let long = "a".repeat(39);
        let taken = BTreeSet::from(["w0", "w1", "mem", long.as_str()]);
        assert_eq!(name("v", &taken), "v");
        assert_eq!(name("w0", &taken), "w2");
        assert_eq!(name("mem", &taken), "mem1");
        assert_eq!(name(&format!("{long}-alone"), &taken), "a".repeat(35) + "1");
    }

    #[test]
    fn numbers_sizes_and_cpus_that_are_offered_are_allowed() {
        assert_eq!(number(5, 7, &BTreeSet::from([5, 6])), Some(7));
        assert_eq!(number(5, 7, &BTreeSet::from([5, 6, 7])), Some(0));
        assert_eq!(number(0, 1, &BTreeSet::from([0, 1])), None);
        assert_eq!([whole(0), whole(QUANTUM), whole(QUANTUM + 1)], [QUANTUM, QUANTUM, 2 * QUANTUM]);
        assert!(whole(u64::MAX).is_multiple_of(QUANTUM));
        assert_eq!(within(130 << 10, 4 << 10, 128 << 10, 2 << 20).to_string(), "132KiB");
        assert_eq!(within(3 << 20, 4 << 10, 128 << 10, 2 << 20).to_string(), "2MiB");
        assert_eq!(cpus([0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
