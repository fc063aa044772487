//! What somebody else wrote, on its way to a terminal.
//!
//! Input: names, versions, answers, output of programs: any text. Output: the same in one line, in which nothing can
//! move a cursor, change a colour, end a line or turn the reading direction around. Control characters become the
//! pictures that reports of mistakes show them as (`␛`, `␊`); what has no picture is spelled `\u{202e}`.

use std::fmt::{self, Write};

/// Bytes of one foreign text that are shown.
const LIMIT: usize = 4 << 10;

/// Text of somebody else, shown in one line of bounded length.
#[derive(Debug, Clone, Copy)]
pub struct Foreign<T>(pub T);

impl<T: fmt::Display> fmt::Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounded = Bounded { out: f, left: LIMIT, more: 0 };
        write!(bounded, "{}", self.0)?;
        bounded.finish()
    }
}

/// Every line of a foreign text, escaped by itself, after a line feed and this prefix.
pub struct Quoted<'a>(pub &'a str, pub &'static str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| write!(f, "\n{}{}", self.1, Foreign(line)))
    }
}

/// How a character is shown that a terminal would obey or hide; `None`: as it is.
pub(super) fn escaped(c: char) -> Option<String> {
    match c {
        '\t' => Some("    ".to_owned()),
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).map(String::from),
        '\x7f' => Some("␡".to_owned()),
        c if is_hidden(c) => Some(c.escape_unicode().to_string()),
        _ => None,
    }
}

/// Whether a terminal shows this character, and does nothing else with it.
pub fn is_plain(c: char) -> bool {
    escaped(c).is_none()
}

/// C1 control characters, separators of lines, and format characters (Unicode's category Cf): what has an effect and no
/// shape of its own.
fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0x80..=0x9f | 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0x110bd | 0x110cd
        | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// The same for whoever counts: escapes what it hands on, and stops after so many bytes.
struct Bounded<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
    more: usize,
}

impl Bounded<'_, '_> {
    fn finish(self) -> fmt::Result {
        if self.more == 0 { Ok(()) } else { write!(self.out, "... ({} more bytes)", self.more) }
    }
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (at, c) in text.char_indices() {
            if self.left < c.len_utf8() || self.more > 0 {
                self.left = 0;
                self.more += text.len() - at;
                return Ok(());
            }
            self.left -= c.len_utf8();
            match escaped(c) {
                Some(shown) => self.out.write_str(&shown)?,
                None => self.out.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "\x1b]0;title\x07\x1b[2J\rerror: run\nok\u{8}\u{7f}\u{9b}31m\u{202e}\u{2066}\u{feff}\u{2028}\tü";
        let shown = Foreign(hostile).to_string();
        assert_eq!(shown, "␛]0;title␇␛[2J␍error: run␊ok␈␡\\u{9b}31m\\u{202e}\\u{2066}\\u{feff}\\u{2028}    ü");
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let shown = Foreign(c).to_string();
            assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)), "{c:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = "é".repeat(1 << 20);
        let shown = Foreign(&text).to_string();
        assert!(shown.len() < LIMIT + 64 && shown.ends_with("é... (2093056 more bytes)"), "{}", shown.len());
        assert_eq!(Foreign("é".repeat(LIMIT / 2)).to_string().len(), LIMIT);
    }

    #[test]
    fn lines_are_quoted_one_by_one() {
        assert_eq!(Quoted("a\r\nerror: b\x1b[m", "  | ").to_string(), "\n  | a\n  | error: b␛[m");
    }
}
