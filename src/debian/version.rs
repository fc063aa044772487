//! The order of Debian versions (Debian Policy, section 5.6.12), without allocating: a resolution compares thousands.

use std::cmp::Ordering;

/// `epoch:upstream-revision`, compared part by part.
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    compare_numbers(epoch_a.as_bytes(), epoch_b.as_bytes())
        .then_with(|| compare_part(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| compare_part(revision_a.as_bytes(), revision_b.as_bytes()))
}

/// Whether the text follows the grammar: digits for the epoch, an upstream part, only the characters that Policy allows.
pub fn is_valid(text: &str) -> bool {
    let (epoch, upstream, _) = split(text);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b".+~-:".contains(&c);
    epoch.bytes().all(|c| c.is_ascii_digit())
        && !upstream.is_empty()
        && text.len() <= 256
        && text.bytes().all(allowed)
        && !text.starts_with(':')
}

/// The upstream part: `11.1.3+ds` of `1:11.1.3+ds-2`.
pub fn upstream(text: &str) -> &str {
    split(text).1
}

/// Timestamp (empty when absent), upstream version, revision (empty when absent: equal to `0`).
fn split(text: &str) -> (&str, &str, &str) {
    let (epoch, rest) = text.split_once(':').unwrap_or(("", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Alternates between non-digits, compared letter by letter, and digits, compared as numbers.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (digit_at(a), digit_at(b));
        let order = compare_text(&a[..text_a], &b[..text_b]);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[text_a..], &b[text_b..]);
        let (number_a, number_b) = (non_digit_at(a), non_digit_at(b));
        let order = compare_numbers(&a[..number_a], &b[..number_b]);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[number_a..], &b[number_b..]);
    }
    Ordering::Equal
}

/// `~` sorts before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length: leading zeros do not count, then the longer is the larger.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().take_while(|digit| **digit == b'0').count();
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn digit_at(text: &[u8]) -> usize {
    text.iter().position(u8::is_ascii_digit).unwrap_or(text.len())
}

fn non_digit_at(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_ascend() {
        let ascending = [
            "1.0~beta1~svn1",
            "1.0~beta1",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0a",
            "1.0+b1",
            "1.00001.5",
            "1.2",
            "1.10",
            "1:0.1",
        ];
        // `1.0-1` and `1.0` differ by the revision only; letters sort before punctuation.
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn an_absent_epoch_or_revision_is_zero() {
        for (a, b) in [("1", "0:1"), ("1-0", "1"), ("1.01", "1.1"), ("1.0", "1.")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_its_place(a in "\\PC{0,20}", b in "\\PC{0,20}") {
            assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            assert_eq!(compare(&a, &a), Ordering::Equal);
            assert!(!is_valid(&a) || a.is_ascii());
        }
    }
}
