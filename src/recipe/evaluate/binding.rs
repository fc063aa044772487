//! `let`, `param`, and what the command line says instead of a parameter's default.

use super::Evaluator;
use crate::base::{Diagnostic, FileId, Span, Spanned};
use crate::recipe::files::Files;
use crate::recipe::nearest::suggest;
use crate::recipe::report::Diagnostics;
use crate::recipe::value::Value;
use crate::syntax::tree::{self, Entry, Op};

/// Words that a value must not be called: the language and Kconfig's values use them.
const RESERVED: [&str; 14] =
    ["y", "m", "n", "true", "false", "let", "param", "for", "in", "on", "import", "extends", "from", "version"];

/// What a name stands for.
pub(super) struct Binding {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// `--set name=value`, in order.
pub(super) struct Overrides {
    given: Vec<(String, FileId, usize)>,
}

impl Overrides {
    /// Gives every pair a text of its own, so that reports can point into the command line.
    pub(super) fn new(files: &mut Files<'_>, set: &[(String, String)], home: &str, report: &Diagnostics) -> Overrides {
        let mut given: Vec<(String, FileId, usize)> = Vec::new();
        for (name, value) in set {
            let id = files.virtual_text("--set", format!("{name}={value}"), home);
            let span = Span { file: id, start: 0, end: name.len() as u32 };
            if let Some((_, first, _)) = given.iter().find(|(other, ..)| other == name) {
                let first = Span { file: *first, ..span };
                let twice =
                    Diagnostic::new(span, format!("parameter `{name}` is set more than once")).label("again here");
                report.push(twice.related(first, "first set here"));
                continue;
            }
            given.push((name.clone(), id, name.len() + 1));
        }
        Overrides { given }
    }

    /// Reports what no file declares.
    pub(super) fn report_unknown<'p>(&self, report: &Diagnostics, params: impl Iterator<Item = &'p String>) {
        let params: Vec<&str> = params.map(String::as_str).collect();
        for (name, file, _) in self.given.iter().filter(|(name, ..)| !params.contains(&name.as_str())) {
            let span = Span { file: *file, start: 0, end: name.len() as u32 };
            let mut wrong =
                Diagnostic::new(span, format!("unknown parameter `{name}`")).label("no `param` of this name");
            wrong.hint = suggest(name, &params).or(Some("the recipe has no parameters".to_owned()));
            report.push_absence(wrong);
        }
    }
}

impl Evaluator<'_, '_> {
    /// `let NAME = VALUE` or `param NAME = VALUE`.
    pub(super) fn bind(&mut self, entry: &Entry) {
        let word = entry.keyword.value.as_str();
        let ([Spanned { value: tree::Expression::Name(name), span }], Some((Op::Set, value)), None) =
            (entry.arguments.as_slice(), &entry.assign, &entry.body)
        else {
            let wrong = Diagnostic::new(entry.keyword.span, format!("`{word}` takes one name and one value"));
            self.report.push(wrong.label("not complete").hint(format!("write `{word} name = value`")));
            return;
        };
        let name = Spanned::new(name.clone(), *span);
        if word == "param" && self.scopes.len() > 1 {
            return self.misplaced(entry, "parameters are only allowed at the top level of a file");
        }
        if !self.may_bind(&name) {
            return;
        }
        let mut value = self.value(value);
        if word == "param" {
            value = self.parameter(&name.value, value);
            self.params.insert(name.value.clone(), value.value.spelling());
        }
        let binding = Binding { value: value.value, span: name.span };
        self.scopes.last_mut().expect("the outermost scope is never closed").insert(name.value, binding);
    }

    /// Whether a name is free; a report when it is not.
    pub(super) fn may_bind(&self, name: &Spanned<String>) -> bool {
        if RESERVED.contains(&name.value.as_str()) {
            let wrong = Diagnostic::new(name.span, format!("`{}` is a reserved word", name.value));
            self.report.push(wrong.label("cannot be given a value").hint("choose another name"));
            return false;
        }
        let Some(first) = self.lookup(&name.value) else { return true };
        let wrong = Diagnostic::new(name.span, format!("`{}` is already defined", name.value));
        self.report.push(wrong.label("again here").related(first.span, "first given here"));
        false
    }

    pub(super) fn lookup(&self, name: &str) -> Option<&Binding> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Every name that stands for a value here.
    pub(super) fn bound(&self) -> Vec<&str> {
        self.scopes.iter().flat_map(|scope| scope.keys().map(String::as_str)).collect()
    }

    /// The default, or what the command line says, which must have the same type.
    fn parameter(&mut self, name: &str, default: Spanned<Value>) -> Spanned<Value> {
        let Some((_, file, offset)) = self.overrides.given.iter().find(|(given, ..)| given == name) else {
            return default;
        };
        let text = self.files.sources.text(*file).to_owned();
        let span = Span { file: *file, start: *offset as u32, end: text.len() as u32 };
        // A text needs no quotes: the shell took those that were there.
        if matches!(default.value, Value::Text(_)) {
            return Spanned::new(Value::Text(text[*offset..].to_owned()), span);
        }
        let given = match crate::syntax::parse_value(*file, &text, *offset) {
            Ok(value) => self.value(&value),
            Err(wrong) => {
                self.report.push(wrong.related(default.span, format!("the default is {}", default.value.kind())));
                return Spanned::new(Value::Wrong, span);
            }
        };
        if std::mem::discriminant(&given.value) == std::mem::discriminant(&default.value) {
            return given;
        }
        if given.value != Value::Wrong && default.value != Value::Wrong {
            let message = format!("the parameter `{name}` is {}, not {}", default.value.kind(), given.value.kind());
            let wrong = Diagnostic::new(span, message).label(format!("expected {}", default.value.kind()));
            self.report.push(wrong.related(default.span, "its default"));
        }
        Spanned::new(Value::Wrong, span)
    }
}
