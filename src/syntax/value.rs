//! Values: literals, names, lists, ranges, and words applied to values.

use nom::Input as _;

use super::lexeme::name_length;
use super::state::{Input, ParseFailure, Parsed, ahead, backtrack, between, mistake, next_char};
use super::tree::Expression;
use super::{number, text, trivia};
use crate::base::{ByteSize, Diagnostic, Spanned};

/// A value after `=` or in a list: a simple one, or a word and a string: `package "x" from backports`.
pub(super) fn value(input: Input<'_>) -> Parsed<'_, Spanned<Expression>> {
    let (rest, word) = simple(input)?;
    match &word.value {
        Expression::Name(name) if trivia::blanks(rest).fragment().starts_with('"') => {
            let name = Spanned::new(name.clone(), word.span);
            let (rest, arguments) = call_arguments(rest)?;
            Ok((rest, Spanned::new(Expression::Call(name, arguments), between(input, rest))))
        }
        _ => Ok((rest, word)),
    }
}

/// A value that is no call: what may stand between a keyword and its body.
pub(super) fn simple(input: Input<'_>) -> Parsed<'_, Spanned<Expression>> {
    input.extra.count(input)?;
    let (rest, value) = match input.fragment().chars().next() {
        Some('"') => text::text(input)?,
        Some('[') => input.extra.deeper(input, list)?,
        Some(c) if c.is_ascii_digit() || c == '-' => match number::number(input) {
            Err(nom::Err::Error(_)) => return unexpected(input),
            other => other?,
        },
        _ => match word(input) {
            Err(nom::Err::Error(_)) => return unexpected(input),
            other => other?,
        },
    };
    let first = Spanned::new(value, between(input, rest));
    if rest.fragment().starts_with("..") && matches!(first.value, Expression::Integer(_) | Expression::Name(_)) {
        let (rest, last) = simple(rest.take_from(2))?;
        return Ok((rest, Spanned::new(Expression::Range(Box::new(first), Box::new(last)), between(input, rest))));
    }
    Ok((rest, first))
}

/// A value between a keyword and its body. Kernel options may start with a digit there: `option 9P_FS = y`.
pub(super) fn argument(input: Input<'_>) -> Parsed<'_, Spanned<Expression>> {
    let text = *input.fragment();
    let length = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let ends = !text[length..].starts_with(|c: char| c.is_ascii_lowercase() || "-:.".contains(c));
    let word = &text[..length];
    let digit = word.starts_with(|c: char| c.is_ascii_digit());
    if digit && ends && word.contains(|c: char| c.is_ascii_uppercase()) && ByteSize::parse(word).is_none() {
        input.extra.count(input)?;
        return Ok((input.take_from(length), Spanned::new(Expression::Name(word.to_owned()), ahead(input, length))));
    }
    simple(input)
}

fn word(input: Input<'_>) -> Parsed<'_, Expression> {
    let length = name_length(input.fragment());
    if length == 0 {
        return backtrack();
    }
    let rest = input.take_from(length);
    match &input.fragment()[..length] {
        "true" => Ok((rest, Expression::Boolean(true))),
        "false" => Ok((rest, Expression::Boolean(false))),
        "sha256" if rest.fragment().starts_with(':') => digest(input, rest.take_from(1)),
        name => Ok((rest, Expression::Name(name.to_owned()))),
    }
}

fn digest<'a>(whole: Input<'a>, input: Input<'a>) -> Parsed<'a, Expression> {
    let other = input.fragment().find(|c: char| !c.is_ascii_alphanumeric());
    let length = other.unwrap_or(input.fragment().len());
    match input.fragment()[..length].parse() {
        Ok(digest) => Ok((input.take_from(length), Expression::Digest(digest))),
        Err(_) => {
            let wrong = Diagnostic::new(ahead(whole, "sha256:".len() + length), "invalid SHA-256 digest");
            mistake(
                wrong
                    .label("`sha256:` and 64 lower-case hexadecimal digits")
                    .hint(format!("there are {length} characters")),
            )
        }
    }
}

fn list(input: Input<'_>) -> Parsed<'_, Expression> {
    let mut items = Vec::new();
    let mut at = trivia::space(input.take_from(1));
    loop {
        if at.fragment().starts_with(']') {
            return Ok((at.take_from(1), Expression::List(items)));
        }
        if at.fragment().is_empty() {
            return mistake(Diagnostic::new(ahead(input, 1), "unclosed list").label("no `]` for this"));
        }
        let (rest, item) = value(at)?;
        items.push(item);
        at = trivia::space(rest);
        if at.fragment().starts_with(',') {
            at = trivia::space(at.take_from(1));
        } else if !at.fragment().starts_with(']') && !at.fragment().is_empty() {
            let wrong = Diagnostic::new(next_char(at), "expected `,` or `]`").label("after an element of a list");
            let wrong = wrong.related(ahead(input, 1), "the list starts here");
            // Another literal is another element; a name may be the next field after a list that is not closed.
            if !at.fragment().starts_with(|c: char| c == '"' || c == '[' || c.is_ascii_digit()) {
                return mistake(wrong);
            }
            input.extra.report(wrong);
        }
    }
}

/// A string, then on the same line literals and pairs of a word and a value. A word that starts the next entry of the
/// line (`= ...` or `{` follows) does not belong to the call.
fn call_arguments(input: Input<'_>) -> Parsed<'_, Vec<Spanned<Expression>>> {
    let (mut at, first) = simple(trivia::blanks(input))?;
    let mut arguments = vec![first];
    loop {
        let start = trivia::blanks(at);
        let next = start.fragment();
        if next.starts_with(|c: char| c == '"' || c.is_ascii_digit()) || next.starts_with("sha256:") {
            let (rest, argument) = simple(start)?;
            arguments.push(argument);
            at = rest;
        } else if let Some((rest, pair)) = pair(start)? {
            arguments.extend(pair);
            at = rest;
        } else {
            return Ok((at, arguments));
        }
    }
}

type Pair<'a> = Option<(Input<'a>, [Spanned<Expression>; 2])>;

fn pair(input: Input<'_>) -> Result<Pair<'_>, nom::Err<ParseFailure>> {
    let length = name_length(input.fragment());
    let after = trivia::blanks(input.take_from(length));
    let value_follows = after.fragment().starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"' || c == '_');
    if length == 0 || !value_follows {
        return Ok(None);
    }
    let (rest, argument) = simple(after)?;
    if trivia::blanks(rest).fragment().starts_with(['{', '=']) || starts_with_op(trivia::blanks(rest)) {
        return Ok(None);
    }
    let word = Spanned::new(Expression::Name(input.fragment()[..length].to_owned()), ahead(input, length));
    Ok(Some((rest, [word, argument])))
}

pub(super) fn starts_with_op(input: Input<'_>) -> bool {
    ["=", "+=", "-="].iter().any(|op| input.fragment().starts_with(op))
}

fn unexpected<T>(input: Input<'_>) -> Result<T, nom::Err<ParseFailure>> {
    let rest = input.fragment();
    let Some(c) = rest.chars().next().filter(|c| *c != '\n') else {
        return mistake(Diagnostic::new(ahead(input, 0), "expected a value").label("nothing here"));
    };
    let mut wrong = Diagnostic::new(next_char(input), unexpected_char(c)).label("expected a value");
    wrong.hint = match c {
        '/' if rest.starts_with("//") => Some("comments start with `#`".to_owned()),
        '\'' => Some("strings are written in double quotes".to_owned()),
        ':' => Some("a field is written `name = value`".to_owned()),
        ';' | ',' => Some("entries are not separated by anything".to_owned()),
        '/' | '.' | '~' => Some("a path is text: `\"...\"` or `file \"...\"`".to_owned()),
        '$' => Some("a name is written without `$`; `\"${name}\"` puts it into a text".to_owned()),
        _ => None,
    };
    mistake(wrong)
}

/// A message that shows a character as it is, and one that cannot be seen by its number.
pub(super) fn unexpected_char(c: char) -> String {
    if c.is_control() { format!("unexpected character {}", c.escape_unicode()) } else { format!("unexpected `{c}`") }
}
