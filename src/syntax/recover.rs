//! Where reading goes on after a mistake: at the next line of the same body.

use nom::Input as _;

use super::state::Input;

/// Skips the rest of the line, with every block that opens on it, and stops before a `}` that closes the body.
///
/// A mistake at the first word of a line (a list before it that is not closed) does not cost that line.
pub(super) fn next_entry<'a>(whole: &str, input: Input<'a>) -> Input<'a> {
    let text = *input.fragment();
    let before = whole.rsplit('\n').next().unwrap_or_default();
    if whole.contains('\n') && before.trim().is_empty() && super::lexeme::name_length(text) > 0 {
        return input;
    }
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if depth == 0 => break,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b'{' => depth += 1,
            b'#' => at += line(&text[at..]) - 1,
            b'"' => at += string(&text[at..]) - 1,
            _ => {}
        }
        at += 1;
    }
    input.take_from(at.min(text.len()))
}

/// Bytes up to the end of the line.
fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Bytes of a string; one that is not closed ends with its line.
fn string(text: &str) -> usize {
    if let Some(rest) = text.strip_prefix("\"\"\"") {
        return rest.find("\"\"\"").map_or(text.len(), |end| end + 6);
    }
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'\n' {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' if bytes.get(at + 1).is_some_and(|b| *b != b'\n') => at += 2,
            _ => at += 1,
        }
    }
    at.min(bytes.len())
}
