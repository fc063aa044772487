//! Comments, handed out in order as the printer passes their places.

use super::Printer;
use crate::base::Spanned;

/// Every comment, and how many are printed.
pub(super) struct Comments<'a> {
    all: &'a [Spanned<String>],
    printed: usize,
}

impl<'a> Comments<'a> {
    pub(super) fn new(all: &'a [Spanned<String>]) -> Self {
        Comments { all, printed: 0 }
    }

    fn next(&self) -> Option<&'a Spanned<String>> {
        self.all.get(self.printed)
    }

    /// Whether a comment before the byte is not printed yet.
    pub(super) fn pending_before(&self, end: usize) -> bool {
        self.next().is_some_and(|comment| (comment.span.start as usize) < end)
    }

    /// Whether a comment starts between two bytes.
    pub(super) fn inside(&self, start: usize, end: usize) -> bool {
        let starts = |comment: &Spanned<String>| comment.span.start as usize;
        let from = self.all.partition_point(|comment| starts(comment) < start);
        self.all.get(from).is_some_and(|comment| starts(comment) < end)
    }

    /// Whether a comment between two bytes stands on a line of its own.
    pub(super) fn own_line(&self, start: usize, end: usize, text: &str) -> bool {
        let from = self.all.partition_point(|comment| (comment.span.start as usize) < start);
        let between = self.all[from..].iter().map(|comment| comment.span.start as usize).take_while(|at| *at < end);
        let mut own = between.filter(|at| text[start..*at].contains('\n'));
        own.next().is_some()
    }
}

impl Printer<'_> {
    /// Comments before the byte, each on a line of its own.
    pub(super) fn comments_before(&mut self, end: usize, first: &mut bool) {
        while let Some(comment) = self.comments.next().filter(|comment| (comment.span.start as usize) < end) {
            if !*first && self.blank_before(comment.span.start as usize) {
                self.out.push('\n');
            }
            self.line_start();
            self.out.push_str(&comment.value);
            self.out.push('\n');
            self.comments.printed += 1;
            *first = false;
        }
    }

    /// The comment behind what ended at the byte, on the same line; a comma may stand between.
    pub(super) fn trailing(&mut self, end: usize) {
        let Some(comment) = self.comments.next() else { return };
        let between = self.text.get(end..comment.span.start as usize);
        if between.is_some_and(|between| between.chars().all(|c| " \t\r,".contains(c))) {
            self.out.push(' ');
            self.out.push_str(&comment.value);
            self.comments.printed += 1;
        }
    }
}
