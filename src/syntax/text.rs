//! Strings: `"one line"` and `"""` blocks, with escapes and `${name}`.

use nom::Input as _;

use super::lexeme::name_length;
use super::state::{Input, Parsed, ahead, backtrack, mistake};
use super::tree::{Expression, TextPart};
use crate::base::{Diagnostic, Spanned};

/// A string of either form.
pub(super) fn text(input: Input<'_>) -> Parsed<'_, Expression> {
    if input.fragment().starts_with("\"\"\"") {
        return block(input);
    }
    if !input.fragment().starts_with('"') {
        return backtrack();
    }
    let start = input.take_from(1);
    let mut parts = Parts::default();
    let rest = parts.read(start, End::Quote)?;
    if !rest.fragment().starts_with('"') {
        let length = rest.location_offset() - input.location_offset();
        let unclosed = Diagnostic::new(ahead(input, length), "unterminated string").label("no `\"` on this line");
        return mistake(unclosed.hint("strings over several lines are written between two `\"\"\"`"));
    }
    Ok((rest.take_from(1), parts.into_value()))
}

/// `"""`, lines, `"""`. The indentation that all lines and the closing `"""` share does not belong to the text.
fn block(input: Input<'_>) -> Parsed<'_, Expression> {
    let opened = super::trivia::blanks(input.take_from(3));
    if !opened.fragment().starts_with('\n') {
        let wrong = Diagnostic::new(ahead(input, 3), "the text of a `\"\"\"` string starts on the next line");
        return mistake(wrong.label("must be the last thing on its line"));
    }
    let body = opened.take_from(1);
    let Some(end) = closing(body.fragment()) else {
        return mistake(Diagnostic::new(ahead(input, 3), "unterminated string").label("no closing `\"\"\"`"));
    };
    let raw = &body.fragment()[..end];
    let indentation = indentation(raw);
    let mut parts = Parts::default();
    let mut at = body;
    // The last line is the indentation of the closing quotes: it ends the text and adds nothing to it.
    for line in raw.split('\n').take(raw.matches('\n').count()) {
        let content = dedent(line, indentation);
        let skipped = if content.is_empty() { line.len() } else { indentation };
        let start = at.take_from(skipped);
        parts.read(start, End::After(content.len()))?;
        parts.literal.push('\n');
        at = at.take_from(line.len() + 1);
    }
    Ok((body.take_from(end + 3), parts.into_value()))
}

/// Where the closing `"""` of a block starts: the first line that has nothing before it.
fn closing(body: &str) -> Option<usize> {
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        let word = line.trim_start_matches([' ', '\t']);
        if word.starts_with("\"\"\"") {
            return Some(at + line.len() - word.len());
        }
        at += line.len();
    }
    None
}

/// Bytes of blanks that every line of a block (blank ones excepted) and its closing line start with.
pub(super) fn indentation(raw: &str) -> usize {
    let last = raw.rsplit('\n').next().unwrap_or_default();
    let lines = raw.split('\n').filter(|line| !line.trim().is_empty());
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    lines.fold(last.len(), |length, line| shared(&last[..length], line))
}

/// A line of a block without the shared indentation; blank lines are empty.
pub(super) fn dedent(line: &str, indentation: usize) -> &str {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim().is_empty() { "" } else { &line[indentation..] }
}

/// Where a part of a string ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At a quote or a line end.
    Quote,
    /// So many bytes on, in a line of a block.
    After(usize),
}

#[derive(Default)]
struct Parts {
    done: Vec<TextPart>,
    literal: String,
}

impl Parts {
    fn into_value(mut self) -> Expression {
        self.flush();
        Expression::Text(self.done)
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.done.push(TextPart::Literal(std::mem::take(&mut self.literal)));
        }
    }

    /// Reads up to the end, or to the end of the text.
    fn read<'a>(&mut self, mut at: Input<'a>, end: End) -> Result<Input<'a>, nom::Err<super::state::ParseFailure>> {
        let begin = at.location_offset();
        loop {
            let text: &'a str = at.fragment();
            let text = match end {
                End::Quote => text,
                End::After(length) => &text[..length.saturating_sub(at.location_offset() - begin)],
            };
            let ends = |byte| end == End::Quote && matches!(byte, b'"' | b'\n');
            let special = text.bytes().position(|byte| matches!(byte, b'\\' | b'$') || ends(byte));
            let (plain, rest) = text.split_at(special.unwrap_or(text.len()));
            self.literal.push_str(plain);
            at = at.take_from(plain.len());
            at = match rest.as_bytes().first() {
                Some(b'\\') => self.escape(at)?,
                Some(b'$') if at.fragment().starts_with("${") => self.interpolation(at)?,
                Some(b'$') => {
                    self.literal.push('$');
                    at.take_from(1)
                }
                _ => return Ok(at),
            };
        }
    }

    fn escape<'a>(&mut self, at: Input<'a>) -> Result<Input<'a>, nom::Err<super::state::ParseFailure>> {
        let c = at.fragment().chars().nth(1).unwrap_or('\n');
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '\\' | '"' | '$' => c,
            'u' => return self.unicode(at),
            _ => {
                let length = 1 + if c == '\n' { 0 } else { c.len_utf8() };
                let wrong = Diagnostic::new(ahead(at, length), "unknown escape").label("not an escape");
                return mistake(
                    wrong.hint("escapes are \\n \\t \\r \\\\ \\\" \\$ \\u{...}; a backslash itself is `\\\\`"),
                );
            }
        };
        self.literal.push(plain);
        Ok(at.take_from(2))
    }

    fn unicode<'a>(&mut self, at: Input<'a>) -> Result<Input<'a>, nom::Err<super::state::ParseFailure>> {
        let text: &'a str = at.fragment();
        let digits = text[2..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(digits, _)| digits);
        let number = digits.filter(|digits| digits.len() <= 6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (Some(c), Some(digits)) = (number.and_then(char::from_u32), digits) else {
            let wrong = Diagnostic::new(ahead(at, 2), "unknown escape").label("not a character");
            return mistake(wrong.hint("write the number of a character in hexadecimal: `\\u{e9}`"));
        };
        self.literal.push(c);
        Ok(at.take_from(4 + digits.len()))
    }

    fn interpolation<'a>(&mut self, at: Input<'a>) -> Result<Input<'a>, nom::Err<super::state::ParseFailure>> {
        let start = at.take_from(2);
        let length = name_length(start.fragment());
        if length == 0 || !start.fragment()[length..].starts_with('}') {
            let wrong = Diagnostic::new(ahead(at, 2), "`${` needs a name and `}`").label("starts a value here");
            return mistake(wrong.hint("the two characters themselves are written `\\${`"));
        }
        self.flush();
        let name = Spanned::new(start.fragment()[..length].to_owned(), ahead(start, length));
        self.done.push(TextPart::Name(name));
        Ok(start.take_from(length + 1))
    }
}
