//! Lists: on one line when they fit, else filled lines, or an element a line where elements are long or commented.

use super::super::tree::Expression;
use super::{INDENT, Printer, WIDTH};
use crate::base::Spanned;

impl Printer<'_> {
    pub(super) fn list(&mut self, list: &Spanned<Expression>, items: &[Spanned<Expression>]) {
        let span = (list.span.start as usize, list.span.end as usize);
        let commented = self.comments.inside(span.0, span.1);
        let flat = self.flat(list);
        if !commented && !flat.contains('\n') && self.width() + flat.len() <= WIDTH {
            return self.out.push_str(&flat);
        }
        self.out.push('[');
        self.trailing(span.0 + 1);
        self.out.push('\n');
        self.indent += INDENT;
        let plain = |item: &Spanned<Expression>| {
            !matches!(item.value, Expression::List(_) | Expression::Call(..)) && !self.flat(item).contains('\n')
        };
        if !commented && items.iter().all(plain) {
            self.filled(items);
        } else {
            self.stacked(items, span.1 - 1);
        }
        self.indent -= INDENT;
        self.line_start();
        self.out.push(']');
    }

    fn filled(&mut self, items: &[Spanned<Expression>]) {
        let mut line = String::new();
        for item in items {
            let word = self.flat(item) + ",";
            if !line.is_empty() && self.indent + line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.line_start();
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn stacked(&mut self, items: &[Spanned<Expression>], end: usize) {
        let mut first = true;
        for item in items {
            self.comments_before(item.span.start as usize, &mut first);
            if !first && self.blank_before(item.span.start as usize) {
                self.out.push('\n');
            }
            self.line_start();
            self.value(item);
            self.out.push(',');
            self.trailing(item.span.end as usize);
            self.out.push('\n');
            first = false;
        }
        self.comments_before(end, &mut first);
    }
}
