//! Patterns of paths with `*` and `?`, as dpkg's `path-exclude` reads them: both also match `/`.
//!
//! Input: a pattern and a path. Output: whether it matches. A pattern of any shape takes time proportional to its length
//! times the path's.

/// One position of a pattern.
pub trait Position {
    /// Whether it is a star, which matches any number of bytes.
    fn is_star(&self) -> bool;
    /// Whether it matches this byte, if it is not a star.
    fn fits(&self, byte: u8) -> bool;
}

impl Position for u8 {
    fn is_star(&self) -> bool {
        *self == b'*'
    }

    fn fits(&self, byte: u8) -> bool {
        *self == b'?' || *self == byte
    }
}

/// Whether the whole path matches.
pub fn matches(pattern: &str, path: &str) -> bool {
    matches_all(pattern.as_bytes(), path.as_bytes())
}

/// Whether all of a text matches the positions of a pattern.
pub fn matches_all<P: Position>(pattern: &[P], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last star stands, and what it has taken so far ends; only the last one ever takes more.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(position) if position.is_star() => {
                star = Some((at, read));
                at += 1;
            }
            Some(position) if position.fits(text[read]) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                (at, read) = (before + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(Position::is_star)
}

/// The directories at the beginning of a pattern, before anything that can match several names.
pub fn fixed(pattern: &str) -> &str {
    pattern.split(['*', '?']).next().unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_everything_and_question_marks_one_byte() {
        for (pattern, path, expected) in [
            ("/usr/share/doc/*", "/usr/share/doc/a/b", true),
            ("/usr/share/doc/**", "/usr/share/doc/a/b", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("/usr/share/doc/*/copyright", "/usr/share/doc/a/copyright", true),
            ("/usr/share/doc/*/copyright", "/usr/share/doc/a/copyright.gz", false),
            ("*/x?z", "/a/xyz", true),
            ("*/x?z", "/a/xz", false),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/*a*b*c", "/xaybzc", true),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!(fixed("/usr/share/doc/*/copyright"), "/usr/share/doc");
        assert_eq!(fixed("/etc/x"), "/etc/x");
    }

    #[test]
    fn no_pattern_takes_forever() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(150).repeat(20).replace('a', "ab")[..4000].replace("ab", "b")));
        assert!(!matches(&format!("{}b", "*a".repeat(250)), &"a".repeat(4000)));
    }
}
