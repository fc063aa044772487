//! Values: names replaced, texts put together, files found.

use super::budget::{MAX_ITEMS, weigh};
use super::{DirectoryUse, Evaluator};
use crate::base::{ByteSize, Diagnostic, Span, Spanned};
use crate::recipe::directory::Modes;
use crate::recipe::files::{DirectoryReader, Refused};
use crate::recipe::local::{LocalDirectory, LocalPlace};
use crate::recipe::nearest::nearest;
use crate::recipe::value::Value;
use crate::syntax::tree::{self, TextPart};

impl Evaluator<'_, '_> {
    /// The value of an expression; [`Value::Wrong`] after a report.
    pub(super) fn value(&mut self, expression: &Spanned<tree::Expression>) -> Spanned<Value> {
        let span = expression.span;
        if !self.budget.spend(1, 0, span, self.report) {
            return Spanned::new(Value::Wrong, span);
        }
        let value = match &expression.value {
            tree::Expression::Text(parts) => self.text(parts, span),
            tree::Expression::Integer(number) => Value::Integer(*number),
            tree::Expression::Hex(number) => Value::Hex(*number),
            tree::Expression::Size(bytes) => Value::Size(*bytes),
            tree::Expression::Duration(seconds) => Value::Duration(*seconds),
            tree::Expression::Mode(mode) => Value::Mode(*mode),
            tree::Expression::Instant(epoch) => Value::Instant(*epoch),
            tree::Expression::Digest(digest) => Value::Digest(*digest),
            tree::Expression::Boolean(boolean) => Value::Boolean(*boolean),
            tree::Expression::Name(name) => self.name(name, span),
            tree::Expression::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            tree::Expression::Range(..) => {
                let wrong = Diagnostic::new(span, "a range is only allowed in a loop").label("not a value");
                self.report.push(wrong.hint("write `for i in 0..4 { ... }`"));
                Value::Wrong
            }
            tree::Expression::Call(word, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|argument| self.value(argument)).collect();
                match word.value.as_str() {
                    "file" => self.file(span, &arguments),
                    "directory" if self.reader == DirectoryUse::Kernel => self.local_directory(span, &arguments),
                    "directory" => self.directory(span, &arguments),
                    _ => Value::Call(word.clone(), arguments),
                }
            }
        };
        Spanned::new(value, span)
    }

    /// The value that a name stands for, else the name itself.
    fn name(&mut self, name: &str, span: Span) -> Value {
        let Some(binding) = self.lookup(name) else { return Value::Name(name.to_owned()) };
        let (items, bytes) = weigh(&binding.value);
        let value = if bytes > MAX_COPY { None } else { Some(binding.value.clone()) };
        let afford = self.budget.spend(items - 1, bytes, span, self.report);
        value.filter(|_| afford).unwrap_or(Value::Wrong)
    }

    fn text(&mut self, parts: &[TextPart], span: Span) -> Value {
        let mut text = String::new();
        for part in parts {
            match part {
                TextPart::Literal(literal) => text.push_str(literal),
                TextPart::Name(name) => match self.interpolated(name) {
                    Some(words) => text.push_str(&words),
                    None => return Value::Wrong,
                },
            }
            // Counted piece by piece, so that a text is never much larger than the limit.
            if text.len() > MAX_COPY {
                self.budget.spend(0, usize::MAX / 2, span, self.report);
                return Value::Wrong;
            }
        }
        if self.budget.spend(0, text.len(), span, self.report) { Value::Text(text) } else { Value::Wrong }
    }

    fn interpolated(&mut self, name: &Spanned<String>) -> Option<String> {
        let Some(binding) = self.lookup(&name.value) else {
            let wrong = Diagnostic::new(name.span, format!("unknown name `{}`", name.value));
            let mut wrong = wrong.label("not defined by any `let`, `param` or loop");
            let literal = format!("the characters themselves are written `\\${{{}}}`", name.value);
            wrong.hint =
                nearest(&name.value, self.bound()).map(|near| format!("did you mean `{near}`?")).or(Some(literal));
            self.report.push_absence(wrong);
            return None;
        };
        match &binding.value {
            Value::Text(text) | Value::Name(text) => Some(text.clone()),
            Value::Size(bytes) => Some(ByteSize(*bytes).to_string()),
            Value::Wrong => None,
            Value::List(_) | Value::Call(..) | Value::File(_) | Value::Directory(_) | Value::Local(_) => {
                let message = format!("cannot interpolate {} into a string", binding.value.kind());
                let wrong = Diagnostic::new(name.span, message).label("has no text");
                self.report.push(wrong.related(binding.span, "given here"));
                None
            }
            other => Some(other.spelling()),
        }
    }

    /// `file "path"`, relative to the text it stands in: the bytes become part of the recipe.
    fn file(&mut self, span: Span, arguments: &[Spanned<Value>]) -> Value {
        let [Spanned { value: Value::Text(path), span: at }] = arguments else {
            if !arguments.iter().any(|argument| argument.value == Value::Wrong) {
                self.report.push(Diagnostic::new(span, "`file` takes one path").label("expected `file \"path\"`"));
            }
            return Value::Wrong;
        };
        let copied = self.files.key(at.file, path).and_then(|key| self.files.copy(&key).map(|()| key));
        copied.map_or_else(|refused| self.refused(*at, refused), Value::File)
    }

    /// `directory "path"` or `directory "path" modes exact`: a whole directory becomes part of the recipe.
    fn directory(&mut self, span: Span, arguments: &[Spanned<Value>]) -> Value {
        let words: Vec<&Value> = arguments.iter().skip(1).map(|argument| &argument.value).collect();
        let name = |value: &Value, word: &str| *value == Value::Name(word.to_owned());
        let modes = match words[..] {
            [] => Some(Modes::Executable),
            [modes, exact] if name(modes, "modes") && name(exact, "exact") => Some(Modes::Exact),
            _ => None,
        };
        let (Some(modes), Some(Spanned { value: Value::Text(path), span: at })) = (modes, arguments.first()) else {
            if !arguments.iter().any(|argument| argument.value == Value::Wrong) {
                let wrong = Diagnostic::new(span, "`directory` takes one path").label("expected `directory \"path\"`");
                self.report.push(wrong.hint("`directory \"path\" modes exact` keeps every permission bit"));
            }
            return Value::Wrong;
        };
        if self.reader == DirectoryUse::Build && self.files.is_outside(at.file, path) {
            if modes == Modes::Exact {
                let message = format!("`{path}` is outside of the recipe's root, and read without `modes exact`");
                self.report.push(Diagnostic::new(span, message).label("only the executable bit is kept"));
                return Value::Wrong;
            }
            return Value::Local(LocalDirectory { written: path.clone(), place: LocalPlace::Outside });
        }
        let read = match self.reader {
            DirectoryUse::Build => DirectoryReader::Build,
            DirectoryUse::Kernel | DirectoryUse::Other => DirectoryReader::Image,
        };
        let copied = self.files.directory(at.file, path, (modes, read));
        copied.map_or_else(|refused| self.refused(*at, refused), Value::Directory)
    }

    /// `directory "path"` as the source of a kernel: a tree that is read when it is built.
    fn local_directory(&mut self, span: Span, arguments: &[Spanned<Value>]) -> Value {
        let [Spanned { value: Value::Text(written), span: at }] = arguments else {
            if !arguments.iter().any(|argument| argument.value == Value::Wrong) {
                let wrong = Diagnostic::new(span, "the source of a kernel is one path");
                self.report.push(wrong.label("expected `directory \"path\"`"));
            }
            return Value::Wrong;
        };
        Value::Local(LocalDirectory { written: written.clone(), place: self.files.local(at.file, written) })
    }

    fn refused(&self, at: Span, Refused(message, hint): Refused) -> Value {
        let mut wrong = Diagnostic::new(at, message).label("cannot be copied");
        wrong.hint = hint;
        self.report.push(wrong);
        Value::Wrong
    }

    /// The integers of `first..last`.
    pub(super) fn range(
        &mut self,
        span: Span,
        first: &Spanned<tree::Expression>,
        last: &Spanned<tree::Expression>,
    ) -> Option<Vec<Value>> {
        let first = self.bound_of_range(first);
        let last = self.bound_of_range(last);
        let (first, last) = (first?, last?);
        if last < first {
            let wrong = Diagnostic::new(span, "the end of this range is before its start")
                .label(format!("from {first} to {last}"));
            self.report.push(wrong);
            return None;
        }
        let length = last.abs_diff(first);
        if length > MAX_ITEMS as u64 {
            let wrong = Diagnostic::new(span, "too many iterations").label(format!("{length} rounds"));
            self.report.push(wrong.hint(format!("the limit is {MAX_ITEMS}")));
            return None;
        }
        Some((first..last).map(Value::Integer).collect())
    }

    fn bound_of_range(&mut self, expression: &Spanned<tree::Expression>) -> Option<i64> {
        match self.value(expression).value {
            Value::Integer(number) => Some(number),
            Value::Wrong => None,
            Value::Name(name) => {
                let wrong = Diagnostic::new(expression.span, format!("unknown name `{name}`"));
                let mut wrong = wrong.label("not defined by any `let`, `param` or loop");
                wrong.hint = nearest(&name, self.bound()).map(|near| format!("did you mean `{near}`?"));
                self.report.push_absence(wrong);
                None
            }
            other => {
                let message = format!("the bounds of a range are integers, not {}", other.kind());
                self.report.push(Diagnostic::new(expression.span, message).label("not an integer"));
                None
            }
        }
    }
}

/// Bytes of one text.
const MAX_COPY: usize = 2 << 20;
