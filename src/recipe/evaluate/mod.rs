//! Tree to evaluated blocks: names of `let`, `param` and loops replaced, loops unrolled, `extends` flattened.
//!
//! Input: parsed files in order. Output: top-level [`EvaluatedNode`]s. It must not know what any keyword but its own means.
//! Evaluation always ends: names stand for values given before, loops are bounded, and everything made is counted.

mod binding;
mod budget;
mod extends;
mod merge;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use super::files::Files;
use super::report::Diagnostics;
use super::value::{EvaluatedNode, Value};
use crate::base::{Diagnostic, Spanned};
use crate::syntax::tree::{self, Entry, File, Op};
use binding::{Binding, Overrides};
use budget::Budget;

/// One entry of a body before it is merged with what the body inherits.
struct Item {
    op: Op,
    /// Without children.
    node: EvaluatedNode,
    items: Vec<Item>,
}

/// What a directory is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DirectoryUse {
    /// The source of a kernel: read when it is compiled.
    Kernel,
    /// The source of a build: part of the recipe, or read when it runs.
    Build,
    /// Anything else: part of the recipe.
    Other,
}

/// Evaluates one recipe.
pub(super) struct Evaluator<'a, 'w> {
    report: &'a Diagnostics,
    files: &'a mut Files<'w>,
    overrides: Overrides,
    /// Innermost last.
    scopes: Vec<BTreeMap<String, Binding>>,
    budget: Budget,
    /// Keywords of the blocks around what is evaluated, innermost last.
    blocks: Vec<String>,
    /// What reads the directories in what is evaluated.
    reader: DirectoryUse,
    /// Every parameter in canonical spelling.
    pub(super) params: BTreeMap<String, String>,
    /// Kind and name of every block that another one extends.
    pub(super) extended: BTreeSet<(String, String)>,
}

impl<'a, 'w> Evaluator<'a, 'w> {
    /// Prepares; `set` holds `name=value` pairs from the command line, `main` is the key of the main recipe.
    pub(super) fn new(report: &'a Diagnostics, files: &'a mut Files<'w>, set: &[(String, String)], main: &str) -> Self {
        let overrides = Overrides::new(files, set, main, report);
        let (scopes, budget, params) = (vec![BTreeMap::new()], Budget::default(), BTreeMap::new());
        let (blocks, extended) = (Vec::new(), BTreeSet::new());
        Evaluator { report, files, overrides, scopes, budget, blocks, reader: DirectoryUse::Other, params, extended }
    }

    /// All top-level blocks and fields of all files, flattened.
    pub(super) fn run(&mut self, files: &[File]) -> Vec<EvaluatedNode> {
        let mut items = Vec::new();
        for file in files {
            self.body(&file.entries, &mut items);
        }
        self.overrides.report_unknown(self.report, self.params.keys());
        self.extended = extends::extended(&items);
        extends::flatten(items, self.report, &mut self.budget)
    }

    fn body(&mut self, entries: &[Entry], out: &mut Vec<Item>) {
        for entry in entries {
            if self.budget.exhausted() {
                return;
            }
            match entry.keyword.value.as_str() {
                "let" | "param" => self.bind(entry),
                "import" if self.scopes.len() == 1 => {}
                "import" => self.misplaced(entry, "imports are only allowed at the top level of a file"),
                "for" => self.unroll(entry, out),
                _ => out.extend(self.item(entry)),
            }
        }
    }

    fn item(&mut self, entry: &Entry) -> Option<Item> {
        if !self.budget.spend(1, entry.keyword.value.len(), entry.keyword.span, self.report) {
            return None;
        }
        let arguments = entry.arguments.iter().map(|argument| self.value(argument)).collect();
        self.reader = match self.blocks.last().filter(|_| entry.keyword.value == "source").map(String::as_str) {
            Some("kernel") => DirectoryUse::Kernel,
            Some("build") => DirectoryUse::Build,
            _ => DirectoryUse::Other,
        };
        let (op, value) = match &entry.assign {
            Some((op, value)) => (*op, Some(self.value(value))),
            None => (Op::Set, None),
        };
        self.reader = DirectoryUse::Other;
        let mut items = Vec::new();
        if let Some(body) = &entry.body {
            self.scopes.push(BTreeMap::new());
            self.blocks.push(entry.keyword.value.clone());
            self.body(body, &mut items);
            self.blocks.pop();
            self.scopes.pop();
        }
        let (keyword, block, span) = (entry.keyword.clone(), entry.body.is_some(), entry.span);
        Some(Item { op, node: EvaluatedNode { keyword, arguments, value, children: Vec::new(), block, span }, items })
    }

    /// `for NAME in RANGE-OR-LIST { ... }`: the body once for each value.
    fn unroll(&mut self, entry: &Entry, out: &mut Vec<Item>) {
        let (Some((name, values)), Some(body)) = (self.loop_head(entry), &entry.body) else { return };
        for value in values {
            if self.budget.exhausted() {
                return;
            }
            let binding = Binding { value, span: name.span };
            self.scopes.push(BTreeMap::from([(name.value.clone(), binding)]));
            self.body(body, out);
            self.scopes.pop();
        }
    }

    fn loop_head(&mut self, entry: &Entry) -> Option<(Spanned<String>, Vec<Value>)> {
        let usage = "write `for i in 0..4 { ... }`";
        let wrong = |span, message: &str| Diagnostic::new(span, message).hint(usage);
        let (name, over) = match entry.arguments.as_slice() {
            [
                Spanned { value: tree::Expression::Name(name), span },
                Spanned { value: tree::Expression::Name(word), .. },
                over,
            ] if word == "in" && entry.body.is_some() && entry.assign.is_none() => {
                (Spanned::new(name.clone(), *span), over)
            }
            _ => {
                self.report.push(
                    wrong(entry.keyword.span, "incomplete loop").label("a name, `in`, a range and a body are needed"),
                );
                return None;
            }
        };
        if !self.may_bind(&name) {
            return None;
        }
        let values = match &over.value {
            tree::Expression::Range(first, last) => self.range(over.span, first, last)?,
            _ => match self.value(over).value {
                Value::List(items) => items.into_iter().map(|item| item.value).collect(),
                Value::Wrong => return None,
                other => {
                    let message = format!("cannot loop over {}: expected a range or a list", other.kind());
                    self.report.push(wrong(over.span, &message).label("not a range"));
                    return None;
                }
            },
        };
        Some((name, values))
    }

    fn misplaced(&self, entry: &Entry, message: &str) {
        self.report.push(Diagnostic::new(entry.span, message).label("not here"));
    }
}
