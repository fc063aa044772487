//! Entries and values on one line.

use super::super::tree::{Entry, Expression};
use super::{Printer, WIDTH, op_word};
use crate::base::Spanned;

impl<'a> Printer<'a> {
    /// The whole entry on one line, if that is how it was written and it fits.
    pub(super) fn one_line(&self, entry: &Entry, column: usize) -> Option<String> {
        let span = (entry.span.start as usize, entry.span.end as usize);
        if self.slice(entry).contains('\n') || self.comments.inside(span.0, span.1) {
            return None;
        }
        let line = self.joined(entry, column);
        (self.width() + line.len() <= WIDTH).then_some(line)
    }

    fn joined(&self, entry: &Entry, column: usize) -> String {
        let mut line = entry
            .arguments
            .iter()
            .fold(entry.keyword.value.clone(), |line, argument| format!("{line} {}", self.flat(argument)));
        if let Some((op, value)) = &entry.assign {
            let word = op_word(*op);
            let pad = if entry.arguments.is_empty() { column.saturating_sub(line.len() + word.len()) } else { 0 };
            line.push_str(&format!("{} {word} {}", " ".repeat(pad), self.flat(value)));
        }
        match entry.body.as_deref() {
            None => line,
            Some([]) => line + " {}",
            Some(body) => {
                let inner: Vec<String> = body.iter().map(|entry| self.joined(entry, 0)).collect();
                format!("{line} {{ {} }}", inner.join(" "))
            }
        }
    }

    /// A value without line breaks of ours; literals as they were written.
    pub(super) fn flat(&self, value: &Spanned<Expression>) -> String {
        match &value.value {
            Expression::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flat(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Expression::Call(word, arguments) => {
                arguments.iter().fold(word.value.clone(), |text, argument| format!("{text} {}", self.flat(argument)))
            }
            Expression::Range(first, last) => format!("{}..{}", self.flat(first), self.flat(last)),
            _ => self.slice_of(value).to_owned(),
        }
    }

    pub(super) fn slice(&self, entry: &Entry) -> &'a str {
        &self.text[entry.span.start as usize..entry.span.end as usize]
    }

    pub(super) fn slice_of(&self, value: &Spanned<Expression>) -> &'a str {
        &self.text[value.span.start as usize..value.span.end as usize]
    }
}
