//! The canonical form of a recipe: what `kiln fmt` writes.
//!
//! Input: a tree without mistakes and the text it came from. Output: text with the same tree and the same comments.
//! Printing what was printed changes nothing. Literals keep their spelling; blanks, line breaks and alignment are ours:
//! two blanks a level, one entry a line, `=` aligned among neighbouring fields, at most one blank line between entries.
//! A block that stood on one line stays there while it fits.

mod comments;
mod inline;
mod list;

use super::tree::{Entry, Expression, File, Op};
use crate::base::Spanned;
use comments::Comments;

/// Columns before a list or a block is broken.
const WIDTH: usize = 120;
/// Blanks a level.
const INDENT: usize = 2;

/// The canonical form of `file`, which was parsed from `text` without mistakes.
pub fn print(file: &File, text: &str) -> String {
    let mut printer = Printer { text, comments: Comments::new(&file.comments), out: String::new(), indent: 0 };
    printer.entries(&file.entries, text.len());
    printer.out
}

struct Printer<'a> {
    text: &'a str,
    comments: Comments<'a>,
    out: String,
    indent: usize,
}

impl Printer<'_> {
    /// Entries one a line, with the comments before, behind and after them, up to the byte `end`.
    fn entries(&mut self, entries: &[Entry], end: usize) {
        let mut first = true;
        let mut group: &[Entry] = &[];
        for (at, entry) in entries.iter().enumerate() {
            self.comments_before(entry.span.start as usize, &mut first);
            let lead = !first && self.blank_before(entry.span.start as usize);
            if lead {
                self.out.push('\n');
            }
            if group.is_empty() || lead {
                group = self.aligned(&entries[at..]);
            }
            self.line_start();
            self.entry(entry, column(group));
            group = group.get(1..).unwrap_or_default();
            self.trailing(entry.span.end as usize);
            self.out.push('\n');
            first = false;
        }
        self.comments_before(end, &mut first);
    }

    /// The run of fields from the first entry on whose `=` stand in one column: neighbours on lines of their own.
    fn aligned<'e>(&self, entries: &'e [Entry]) -> &'e [Entry] {
        let field = |entry: &Entry| {
            let single = !self.slice(entry).contains('\n')
                || matches!(entry.assign, Some((_, Spanned { value: Expression::List(_), .. })));
            entry.arguments.is_empty() && entry.assign.is_some() && entry.body.is_none() && single
        };
        let mut count = 0;
        while count < entries.len() && field(&entries[count]) {
            let start = entries[count].span.start as usize;
            let interrupted = count > 0
                && (self.blank_before(start)
                    || self.comments.own_line(entries[count - 1].span.end as usize, start, self.text));
            if interrupted {
                break;
            }
            count += 1;
        }
        &entries[..count]
    }

    fn entry(&mut self, entry: &Entry, column: usize) {
        if let Some(line) = self.one_line(entry, column) {
            return self.out.push_str(&line);
        }
        self.out.push_str(&entry.keyword.value);
        for argument in &entry.arguments {
            self.out.push(' ');
            self.value(argument);
        }
        if let Some((op, value)) = &entry.assign {
            let word = op_word(*op);
            let pad = column.saturating_sub(entry.keyword.value.len() + word.len());
            self.out.push_str(&format!("{} {word} ", " ".repeat(if entry.arguments.is_empty() { pad } else { 0 })));
            self.value(value);
        }
        if let Some(body) = &entry.body {
            self.body(entry, body);
        }
    }

    fn body(&mut self, entry: &Entry, body: &[Entry]) {
        self.out.push_str(" {");
        let end = entry.span.end as usize - 1;
        let open = self.open_brace(entry);
        let before = self.out.len();
        self.trailing(open + 1);
        let commented = self.out.len() > before;
        if !commented && body.is_empty() && !self.comments.pending_before(end) {
            return self.out.push('}');
        }
        self.out.push('\n');
        self.indent += INDENT;
        self.entries(body, end);
        self.indent -= INDENT;
        self.line_start();
        self.out.push('}');
    }

    /// Where the body of an entry opens: the first `{` after the last word before it that is no comment's.
    fn open_brace(&self, entry: &Entry) -> usize {
        let assigned = entry.assign.as_ref().map(|(_, value)| value.span.end);
        let words = entry.arguments.last().map_or(entry.keyword.span.end, |argument| argument.span.end);
        let mut at = assigned.unwrap_or(words) as usize;
        loop {
            let rest = &self.text[at..];
            let skipped = rest.len() - rest.trim_start().len();
            at += skipped;
            match self.text[at..].split_once('\n') {
                Some((comment, _)) if comment.starts_with('#') => at += comment.len(),
                _ => return at,
            }
        }
    }

    fn value(&mut self, value: &Spanned<Expression>) {
        match &value.value {
            Expression::List(items) => self.list(value, items),
            Expression::Text(_) if self.slice_of(value).starts_with("\"\"\"") => self.text_block(value),
            _ => self.out.push_str(&self.flat(value)),
        }
    }

    /// A `"""` block, moved to this indentation as a whole.
    fn text_block(&mut self, value: &Spanned<Expression>) {
        let raw = self.slice_of(value).strip_suffix("\"\"\"").unwrap_or_default();
        let raw = raw.split_once('\n').map_or("", |(_, lines)| lines);
        let shared = super::text::indentation(raw);
        let blanks = " ".repeat(self.indent + INDENT);
        self.out.push_str("\"\"\"\n");
        for line in raw.split('\n').take(raw.matches('\n').count()) {
            let content = super::text::dedent(line, shared);
            if !content.is_empty() {
                self.out.push_str(&blanks);
                self.out.push_str(content);
            }
            self.out.push('\n');
        }
        self.out.push_str(&blanks);
        self.out.push_str("\"\"\"");
    }

    fn line_start(&mut self) {
        self.out.push_str(&" ".repeat(self.indent));
    }

    /// Bytes since the last line break.
    fn width(&self) -> usize {
        self.out.len() - self.out.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Whether at least one blank line stood before the byte.
    fn blank_before(&self, start: usize) -> bool {
        let before = &self.text[..start];
        before[before.trim_end().len()..].matches('\n').count() > 1
    }
}

/// The column, counted from the entry's start, of the `=` of a run of fields.
fn column(group: &[Entry]) -> usize {
    let width =
        |entry: &Entry| entry.keyword.value.len() + entry.assign.as_ref().map_or(0, |(op, _)| op_word(*op).len());
    group.iter().map(width).max().unwrap_or(0)
}

fn op_word(op: Op) -> &'static str {
    match op {
        Op::Set => "=",
        Op::Add => "+=",
        Op::Remove => "-=",
    }
}
