//! What every production can reach: the file, the mistakes so far, the comments, and the limits.

use std::cell::{Cell, RefCell};

use nom::error::{ErrorKind, ParseError};
use nom_locate::LocatedSpan;

use crate::base::{Diagnostic, FileId, Span, Spanned};

/// Bytes in a file.
pub const MAX_BYTES: usize = 1 << 20;
/// Blocks in blocks and lists in lists.
pub const MAX_DEPTH: u32 = 64;
/// Entries and values.
pub const MAX_ITEMS: u32 = 10_000;
/// Reports after which a text is taken to be something else than a recipe.
const MAX_MISTAKES: usize = 100;

/// The rest of the text, with its place in the whole.
pub(super) type Input<'a> = LocatedSpan<&'a str, &'a State>;
/// What a production returns.
pub(super) type Parsed<'a, T> = nom::IResult<Input<'a>, T, ParseFailure>;

/// Collected on the side while parsing.
#[derive(Debug)]
pub(super) struct State {
    file: FileId,
    depth: Cell<u32>,
    items: Cell<u32>,
    comments: RefCell<Vec<Spanned<String>>>,
    mistakes: RefCell<Vec<Diagnostic>>,
    unclosed: Cell<bool>,
}

/// Why a production did not apply: nothing to say (another may apply), or a mistake of the user.
#[derive(Debug)]
pub(super) struct ParseFailure(pub(super) Option<Box<Diagnostic>>);

impl<'a> ParseError<Input<'a>> for ParseFailure {
    fn from_error_kind(_: Input<'a>, _: ErrorKind) -> Self {
        ParseFailure(None)
    }

    fn append(_: Input<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// A mistake that no other production can mend.
pub(super) fn mistake<T>(diagnostic: Diagnostic) -> Result<T, nom::Err<ParseFailure>> {
    Err(nom::Err::Failure(ParseFailure(Some(Box::new(diagnostic)))))
}

/// This production does not apply here.
pub(super) fn backtrack<T>() -> Result<T, nom::Err<ParseFailure>> {
    Err(nom::Err::Error(ParseFailure(None)))
}

/// From where `start` stands to where `end` stands.
pub(super) fn between(start: Input<'_>, end: Input<'_>) -> Span {
    Span { file: start.extra.file, start: start.location_offset() as u32, end: end.location_offset() as u32 }
}

/// The next `bytes` bytes.
pub(super) fn ahead(input: Input<'_>, bytes: usize) -> Span {
    let start = input.location_offset() as u32;
    Span { file: input.extra.file, start, end: start + bytes.min(input.fragment().len()) as u32 }
}

/// The next character; nothing at the end of the text.
pub(super) fn next_char(input: Input<'_>) -> Span {
    ahead(input, input.fragment().chars().next().map_or(0, char::len_utf8))
}

impl State {
    pub(super) fn new(file: FileId) -> State {
        State {
            file,
            depth: Cell::new(0),
            items: Cell::new(0),
            comments: RefCell::default(),
            mistakes: RefCell::default(),
            unclosed: Cell::new(false),
        }
    }

    /// Counts one entry or value; a mistake past the limit.
    pub(super) fn count(&self, at: Input<'_>) -> Result<(), nom::Err<ParseFailure>> {
        self.items.set(self.items.get() + 1);
        if self.items.get() <= MAX_ITEMS {
            return Ok(());
        }
        let label = format!("the limit is {MAX_ITEMS} entries and values");
        mistake(Diagnostic::new(next_char(at), "too many entries").label(label))
    }

    /// Runs a production one level deeper; a mistake past the limit.
    pub(super) fn deeper<'a, T>(
        &self,
        input: Input<'a>,
        production: impl FnOnce(Input<'a>) -> Parsed<'a, T>,
    ) -> Parsed<'a, T> {
        if self.depth.get() >= MAX_DEPTH {
            let label = format!("the limit is {MAX_DEPTH} levels");
            return mistake(Diagnostic::new(next_char(input), "nested too deep").label(label));
        }
        self.depth.set(self.depth.get() + 1);
        let result = production(input);
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Keeps a comment; text that is read twice keeps it once.
    pub(super) fn comment(&self, comment: Spanned<String>) {
        let mut comments = self.comments.borrow_mut();
        if comments.last().is_none_or(|last| last.span.start < comment.span.start) {
            comments.push(comment);
        }
    }

    /// Keeps a mistake.
    pub(super) fn report(&self, mistake: Diagnostic) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// Keeps the mistake that a `{` is never closed; the blocks around it then miss theirs too, which is no news.
    pub(super) fn report_unclosed(&self, open: Input<'_>, outside: Option<Span>) {
        if !self.unclosed.replace(true) {
            let wrong = Diagnostic::new(ahead(open, 1), "unclosed block").label("no `}` for this");
            self.report(match outside {
                Some(span) => wrong.related(span, "is the `}` missing before this?"),
                None => wrong.hint("or a `}` is missing in a block further up"),
            });
        }
    }

    /// Whether reading on would help nobody.
    pub(super) fn hopeless(&self) -> bool {
        self.mistakes.borrow().len() >= MAX_MISTAKES || self.items.get() > MAX_ITEMS
    }

    pub(super) fn finish(self) -> (Vec<Spanned<String>>, Vec<Diagnostic>) {
        (self.comments.into_inner(), self.mistakes.into_inner())
    }
}
