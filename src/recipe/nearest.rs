//! The known name that a misspelt one most likely means.

/// The closest of `names` when it is close enough to be worth saying.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let close = |name: &&str| name.chars().count().abs_diff(wanted.chars().count()) <= limit;
    let measured = names.into_iter().filter(close).map(|name| (distance(wanted, name), name));
    measured.filter(|(far, _)| *far <= limit).min().map(|(_, name)| name)
}

/// How far a name is from the one that was wanted, if it is near enough to be meant among the many thousands of an archive.
pub(crate) fn closeness(wanted: &str, name: &str) -> Option<usize> {
    let limit = if wanted.len() < 5 { 1 } else { 2 };
    let close = wanted.len().abs_diff(name.len()) <= limit;
    close.then(|| distance(wanted, name)).filter(|far| *far <= limit)
}

/// A hint: the nearest name, else the whole choice when it is short.
pub fn suggest(wanted: &str, names: &[&str]) -> Option<String> {
    if let Some(name) = nearest(wanted, names.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    (1..=24).contains(&names.len()).then(|| format!("known here: {}", names.join(", ")))
}

/// Edits (insert, remove, replace, swap two neighbours) between two words, ignoring case and `_` against `-`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| {
        let plain = |c: char| if c == '_' { '-' } else { c.to_ascii_lowercase() };
        text.chars().take(64).map(plain).collect::<Vec<_>>()
    };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let replace = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_finds_none() {
        let names = ["memory", "machine", "cpus", "qemu"];
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("cpu", names), Some("cpus"));
        assert_eq!(nearest("kernel", names), None);
        assert_eq!(nearest("authorized_keys", ["authorized-keys"]), Some("authorized-keys"));
    }

    #[test]
    fn the_distance_is_the_textbook_one() {
        for (a, b, far) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 1)] {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }
}
