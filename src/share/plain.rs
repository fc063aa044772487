//! What others wrote: which of their names are taken, and how their words are quoted.

/// Characters of a quotation that are kept.
const LONG: usize = 200;

/// Whether a name is one path component that neither a shell nor an option string could misread.
pub fn is_plain(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 100 && name.chars().all(legal) && !name.starts_with(['.', '-'])
}

/// Foreign words as a part of a sentence: on one line, without a character that a terminal would obey, and not endless.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONG).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONG).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_on_their_line() {
        assert_eq!(quoted("a\n6 files: all good\u{1b}[2J\u{202e}"), "a\\n6 files: all good\\u{1b}[2J\\u{202e}");
        assert_eq!(quoted(&"x".repeat(1000)).len(), LONG + 3);
    }

    #[test]
    fn plain_names_are_one_component() {
        assert!(is_plain("disk.qcow2") && is_plain("System.map-6.12"));
        for name in ["", ".", "..", ".hid", "-rf", "a/b", "a b", "a\n", "a$(id)", "é", &"x".repeat(101)] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
