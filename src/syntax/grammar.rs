//! Entries, bodies, files; and how reading goes on after a mistake.

use nom::Input as _;

use super::lexeme::name_length;
use super::state::{Input, MAX_BYTES, ParseFailure, Parsed, State, ahead, between, mistake, next_char};
use super::tree::{Entry, Expression, File, Op};
use super::value::{argument, starts_with_op, unexpected_char, value};
use super::{recover, trivia};
use crate::base::{Diagnostic, FileId, Span, Spanned};

/// Reads a whole text. Entries with a mistake are left out of the tree, and every mistake is in the list.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let start = Span { file, start: 0, end: 0 };
        let wrong = Diagnostic::new(start, "file is too large").label(format!("the limit is {MAX_BYTES} bytes"));
        return (File::default(), vec![wrong]);
    }
    let state = State::new(file);
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (_, entries) = entries(Input::new_extra(text, &state).take_from(mark), None);
    let (comments, mistakes) = state.finish();
    (File { entries, comments }, mistakes)
}

/// Reads one value, alone: what `--set name=value` gives.
pub fn parse_value(file: FileId, text: &str, offset: usize) -> Result<Spanned<Expression>, Diagnostic> {
    let state = State::new(file);
    let input = Input::new_extra(text, &state).take_from(offset);
    let nothing = || Diagnostic::new(ahead(input, 0), "expected a value");
    match value(trivia::blanks(input)) {
        Ok((rest, value)) if trivia::blanks(rest).fragment().is_empty() => Ok(value),
        Ok((rest, _)) => Err(Diagnostic::new(ahead(rest, rest.fragment().len()), "expected end of line")),
        Err(nom::Err::Failure(ParseFailure(Some(wrong)))) => Err(*wrong),
        Err(_) => Err(nothing()),
    }
}

/// Entries up to the `}` that closes `open`, or to the end of the text.
fn entries<'a>(input: Input<'a>, open: Option<Input<'a>>) -> (Input<'a>, Vec<Entry>) {
    let state = input.extra;
    let mut entries = Vec::new();
    let mut margin = None;
    let mut at = trivia::space(input);
    while !at.fragment().is_empty() && !state.hopeless() {
        if at.fragment().starts_with('}') {
            if open.is_some() {
                return (at.take_from(1), entries);
            }
            let stray = Diagnostic::new(next_char(at), "unmatched `}`").label("no `{` is open here");
            state.report(stray);
            at = trivia::space(at.take_from(1));
            continue;
        }
        at = match entry(at) {
            Ok((rest, entry)) => {
                if margin.is_none() && at.get_column() == 1 {
                    margin = Some(entries.len());
                }
                entries.push(entry);
                trivia::space(rest)
            }
            Err(nom::Err::Failure(ParseFailure(Some(wrong)))) => {
                let read = (wrong.span.start as usize).saturating_sub(at.location_offset());
                state.report(*wrong);
                trivia::space(recover::next_entry(&at.fragment()[..read], at.take_from(read)))
            }
            // Every production that does not apply says why; going on by a character keeps this loop finite anyway.
            Err(_) => trivia::space(at.take_from(at.fragment().chars().next().map_or(0, char::len_utf8))),
        };
    }
    if let Some(open) = open.filter(|_| !state.hopeless()) {
        // What starts at the margin was most likely meant to stand outside.
        let outside = margin.map(|first| entries.split_off(first).remove(0));
        state.report_unclosed(open, outside.map(|entry: Entry| entry.keyword.span));
    }
    (at.take_from(at.fragment().len()), entries)
}

/// `keyword argument* [ op value ] [ "{" entry* "}" ]`
fn entry(input: Input<'_>) -> Parsed<'_, Entry> {
    input.extra.count(input)?;
    let (rest, keyword) = keyword(input)?;
    let (rest, arguments) = arguments(rest)?;
    let (rest, assign) = assignment(rest)?;
    let (rest, body) = body(rest)?;
    Ok((rest, Entry { keyword, arguments, assign, body, span: between(input, rest) }))
}

fn keyword(input: Input<'_>) -> Parsed<'_, Spanned<String>> {
    let length = name_length(input.fragment());
    if length > 0 {
        let word = input.fragment()[..length].to_owned();
        return Ok((input.take_from(length), Spanned::new(word, ahead(input, length))));
    }
    let found = input.fragment().chars().next().unwrap_or_default();
    let mut wrong =
        Diagnostic::new(next_char(input), unexpected_char(found)).label("expected a field, a statement or a block");
    wrong.hint = match found {
        '/' if input.fragment().starts_with("//") => Some("comments start with `#`".to_owned()),
        ';' | ',' => Some("entries are not separated by anything".to_owned()),
        '{' => Some("a block starts with what it is: `machine name {`".to_owned()),
        _ => None,
    };
    mistake(wrong)
}

fn arguments(mut at: Input<'_>) -> Parsed<'_, Vec<Spanned<Expression>>> {
    let mut arguments = Vec::new();
    loop {
        let start = trivia::blanks(at);
        let ends = start.fragment().is_empty() || start.fragment().starts_with(['\n', '#', '{', '}']);
        if ends || starts_with_op(start) {
            return Ok((at, arguments));
        }
        let (rest, argument) = argument(start)?;
        arguments.push(argument);
        at = rest;
    }
}

fn assignment(input: Input<'_>) -> Parsed<'_, Option<(Op, Spanned<Expression>)>> {
    let start = trivia::blanks(input);
    let (op, length) = match start.fragment() {
        text if text.starts_with("+=") => (Op::Add, 2),
        text if text.starts_with("-=") => (Op::Remove, 2),
        text if text.starts_with('=') => (Op::Set, 1),
        _ => return Ok((input, None)),
    };
    let at = trivia::blanks(start.take_from(length));
    if at.fragment().is_empty() || at.fragment().starts_with(['\n', '#', '}']) {
        let sign = &start.fragment()[..length];
        let wrong = Diagnostic::new(ahead(start, length), format!("expected a value after `{sign}`"));
        return mistake(wrong.label("the value must be on the same line"));
    }
    let (rest, value) = value(at)?;
    Ok((rest, Some((op, value))))
}

fn body(input: Input<'_>) -> Parsed<'_, Option<Vec<Entry>>> {
    let open = trivia::space(input);
    if !open.fragment().starts_with('{') {
        return Ok((input, None));
    }
    open.extra.deeper(open, |open| {
        let (rest, entries) = entries(open.take_from(1), Some(open));
        Ok((rest, Some(entries)))
    })
}
