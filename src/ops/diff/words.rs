//! What differs between two command lines: options with their values, wherever they stand.

use std::collections::BTreeMap;

/// What only the first one has, and what only the second one has, in their order.
pub(super) fn difference(one: &[String], other: &[String]) -> (Vec<String>, Vec<String>) {
    let (one, other) = (options(one), options(other));
    (without(&one, &other), without(&other, &one))
}

/// Each word that begins with a dash, with those behind it that do not.
fn options(words: &[String]) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for word in words {
        match options.last_mut() {
            Some(option) if !word.starts_with('-') => *option = format!("{option} {word}"),
            _ => options.push(word.clone()),
        }
    }
    options
}

/// Those of `all` that are left when each of `others` has taken one that is equal.
fn without(all: &[String], others: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    others.iter().for_each(|other| *counts.entry(other.as_str()).or_default() += 1);
    let mut is_left = |option: &&String| match counts.get_mut(option.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    all.iter().filter(|option| is_left(option)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_compared_with_their_values_and_how_often_they_stand_there() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let one = words("qemu -m 2G -device a -device a -nodefaults");
        let other = words("qemu -device a -m 3G -nodefaults -append x y");
        let (removed, added) = difference(&one, &other);
        assert_eq!(
            (removed, added),
            (vec!["-m 2G".into(), "-device a".into()], vec!["-m 3G".into(), "-append x y".into()])
        );
        assert_eq!(difference(&one, &one), (vec![], vec![]));
    }
}
