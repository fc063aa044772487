//! Hands a block's fields out as typed values, and reports whatever nobody asked for.
//!
//! A checker asks for each field and block that it knows; [`Reader::finish`] then knows what is unknown. No checker
//! lists its fields twice.

use std::collections::BTreeMap;

use super::kinds::{FromValue, Name};
use super::report::Diagnostics;
use super::value::{EvaluatedNode, Form, Value};
use crate::base::{Diagnostic, Spanned};

/// Reads one block.
pub struct Reader<'a> {
    node: &'a EvaluatedNode,
    report: &'a Diagnostics,
    known: Vec<(&'static str, Form)>,
    elsewhere: &'static [(&'static str, &'static str)],
    arguments: usize,
}

impl<'a> Reader<'a> {
    /// Starts on a block.
    pub fn new(node: &'a EvaluatedNode, report: &'a Diagnostics) -> Self {
        Reader { node, report, known: Vec::new(), elsewhere: &[], arguments: 0 }
    }

    /// The block.
    pub fn node(&self) -> &'a EvaluatedNode {
        self.node
    }

    /// Where mistakes go.
    pub fn report(&self) -> &'a Diagnostics {
        self.report
    }

    /// The name a block declares: `machine NAME { ... }`; a text is taken too, for names made in loops.
    pub fn name(&mut self) -> Option<Spanned<String>> {
        self.argument::<Name>("a name").map(|name| name.map(|Name(name)| name))
    }

    /// The next value between the keyword and the body; `what` says what is missing when there is none.
    pub fn argument<T: FromValue>(&mut self, what: &str) -> Option<Spanned<T>> {
        let at = self.arguments;
        self.arguments += 1;
        let Some(argument) = self.node.arguments.get(at) else {
            let message = format!("`{}` needs {what}", self.node.keyword.value);
            self.report.push(Diagnostic::new(self.node.head(), message).label(format!("expected {what}")));
            return None;
        };
        T::read(argument, self.report).map(|value| Spanned::new(value, argument.span))
    }

    /// A fixed word between the arguments: `on` in `test "..." on machine`. False, and a report, when it is not there.
    pub fn keyword(&mut self, word: &str) -> bool {
        let at = self.arguments;
        self.arguments += 1;
        let found = self.node.arguments.get(at);
        if matches!(found, Some(argument) if argument.value == Value::Name(word.to_owned())) {
            return true;
        }
        let span = found.map_or(self.node.head(), |argument| argument.span);
        let message = format!("`{}` needs the word `{word}` here", self.node.keyword.value);
        self.report.push(Diagnostic::new(span, message).label(format!("expected `{word}`")));
        false
    }

    /// A field that may be absent.
    pub fn optional<T: FromValue>(&mut self, field: &'static str) -> Option<Spanned<T>> {
        let value = self.field(field)?;
        T::read(value, self.report).map(|read| Spanned::new(read, value.span))
    }

    /// A field that must be there; a report when it is not.
    pub fn required<T: FromValue>(&mut self, field: &'static str) -> Option<Spanned<T>> {
        match self.field(field) {
            Some(value) => T::read(value, self.report).map(|read| Spanned::new(read, value.span)),
            None => {
                if !self.node.children.iter().any(|child| child.keyword.value == field) {
                    self.missing(field, T::EXPECTED);
                }
                None
            }
        }
    }

    /// A field with a default.
    pub fn or<T: FromValue>(&mut self, field: &'static str, default: T) -> T {
        self.optional(field).map_or(default, |read| read.value)
    }

    /// A list that is empty when absent.
    pub fn list<T: FromValue>(&mut self, field: &'static str) -> Vec<Spanned<T>> {
        self.optional::<Vec<Spanned<T>>>(field).map(|list| list.value).unwrap_or_default()
    }

    /// An integer within bounds.
    pub fn integer(&mut self, field: &'static str, bounds: std::ops::RangeInclusive<i64>) -> Option<Spanned<i64>> {
        let number = self.optional::<i64>(field)?;
        if bounds.contains(&number.value) {
            return Some(number);
        }
        let message = format!("`{field}` is out of range");
        let label = format!("from {} to {}", bounds.start(), bounds.end());
        let near = number.value.clamp(*bounds.start(), *bounds.end());
        let mistake = Diagnostic::new(number.span, message).label(label);
        self.report.push(mistake.hint(format!("write `{field} = {near}`, or another number in that range")));
        None
    }

    /// One of a fixed set of words.
    pub fn word(&mut self, field: &'static str, words: &[&'static str]) -> Option<Spanned<&'static str>> {
        let Spanned { value: Name(name), span } = self.optional::<Name>(field)?;
        if let Some(word) = words.iter().find(|word| **word == name) {
            return Some(Spanned::new(word, span));
        }
        let message = format!("`{field}` cannot be `{name}`");
        let mut mistake = Diagnostic::new(span, message).label(format!("one of: {}", words.join(", ")));
        mistake.hint = super::nearest::nearest(&name, words.iter().copied()).map(|w| format!("did you mean `{w}`?"));
        self.report.push(mistake);
        None
    }

    /// What the blocks of one keyword say, in the order of the recipe; a name that comes again is an error.
    pub fn distinct<T>(
        &mut self,
        keyword: &'static str,
        read: impl Fn(&EvaluatedNode) -> Option<T>,
        name: impl Fn(&T) -> &str,
    ) -> Vec<T> {
        let mut first: BTreeMap<String, &EvaluatedNode> = BTreeMap::new();
        let mut all = Vec::new();
        for node in self.blocks(keyword) {
            let Some(one) = read(node) else { continue };
            match first.get(name(&one)) {
                Some(earlier) => self.error(duplicate(node, earlier, &format!("{keyword} `{}`", name(&one)))),
                None => {
                    first.insert(name(&one).to_owned(), node);
                    all.push(one);
                }
            }
        }
        all
    }

    /// Every block of a kind.
    pub fn blocks(&mut self, kind: &'static str) -> Vec<&'a EvaluatedNode> {
        self.every(kind, Form::Block)
    }

    /// The one block of a kind; a second one is reported.
    pub fn block(&mut self, kind: &'static str) -> Option<&'a EvaluatedNode> {
        let blocks = self.blocks(kind);
        if let [first, second, ..] = blocks[..] {
            self.report.push(duplicate(second, first, &format!("`{kind}`")));
        }
        blocks.first().copied()
    }

    /// Every statement of a kind: `option X = y`, `run "..."`.
    pub fn statements(&mut self, kind: &'static str) -> Vec<&'a EvaluatedNode> {
        self.every(kind, Form::Statement)
    }

    /// Reports a mistake.
    pub fn error(&self, mistake: Diagnostic) {
        self.report.push(mistake);
    }

    /// Reports a field that is needed but absent; for rules that depend on other fields.
    pub fn missing(&self, field: &str, expected: &str) {
        if self.report.is_incomplete(self.node.head()) {
            return;
        }
        let message = format!("{} has no `{field}`", self.node.title());
        let mistake = Diagnostic::new(self.node.head(), message).label(format!("`{field}` is missing"));
        self.report.push_absence(mistake.hint(format!("add `{field} = ...`, {expected}")));
    }

    /// What to do about words that are not known here because they belong elsewhere.
    pub fn elsewhere(&mut self, words: &'static [(&'static str, &'static str)]) {
        self.elsewhere = words;
    }

    /// Reports arguments, fields and blocks that were not asked for.
    pub fn finish(self) {
        // Only the first: where two statements stand on one line, all that follows is of the second.
        let mut extra = self.node.arguments.iter().skip(self.arguments);
        if let Some(first) = extra.next() {
            let message = format!("unexpected argument of `{}`", self.node.keyword.value);
            let mut mistake = Diagnostic::new(first.span, message).label("unexpected");
            if extra.next().is_some() {
                mistake = mistake.hint("remove it; a statement of its own begins on a new line");
            }
            self.report.push(mistake);
        }
        for child in &self.node.children {
            let word = child.keyword.value.as_str();
            let forms: Vec<_> = self.known.iter().filter(|(known, _)| *known == word).map(|(_, form)| *form).collect();
            if forms.is_empty() {
                self.unknown(child);
            } else if !forms.contains(&child.form()) {
                let message = format!("wrong syntax for `{word}`");
                let mistake = Diagnostic::new(child.head(), message).label("wrong form");
                self.report.push(mistake.hint(usage(word, forms[0])));
            }
        }
    }

    fn unknown(&self, child: &EvaluatedNode) {
        let (word, form) = (child.keyword.value.as_str(), child.form());
        // Only the block that stands for the whole recipe has no words of its own.
        let top = self.node.head().end == 0;
        let (place, label) = match top {
            true => ("a recipe".to_owned(), "not known at the top level".to_owned()),
            false => (self.node.title(), format!("not known in `{}`", self.node.keyword.value)),
        };
        let mut mistake =
            Diagnostic::new(child.keyword.span, format!("unknown {} `{word}` in {place}", noun(form))).label(label);
        let all = self.known.iter().map(|(name, _)| *name);
        let elsewhere = self.elsewhere.iter().find(|(known, _)| *known == word);
        mistake.hint = match (elsewhere, super::nearest::nearest(word, all)) {
            (Some((_, hint)), _) => Some((*hint).to_owned()),
            (None, Some(name)) => Some(format!("did you mean `{name}`?")),
            (None, None) => self.choice(form),
        };
        self.report.push(mistake);
    }

    /// Everything that may stand in the block: first what has the form of what does not, then the rest. What may have
    /// several forms is listed once.
    fn choice(&self, form: Form) -> Option<String> {
        let mut forms = vec![Form::Field, Form::Statement, Form::Block];
        forms.sort_by_key(|other| *other != form);
        let mut lists = Vec::new();
        let mut listed: Vec<&str> = Vec::new();
        for form in forms {
            let of_form = self.known.iter().filter(|(_, known)| *known == form).map(|(name, _)| *name);
            let mut names: Vec<&str> = of_form.filter(|name| !listed.contains(name)).collect();
            names.sort_unstable();
            listed.extend(&names);
            if !names.is_empty() {
                lists.push(format!("{}s: {}", noun(form), names.join(", ")));
            }
        }
        (!lists.is_empty()).then(|| format!("known {}", lists.join("; ")))
    }

    fn field(&mut self, field: &'static str) -> Option<&'a Spanned<Value>> {
        let found = self.every(field, Form::Field);
        if let [first, second, ..] = found[..] {
            self.report.push(duplicate(second, first, &format!("`{field}`")));
        }
        found.first().and_then(|node| node.value.as_ref())
    }

    fn every(&mut self, word: &'static str, form: Form) -> Vec<&'a EvaluatedNode> {
        if !self.known.contains(&(word, form)) {
            self.known.push((word, form));
        }
        self.node.children.iter().filter(|child| child.keyword.value == word && child.form() == form).collect()
    }
}

/// The report that `second` repeats `first`; `what` is how both are called.
pub fn duplicate(second: &EvaluatedNode, first: &EvaluatedNode, what: &str) -> Diagnostic {
    let again = Diagnostic::new(second.head(), format!("{what} is given more than once")).label("again here");
    if first.span == second.span {
        return again
            .hint("every iteration declares it again: make the name depend on the loop variable, as in \"name${i}\"");
    }
    again.related(first.head(), "first given here").hint("keep one of the two")
}

fn noun(form: Form) -> &'static str {
    match form {
        Form::Field => "field",
        Form::Statement => "statement",
        Form::Block => "block",
    }
}

fn usage(word: &str, form: Form) -> String {
    match form {
        Form::Field => format!("write `{word} = ...`"),
        Form::Statement => format!("write `{word} ...` on a line of its own, without braces"),
        Form::Block => format!("write `{word} ... {{ ... }}`"),
    }
}
